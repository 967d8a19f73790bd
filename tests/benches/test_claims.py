from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest

from benches.claims import __main__ as program
from benches.claims import peers, scheduling, simulation, speed_gpu
from benches.claims.bytecode import caching_bytecode
from benches.claims.claim import Answer, Claim, Figures, Target, keep, overall
from benches.claims.comparisons import Folder
from tests.ab.test_compare_sides import SIDES, made_pair
from tests.builders import ENVIRONMENT, small_case
from tests.processes import GENEROUS_S
from xibench.ab import compare_sides as ab
from xibench.ab.compare_sides import DecisionLimits
from xibench.errors import InputError, XibenchError
from xibench.record import environment
from xibench.record.pairs import Pair
from xibench.record.store import read

ROOT = Path(__file__).resolve().parents[2]
FakePairs = Callable[..., list[int]]
"""Replaces the measurement of pairs; returns the list to which the numbers of the measured pairs are appended."""


@pytest.fixture
def fake_pairs(monkeypatch: pytest.MonkeyPatch) -> FakePairs:
    """Return a function that replaces the measurement of pairs; pair n gets the log ratio `ratio(n)`."""

    def replace_measurement(ratio: Callable[[int], float | None] = lambda number: 0.001 * number) -> list[int]:
        numbers: list[int] = []

        def measure(case: object, sides: object, number: int, *_: object) -> Pair:
            numbers.append(number)
            return made_pair(small_case(), number, ratio(number))

        monkeypatch.setattr(ab, "_judged", lambda pair, around, may_repeat: pair)
        monkeypatch.setattr(ab.compare_sides, "__defaults__", (None, measure))
        return numbers

    return replace_measurement


def answer(claim: str, figure: float) -> Answer:
    return Answer(
        claim=claim, sentence="So it is.", figures={"a": {"b": figure}}, targets=[], answer="met", seconds=1.0,
        created_utc="2025-01-02T03:04:05+00:00", xibench="0.1.0", environment=ENVIRONMENT,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("target", "verdict"),
    [
        (Target("a.b", at_least=0.95), "met"),
        (Target("a.b", at_least=0.96), "not met"),
        (Target("a.b", at_least=0.96, beyond="not shown"), "not shown"),
        (Target("a.b", at_most=0.95), "met"),
        (Target("a.b", at_most=0.94), "not met"),
        (Target("a.c", at_most=1.0), "not shown"),
        (Target("a", at_most=1.0), "not shown"),
    ],
)
def test_a_target_is_met_by_a_figure_within_the_bound_and_not_shown_without_a_figure(
    target: Target, verdict: str
) -> None:
    assert target.verdict({"a": {"b": 0.95}}) == verdict


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [("met met", "met"), ("met shown", "not shown"), ("shown not", "not met"), ("", "met")],
)
def test_one_target_that_is_not_met_decides_a_claim_before_one_that_is_not_shown(verdicts: str, expected: str) -> None:
    bounds = {"met": Target("a", at_least=1), "not": Target("a", at_least=3), "shown": Target("b", at_least=1)}
    claim = Claim("one", "So it is.", tuple(bounds[name] for name in verdicts.split()), lambda folder: {})
    assert overall(claim.verdicts({"a": 2})) == expected


def test_a_new_answer_replaces_the_old_one_and_keeps_the_others(tmp_path: Path) -> None:
    path = tmp_path / "machine" / "claims.jsonl"
    for made in (answer("one", 1), answer("two", 2), answer("one", 3)):
        keep(made, path)
    found = {line["claim"]: line["figures"]["a"]["b"] for line in map(json.loads, path.read_text().splitlines())}
    assert found == {"one": 3, "two": 2}


def test_rules_of_other_tools_detect_a_large_change_and_none_between_equal_samples() -> None:
    base = list(np.random.default_rng(0).normal(1.0, 0.01, 60))
    for name, judge in peers.judges().items():
        assert judge(base, [step * 1.3 for step in base]) == "slower", name
        assert judge([step * 1.3 for step in base], base) == "faster", name
        assert judge(base, base) == "same", name


def test_rules_that_pool_steps_call_identical_code_different_when_processes_differ() -> None:
    rng = np.random.default_rng(1)
    false_positives = 0
    for _ in range(40):
        base, new = (list(rng.normal(rng.normal(1.0, 0.02), 0.005, 100)) for _ in range(2))
        false_positives += peers.t_test(base, new) != "same"
    assert false_positives > 20


def test_simulated_comparisons_detect_more_with_more_pairs_and_nothing_without_an_effect(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(simulation, "COMPARISONS", 200)
    spread = list(np.random.default_rng(2).normal(0, 0.012, 50))
    found = simulation.sequential(spread, 0.03, 0)
    assert found["after_pairs"]["4"]["slower"] < found["after_pairs"]["12"]["slower"]
    assert found["sequential"]["slower"] >= 0.95
    nothing = simulation.sequential(spread, 0.0, 0)["sequential"]
    assert nothing["slower"] + nothing["faster"] <= 0.01


def test_a_finished_comparison_is_not_measured_again(tmp_path: Path, fake_pairs: FakePairs) -> None:
    calls = fake_pairs(lambda number: 0.05 + 0.001 * number)
    first = Folder(tmp_path).compare("one", small_case(), SIDES, DecisionLimits(), "[1/1]")
    measured = len(calls)
    again = Folder(tmp_path).compare("one", small_case(), SIDES, DecisionLimits(), "[1/1]")
    assert first == again
    assert len(calls) == measured
    assert first.verdict.verdict == "slower"


def test_an_interrupted_comparison_is_measured_again(tmp_path: Path, fake_pairs: FakePairs) -> None:
    (tmp_path / "one.jsonl").write_text("half of a comparison\n")
    fake_pairs()
    Folder(tmp_path).compare("one", small_case(), SIDES, DecisionLimits(), "[1/1]")
    (kept,) = tmp_path.glob("one.interrupted-*")
    assert kept.read_text() == "half of a comparison\n"


def test_a_comparison_with_an_incomplete_line_is_measured_again(tmp_path: Path, fake_pairs: FakePairs) -> None:
    fake_pairs()
    Folder(tmp_path).compare("one", small_case(), SIDES, DecisionLimits(), "[1/2]")
    done = tmp_path / "done.jsonl"
    done.write_bytes(done.read_bytes() + b'{"name":"two","wall')
    Folder(tmp_path).compare("two", small_case(), SIDES, DecisionLimits(), "[2/2]")
    assert [json.loads(line)["name"] for line in done.read_text().splitlines()] == ["one", "two"]


def test_a_comparison_without_a_result_is_reported_in_one_line(tmp_path: Path, fake_pairs: FakePairs) -> None:
    fake_pairs(lambda number: None)
    with pytest.raises(XibenchError, match=r"comparison one .*failed: it exited; "):
        Folder(tmp_path).compare("one", small_case(), SIDES, DecisionLimits(), "[1/1]")


@pytest.mark.parametrize("other", ["versions", "processor"])
def test_comparisons_under_other_conditions_are_refused(other: str, tmp_path: Path, fake_pairs: FakePairs) -> None:
    fake_pairs()
    Folder(tmp_path).compare("one", small_case(), SIDES, DecisionLimits(), "[1/1]")
    path = tmp_path / "one.jsonl"
    now, cpu = version("numpy"), environment.read().cpu_model
    old, new, change = {
        "versions": (f'"numpy":"{now}"', '"numpy":"0.0.1"', f"numpy 0.0.1 -> {now}"),
        "processor": (f'"cpu_model":"{cpu}"', '"cpu_model":"ACME"', f"cpu_model ACME -> {cpu}"),
    }[other]
    path.write_text(path.read_text().replace(old, new))
    expected = rf"one.jsonl was measured under other conditions \({re.escape(change)}\).*; move .* away to start again"
    with pytest.raises(InputError, match=expected):
        Folder(tmp_path).compare("one", small_case(), SIDES, DecisionLimits(), "[1/1]")


def test_a_kept_claim_resumes_from_its_kept_samples(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def measure(folder: Path) -> Figures:
        earlier = len(list(folder.iterdir()))
        (folder / f"sample-{earlier}").touch()
        return {"earlier": earlier}

    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(program.CLAIMS, "counting", Claim("counting", "It counts.", (), measure))
    for arguments in (["counting"], ["counting", "--keep"], ["counting", "--keep"]):
        assert program.main(arguments) == 0
    (kept,) = (tmp_path / "results" / "reference").glob("*/claims.jsonl")
    assert json.loads(kept.read_text())["figures"] == {"earlier": 1}
    assert len(list(kept.parent.glob("counting/sample-*"))) == 2


def test_kept_answers_are_judged_anew_without_measuring(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    keep(answer("counting", 2.0), tmp_path / "claims.jsonl")
    earlier = json.loads((tmp_path / "claims.jsonl").read_text())
    (tmp_path / "claims.jsonl").write_text(json.dumps({**earlier, "met": True, "answer": None}) + "\n")
    for bound, code, expected in ((1, 0, "met"), (3, 1, "not met")):
        targets = (Target("a.b", at_least=bound),)
        claim = Claim("counting", "It counts.", targets, lambda folder: pytest.fail("measured"))
        monkeypatch.setitem(program.CLAIMS, "counting", claim)
        assert program.main(["--again", str(tmp_path)]) == code
        assert json.loads(capsys.readouterr().out)["answer"] == expected
        (kept,) = [json.loads(line) for line in (tmp_path / "claims.jsonl").read_text().splitlines()]
        assert (kept["answer"], kept["sentence"]) == (expected, "It counts.")
        assert all(kept[name] == earlier[name] for name in ("figures", "created_utc", "seconds", "environment"))
    assert program.main(["--again", str(tmp_path / "none")]) == InputError.exit_code
    assert "expected a folder of kept claims" in capsys.readouterr().err


@pytest.mark.slow
def test_the_overhead_claim_prints_one_line_of_json_with_figures_and_targets(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benches.claims", "overhead", "--json"], cwd=tmp_path, capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)}, check=False, timeout=GENEROUS_S,
    )  # fmt: skip
    (line,) = done.stdout.splitlines()
    found = json.loads(line)
    assert {"claim", "figures", "targets", "answer", "environment"} <= set(found)
    assert 0 < found["figures"]["loop_overhead_s"]["median"] < 1e-3
    assert done.returncode == (0 if found["answer"] == "met" else 1), done.stderr


def test_starts_are_timed_with_cached_bytecode_where_the_environment_forbids_to_write_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    program = "import frameworks.errors; print(frameworks.errors.__cached__, frameworks.errors.__spec__.origin)"
    with caching_bytecode() as variables:
        command = [sys.executable, "-c", program]
        done = subprocess.run(command, env=variables, capture_output=True, text=True, check=True, timeout=GENEROUS_S)
        cached, source = map(Path, done.stdout.split())
        assert cached.is_file()
        assert source == ROOT / "frameworks/errors.py"
    assert not cached.exists()


def test_a_gpu_claim_is_skipped_without_a_gpu_and_refused_if_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(program, "resolve_device", lambda frameworks, device: "cpu")
    monkeypatch.setattr(speed_gpu, "resolve_device", lambda frameworks, device: "cpu")
    measured: list[str] = []

    def record(name: str, folder: Path) -> Figures:
        measured.append(name)
        return {}

    for name, claim in program.CLAIMS.items():
        if name != "speed_gpu":
            fake = replace(claim, measure=partial(record, name), targets=())
            monkeypatch.setitem(program.CLAIMS, name, fake)
    assert program.main([]) == 0
    assert measured == [name for name in program.CLAIMS if name != "speed_gpu"]
    assert "benches.claims: speed_gpu is skipped: no framework sees a CUDA device" in capsys.readouterr().err
    assert program.main(["speed_gpu"]) == 2
    assert "claim speed_gpu: no framework sees a CUDA device; `xibench doctor` lists what" in capsys.readouterr().err


def test_an_unknown_claim_is_refused_with_the_known_names(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benches.claims", "speeed"], cwd=tmp_path, capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)}, check=False, timeout=GENEROUS_S,
    )  # fmt: skip
    assert done.returncode == 2
    assert "'speeed'" in done.stderr
    assert all(name in done.stderr for name in program.CLAIMS)


def test_the_claim_scheduling_times_a_complete_run_of_real_attempts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scheduling, "CASES", 5)
    monkeypatch.setattr(scheduling, "PROCESSES", 3)
    monkeypatch.setattr(scheduling, "SHOWS", 1)
    shown: list[int] = []
    monkeypatch.setattr(scheduling, "_show", lambda path, _: shown.append(len(read(path).attempts)))
    figures = scheduling.measure(tmp_path)
    assert shown == [figures["attempts"]] * 2 == [15, 15], "the first start only fills the cache of bytecode"
    assert all(target.figure.split(".")[0] in figures for target in scheduling.CLAIM.targets)
    assert figures["last_slot_s"]["n"] == scheduling.REPEATS

    run = read(scheduling.large_run(tmp_path / "run.jsonl", 5, 3))
    assert run.index.pending() == []
    assert len({case.key for case in run.header.plan}) == 5
    assert all(len(record.counted) == 3 for record in run.records)
