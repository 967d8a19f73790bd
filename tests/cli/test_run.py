from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest

from tests.builders import append, attempt, failure, header, record, small_case
from tests.cli.command import ROOT, error_of, xibench
from tests.processes import GENEROUS_S, wait_until, wait_until_gone
from xibench.record.schema import FORMAT_VERSION, SamplingConfig
from xibench.record.store import RunFile, read
from xibench.workers.inputs import read_images

SMALL = ("-m", "xception", "--variant", "narrow", "--resolution", "71", "--batch", "1", "--budget", "0.2")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["-m", "xeption"], ["unknown model 'xeption'", "xception"]),
        (["-f", "pytorch,tensorflo"], ["unknown framework 'tensorflo'", "tensorflow"]),
        (["--recipe", "tund"], ["unknown recipe 'tund'", "tuned"]),
        (["--precision", "fp23"], ["unknown precision 'fp23'", "fp32"]),
        (["--preset", "quik"], ["unknown preset 'quik'", "quick"]),
        (["--variant", "narow"], ["unknown variant of xception 'narow'", "narrow"]),
        (["--device", "cdua"], ["unknown device 'cdua'", "cuda"]),
        (["--batch", "0"], ["--batch", "received 0", "at least 1"]),
        (["--batch", "1,x"], ["--batch", "received x", "at least 1"]),
        (["-f", ","], ["--framework", "empty list"]),
        (["-m", "xception", "--resolution", "6"], ["resolution 6 is too small", "the minimum is 7"]),
        (["-m", "inception_v3", "--resolution", "74"], ["resolution 74 is too small", "the minimum is 75"]),
        (["--min-steps", "0"], ["--min-steps", "received 0"]),
        (["--budget", "-1"], ["--budget", "received -1", "seconds"]),
        (["--budget", "nan"], ["--budget", "received nan", "seconds"]),
        (["--budget", "inf"], ["--budget", "received inf", "seconds"]),
        (["--time-limit", "soon"], ["--time-limit", "received soon", "seconds"]),
        (["--weights", "nix.safetensors"], ["nix.safetensors", "xibench weights init"]),
        (["--scenario", "ofline"], ["unknown scenario 'ofline'", "offline"]),
        (["--processes", "0"], ["--processes", "received 0", "at least 1"]),
        (["--repeats", "-1"], ["--repeats", "received -1", "at least 0"]),
        (["--max-warmup-steps", "few"], ["--max-warmup-steps", "received few", "at least 0"]),
        (["--half-width", "1"], ["--half-width", "received 1", "below 1", "1%"]),
        (["--half-width", "narrow"], ["--half-width", "received narrow"]),
        (["--memory-limit", "8 gigs"], ["--memory-limit", "received 8 gigs", "8GiB"]),
        (["--latency-bound", "0"], ["--latency-bound", "received 0", "seconds"]),
        (["--latency-bound", "0.5"], ["latency bound 0.5 s", "only scenario server"]),
        (["--max-batch", "64"], ["--max-batch", "received 64 without --sweep"]),
        (["--sweep", "--batch", "8"], ["batch 8 beside a sweep"]),
        (["--sweep", "--scenario", "server"], ["sweep", "scenario server", "offline"]),
        (["--scenario", "single-stream", "--batch", "8"], ["batch 8 in scenario single-stream", "one image"]),
        (["--memory-limit", "8"], ["--memory-limit", "received 8", "without a unit", "8GiB", "8B"]),
        (["--scenario", "server", "--latency-bound", "200"], ["--latency-bound", "received 200", "200ms", "200s"]),
        (["--budget", "5 parsecs"], ["--budget", "received 5 parsecs", "ms, s, min or h"]),
        (["-m", "xception", "--variant", "width=0.5,classes=10"], ["2 variants", "width=0.5+classes=10"]),
        (["--seed", "1", "--budget", "2", "--seed", "2"], ["--seed", "more than once"]),
        (["--images", "nowhere"], ["images nowhere", "no such folder"]),
        (["--recipe", "none.json"], ["recipe file none.json cannot be read"]),
        (["--resume", "none.jsonl"], ["run file none.jsonl does not exist"]),
        # What cannot be measured on this machine
        (["-f", "torchvision", "-m", "xception"], ["torchvision has no xception", "inception_v3"]),
        (["-f", "reference", "--precision", "bf16"], ["reference has no bf16", "fp64 or fp32"]),
        (["-f", "reference", "--device", "cuda"], ["reference has no device cuda", "expected cpu"]),
        (["--precision", "tf32", "--device", "cpu"], ["none of the 6 cases", "a CPU has no TF32", "fp32"]),
        (["-m", "xception", "--batch", "1000000000"], ["none of the 3 cases", "on disk", "free in", "smaller batch"]),
        (["-m", "xception", "--resolution", "1000000", "--batch", "1"], ["on disk", "are free in"]),
        (
            ["-m", "xception", "--batch", "64", "--memory-limit", "200MiB", "--device", "cpu"],
            ["largest layer alone take", "more than the limit of 200 MiB"],
        ),
    ],
)
def test_a_usage_error_is_one_line_before_anything_runs(
    arguments: list[str], words: list[str], tmp_path: Path
) -> None:
    line = error_of("run", *arguments, cwd=tmp_path, code=2)
    assert all(word in line for word in words), line
    assert not (tmp_path / "results").exists()


def test_a_weights_file_that_does_not_fit_is_refused_before_anything_runs(tmp_path: Path) -> None:
    xibench("weights", "init", "xception", "--variant", "narrow", "--out", "narrow.safetensors", cwd=tmp_path)
    (tmp_path / "text.safetensors").write_text("no weights")
    line = error_of("run", "-m", "inception_v3", "--weights", "narrow.safetensors", cwd=tmp_path, code=2)
    assert "weights for inception_v3: '" in line
    line = error_of("run", "-m", "xception", "--weights", "text.safetensors", "--dry-run", cwd=tmp_path, code=2)
    assert "text.safetensors is not a safetensors file that can be read" in line
    assert not (tmp_path / "results").exists()


def test_a_run_without_ceilings_reports_why_attained_is_empty(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    done = xibench("run", "-f", "pytorch", *SMALL, "--images", "noise", "--no-ceilings", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["calibration"] is None
    assert found["records"][0]["attained"] is None
    assert "ceilings" in found["records"][0]["absent"]["attained"]
    assert "attained is empty" in done.stderr


def test_an_empty_folder_of_images_is_named(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    line = error_of("run", *SMALL, "--images", "photos", cwd=tmp_path, code=2)
    assert "photos" in line


def test_an_unreadable_image_is_named(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").write_bytes(b"no photograph")
    line = error_of("run", *SMALL, "--images", "photos", cwd=tmp_path, code=2)
    assert "photos/cat.jpg" in line


def test_the_quick_preset_is_twelve_cases(tmp_path: Path) -> None:
    done = xibench("run", "--preset", "quick", "--dry-run", "--json", "--device", "cpu", cwd=tmp_path)
    plan = json.loads(done.stdout)["plan"]
    assert len(plan) == 12
    assert {entry["case"]["recipe"] for entry in plan} == {"default", "tuned"}
    assert plan[0]["costs"]["macs"] == 8_357_403_496
    assert not (tmp_path / "results").exists()


def test_names_may_be_repeated_or_separated_by_commas(tmp_path: Path) -> None:
    def plan(*arguments: str) -> str:
        return xibench("run", "--dry-run", "--device", "cpu", *arguments, cwd=tmp_path).stdout

    separated = plan("-f", "pytorch,jax", "--batch", "1,2")
    assert "8 cases" in separated
    assert separated == plan("-f", "pytorch", "-f", "jax", "--batch", "1", "--batch", "2")


def plan_of(*arguments: str, cwd: Path) -> Any:
    """Return the JSON document of a dry run on the CPU."""
    done = xibench("run", "--dry-run", "--json", "--device", "cpu", *arguments, cwd=cwd)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_nightly_preset_is_36_cases_with_three_processes_each(tmp_path: Path) -> None:
    found = plan_of("--preset", "nightly", cwd=tmp_path)
    cases = [entry["case"] for entry in found["plan"]]
    assert len(cases) == 36
    assert {case["batch"] for case in cases} == {1, 8}
    pairs = {("default", "fp32"), ("tuned", "fp32"), ("tuned", "bf16")}
    assert {(case["recipe"], case["precision"]) for case in cases} == pairs
    assert found["rule"]["processes"] == 3
    arguments = ("run", "--dry-run", "--preset", "nightly", "--device", "cpu")
    assert "36 cases, 3 processes each" in xibench(*arguments, cwd=tmp_path).stdout


def test_options_replace_parts_of_the_sampling_configuration(tmp_path: Path) -> None:
    sampling = plan_of(
        "--processes", "4", "--repeats", "0", "--half-width", "2%", "--max-warmup-steps", "0", "--min-steps", "500",
        "--budget", "1.5", "--time-limit", "30", "--memory-limit", "8GiB", "-m", "xception", cwd=tmp_path,
    )["rule"]  # fmt: skip
    assert (sampling["processes"], sampling["repeats"], sampling["half_width"]) == (4, 0, 0.02)
    assert (sampling["max_warmup_steps"], sampling["warmup_steps"]) == (0, 0)
    assert (sampling["min_steps"], sampling["max_steps"]) == (500, 500)
    assert (sampling["budget_s"], sampling["time_limit_s"], sampling["memory_limit_bytes"]) == (1.5, 30.0, 8 * 2**30)
    assert sampling["sweep"] is False


def test_a_half_width_of_0_leaves_the_budget_to_decide(tmp_path: Path) -> None:
    assert plan_of("--half-width", "0", "-m", "xception", cwd=tmp_path)["rule"]["half_width"] is None


def test_a_sweep_doubles_its_batch_up_to_the_largest(tmp_path: Path) -> None:
    found = plan_of("--sweep", "--max-batch", "8", "-f", "jax", "-m", "xception", cwd=tmp_path)
    assert [entry["case"]["batch"] for entry in found["plan"]] == [1, 2, 4, 8]
    assert found["rule"]["sweep"] is True


def test_single_stream_takes_enough_queries_for_the_99th_percentile(tmp_path: Path) -> None:
    found = plan_of("--scenario", "single-stream", "-m", "xception", cwd=tmp_path)
    assert {entry["case"]["batch"] for entry in found["plan"]} == {1}
    assert found["rule"]["max_steps"] >= 368
    assert found["rule"]["half_width"] is None


def test_a_latency_bound_applies_to_server_cases_only(tmp_path: Path) -> None:
    found = plan_of("--scenario", "server,offline", "--latency-bound", "0.5", "-m", "xception", cwd=tmp_path)
    bounds = {(entry["case"]["scenario"], entry["case"]["latency_bound_s"]) for entry in found["plan"]}
    assert bounds == {("server", 0.5), ("offline", None)}


def test_options_replace_parts_of_a_preset(tmp_path: Path) -> None:
    arguments = ("run", "--preset", "quick", "-f", "jax", "--batch", "2", "--dry-run", "--json", "--device", "cpu")
    plan = json.loads(xibench(*arguments, cwd=tmp_path).stdout)["plan"]
    cases = [entry["case"] for entry in plan]
    assert {(case["framework"], case["batch"]) for case in cases} == {("jax", 2)}
    assert {case["recipe"] for case in cases} == {"default", "tuned"}


def test_a_plan_shows_the_costs_of_a_step(tmp_path: Path) -> None:
    shown = xibench("run", "--dry-run", "-m", "xception", "--device", "cpu", "--batch", "1", cwd=tmp_path).stdout
    assert "3 cases, one process each" in shown
    assert "8.36 G" in shown


def test_two_values_of_a_list_may_be_given_by_repeating_the_option(tmp_path: Path) -> None:
    both = ("--variant", "width=0.5", "--variant", "classes=10", "-f", "jax", "-f", "pytorch", "--batch", "1,2")
    done = xibench("run", "-m", "xception", *both, "--dry-run", "--json", cwd=tmp_path)
    planned = {(e["case"]["variant"], e["case"]["framework"]) for e in json.loads(done.stdout)["plan"]}
    assert planned == {(variant, name) for variant in ("width=0.5", "classes=10") for name in ("jax", "pytorch")}


def test_units_of_times_and_memory_are_understood(tmp_path: Path) -> None:
    given = ("--budget", "500ms", "--time-limit", "2min", "--memory-limit", "1.5GiB", "-m", "xception")
    rule = json.loads(xibench("run", *given, "--dry-run", "--json", cwd=tmp_path).stdout)["rule"]
    assert (rule["budget_s"], rule["time_limit_s"], rule["memory_limit_bytes"]) == (0.5, 120.0, 3 << 29)


def test_a_plan_says_which_of_its_cases_cannot_be_measured_here(tmp_path: Path) -> None:
    shown = xibench("run", "--dry-run", "-m", "xception", "-f", "jax,torchvision", cwd=tmp_path)
    assert shown.returncode == 0
    assert "Cannot be measured on this machine (2): torchvision has no xception" in shown.stdout


def test_what_an_implementation_lacks_is_recorded_without_a_process_and_the_rest_is_measured(tmp_path: Path) -> None:
    both = ("-f", "torchvision,reference", "--no-ceilings", "--images", "noise")
    done = xibench("run", *both, *SMALL, "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    lacking, measured = json.loads(done.stdout)["records"]
    assert (lacking["status"], measured["status"]) == ("unsupported", "ok")
    assert "torchvision has no xception" in lacking["reason"]
    (path,) = (tmp_path / "results/runs").glob("*.jsonl")
    (not_started,) = (attempt for attempt in read(path).attempts if attempt.case.framework == "torchvision")
    assert not_started.surroundings is None


def test_a_run_in_which_every_case_fails_ends_with_exit_code_1_and_the_reasons(tmp_path: Path) -> None:
    hasty = ("--time-limit", "0.05", "--images", "noise", "--no-ceilings")
    done = xibench("run", "-f", "pytorch", *SMALL, *hasty, cwd=tmp_path)
    assert done.returncode == 1
    assert "timeout: the worker" in done.stdout
    assert "none of 1 case could be measured" in done.stderr
    assert len(list((tmp_path / "results/runs").glob("*.jsonl"))) == 1


def test_resuming_a_finished_run_prints_its_table(tmp_path: Path) -> None:
    case = small_case()
    with RunFile.create(tmp_path / "run.jsonl", header([case])) as run_file:
        append(run_file, record(case))
    done = xibench("run", "--resume", "run.jsonl", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "pytorch" in done.stdout
    assert len(read(tmp_path / "run.jsonl").records) == 1


def test_a_resumed_run_measures_only_pending_cases_even_after_a_truncated_line(tmp_path: Path) -> None:
    done, cut = small_case(), small_case(batch=2)
    begun = msgspec.structs.replace(header([done, cut], SamplingConfig(budget_s=0.2)), images=read_images("noise", 2))
    with RunFile.create(tmp_path / "run.jsonl", begun) as run_file:
        append(run_file, failure(done))
    with (tmp_path / "run.jsonl").open("ab") as file:
        file.write(msgspec.json.encode(attempt(cut))[:40])
    answer = xibench("run", "--resume", "run.jsonl", "--no-ceilings", cwd=tmp_path)
    run = read(tmp_path / "run.jsonl")
    assert [r.case for r in run.records] == [done, cut]
    assert "[2/2] pytorch xception/narrow" in answer.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_leaves_a_valid_file_no_worker_no_folder_and_the_command_that_resumes_it(
    number: signal.Signals, tmp_path: Path
) -> None:
    endless = ("run", "-f", "pytorch", *SMALL, "--min-steps", "1000000", "--no-ceilings", "--out", "run.jsonl")
    reset = ("env", "--default-signal=INT,TERM,HUP")  # `nohup make test` ignores SIGHUP, and so would it
    command = [*reset, sys.executable, "-m", "xibench", *endless]
    (tmp_path / "scratch").mkdir()
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path / "scratch")}
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True,
    ) as running:
        try:
            wait_until((tmp_path / "run.jsonl").exists, "no run file")
            wait_until(lambda: bool(psutil.Process(running.pid).children()), "no worker")
            workers = psutil.Process(running.pid).children(recursive=True)
            running.send_signal(number)
            _, said_last = running.communicate(timeout=GENEROUS_S)
        finally:
            running.kill()
    assert running.returncode == 130
    *_, line = said_last.splitlines()  # a busy machine is said before the start
    assert line == "xibench: interrupted after 0 of 1 processes; go on with `xibench run --resume run.jsonl`"
    assert read(tmp_path / "run.jsonl").records == ()
    assert list((tmp_path / "scratch").iterdir()) == []
    wait_until_gone(*(worker.pid for worker in workers))


def test_ctrl_c_while_figures_are_printed_says_how_to_see_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with RunFile.create(tmp_path / "run.jsonl", header([small_case()])) as run_file:
        append(run_file, failure(small_case()))
    monkeypatch.setattr("xibench.cli.render.run_tables.print_run", interrupt)
    done = xibench("run", "--resume", "run.jsonl", cwd=tmp_path)
    assert done.returncode == 130
    cure = "the run is complete: `xibench show run.jsonl` prints its figures"
    assert done.stderr.splitlines()[-1] == f"xibench: interrupted; {cure}"


def test_resume_refuses_to_change_the_plan(tmp_path: Path) -> None:
    line = error_of("run", "--resume", "run.jsonl", "-m", "xception", "--batch", "8", cwd=tmp_path, code=2)
    assert "--model, --batch" in line


def test_a_run_file_of_a_newer_xibench_is_refused_with_a_remedy(tmp_path: Path) -> None:
    newer = msgspec.structs.replace(header([small_case()]), format_version=FORMAT_VERSION + 1)
    (tmp_path / "run.jsonl").write_bytes(msgspec.json.encode(newer) + b"\n")
    for command in (["run", "--resume", "run.jsonl"], ["show", "run.jsonl"], ["export", "run.jsonl", "--out", "x.csv"]):
        line = error_of(*command, cwd=tmp_path, code=1)
        assert f"has format {FORMAT_VERSION + 1}" in line
        assert "upgrade" in line


@pytest.mark.slow
def test_a_case_of_a_run_is_measured_again_and_compared_with_it(tmp_path: Path) -> None:
    tiny = ("--resolution", "71", "--images", "noise", "--no-ceilings", "--repeats", "0", "--min-steps", "3")
    sampled = (*tiny, "-m", "xception", "--variant", "narrow", "--budget", "0.1", "--processes", "2")
    first = xibench("run", "-f", "reference", "--batch", "1,2", *sampled, "--out", "first.jsonl", cwd=tmp_path)
    assert first.returncode == 0, first.stderr
    again = ("run", "--again", "first.jsonl", "--batch", "2", "--no-ceilings", "--out", "second.jsonl")
    planned = json.loads(xibench(*again, "--dry-run", "--json", cwd=tmp_path).stdout)
    assert planned["rule"]["processes"] == 2, "sampled as it was"
    done = xibench(*again, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    before, after = read(tmp_path / "first.jsonl").header, read(tmp_path / "second.jsonl").header
    assert after.plan == [case for case in before.plan if case.batch == 2]
    assert after.sampling == before.sampling
    assert "the new run" in done.stdout.splitlines()[-1], "it ends in a sentence about both runs"
    assert "only in the base run" not in done.stdout


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("-f", "jax"), "--framework: received jax, expected one of those in first.jsonl: pytorch"),
        (("--batch", "3"), "--batch: received 3, expected one of those in first.jsonl: 1"),
        (("--preset", "quick"), "--again measures the cases of its file: received --preset"),
        (("--sweep",), "received --sweep"),
        (("--seed", "1"), "received --seed"),
    ],
)
def test_cases_that_a_run_does_not_have_cannot_be_measured_again(
    options: tuple[str, ...], words: str, tmp_path: Path
) -> None:
    with RunFile.create(tmp_path / "first.jsonl", header([small_case()])):
        pass
    assert words in error_of("run", "--again", "first.jsonl", *options, cwd=tmp_path, code=2)
    assert [path.name for path in tmp_path.iterdir()] == ["first.jsonl"]
