from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from PIL import Image

from tests.builders import ENERGY, header, small_case
from tests.run.conftest import Listener, Quiet
from xibench.errors import Interrupted, StoreError
from xibench.record.schema import Record, Rule
from xibench.record.store import RunFile, read
from xibench.run import interpreters
from xibench.run.parent import run
from xibench.run.rounds import round_order

ROOT = Path(__file__).parents[2]
RunWith = Callable[..., list[Record]]
StandIn = Callable[[str], list[str]]


def test_a_worker_that_is_killed_is_recorded_with_its_last_output_and_the_run_goes_on(
    run_with: RunWith, tmp_path: Path
) -> None:
    killed, other = run_with("kill,ok")
    assert killed.status == "failed"
    assert killed.reason == (
        "the worker was killed by SIGKILL during build; "
        "perhaps by the kernel's out-of-memory killer: try a smaller batch"
    )
    assert killed.log == "last words"
    assert other.status == "ok"
    assert read(tmp_path / "run.jsonl").records == (killed, other)


def test_a_worker_that_exits_is_recorded_with_its_last_output_and_the_run_goes_on(run_with: RunWith) -> None:
    left, other = run_with("exit,ok")
    assert (left.status, left.log) == ("failed", "last words")
    assert left.reason == "the worker exited with code 3 during build, without a result"
    assert other.status == "ok"


def test_a_worker_that_hangs_is_recorded_with_its_last_output_and_the_run_goes_on(run_with: RunWith) -> None:
    hung, other = run_with("hang,ok", Rule(time_limit_s=3.0))
    assert (hung.status, hung.log) == ("timeout", "last words")
    assert hung.reason == "the worker was still in build after its limit of 3 s and was killed"
    assert other.status == "ok"


def test_a_worker_that_writes_rubbish_is_recorded_with_its_last_output_and_the_run_goes_on(run_with: RunWith) -> None:
    rubbish, other = run_with("rubbish,ok")
    assert (rubbish.status, rubbish.log) == ("failed", "last words")
    assert rubbish.reason == "the worker wrote no message on the pipe for its answers, but '\\x00rubbish'"
    assert other.status == "ok"


def test_a_worker_that_writes_without_end_is_stopped(run_with: RunWith) -> None:
    (record,) = run_with("endless")
    assert record.status == "failed"
    assert "without a line end" in (record.reason or "")


def test_a_worker_that_talks_much_keeps_its_last_output(run_with: RunWith) -> None:
    (record,) = run_with("chatter")
    assert record.status == "failed"
    assert len(record.log or "") == 16 * 1024 - 1


def test_a_worker_that_ran_out_of_memory_says_so_itself(run_with: RunWith) -> None:
    (record,) = run_with("memory")
    assert (record.status, record.reason, record.processes) == ("out_of_memory", "MemoryError: no room", [])


def test_a_worker_that_crashes_after_its_answer_has_measured(run_with: RunWith) -> None:
    (record,) = run_with("crash-after-answer")
    assert record.status == "ok"
    assert len(record.processes) == 1


def test_a_worker_whose_child_keeps_the_pipes_open_is_not_waited_for(run_with: RunWith) -> None:
    began = time.monotonic()
    (record,) = run_with("orphan")
    assert record.reason == "the worker exited with code 3 during build, without a result"
    assert time.monotonic() - began < 20


def test_a_worker_that_cannot_be_started_is_recorded(tmp_path: Path, listener: Listener) -> None:
    plan = [small_case()]
    with RunFile.create(tmp_path / "run.jsonl", header(plan)) as run_file:
        (record,) = run(plan, run_file, listener, [str(tmp_path / "no-python")], calibrate=False, lookout=Quiet())
    assert record.status == "failed"
    assert "cannot be started" in (record.reason or "")
    assert "No such file" in (record.reason or "")


def test_the_watch_hears_of_cases_and_phases_in_order(run_with: RunWith, listener: Listener) -> None:
    run_with("ok,exit")
    assert listener.told == ["1/2", "build", "ok", "2/2", "build", "failed"]


def test_a_record_has_costs_and_the_environment(run_with: RunWith, tmp_path: Path) -> None:
    (record,) = run_with("ok")
    assert record.costs.macs > 1_000_000
    assert record.environment == read(tmp_path / "run.jsonl").header.environment_hash


def test_a_resumed_run_measures_only_what_is_missing(
    run_with: RunWith, tmp_path: Path, listener: Listener, stand_in: StandIn
) -> None:
    run_with("ok,exit,ok")
    path = tmp_path / "run.jsonl"
    os.truncate(path, path.stat().st_size - 5)
    with RunFile.resume(path) as run_file:
        cut_off = run_file.pending()
        records = run(cut_off, run_file, listener, stand_in("exit,ok,exit"), calibrate=False, lookout=Quiet())
    assert [(r.case.batch, r.status) for r in records] == [(2, "ok")]
    assert [r.status for r in read(path).records] == ["ok", "ok", "ok"]
    assert listener.told[-3:] == ["3/3", "build", "ok"]


MANY = "msgspec.structs.replace(small_case(), weights=f'seed:{n}') for n in range(20)"

RUN = """
import sys
from tests.builders import header, small_case
from tests.run.conftest import Listener, Quiet
from xibench.errors import XibenchError
from xibench.record.schema import Rule
from xibench.record.store import RunFile
from xibench.run.parent import run
path, *worker = sys.argv[1:]
plan = [small_case(batch=n) for n in (1, 2)]
try:
    with RunFile.create(path, header(plan, Rule())) as run_file:
        run(plan, run_file, Listener(), worker=worker, calibrate=False, lookout=Quiet())
except XibenchError as error:
    print(error)
    sys.exit(error.exit_code)
"""


def start_run(path: Path, worker: list[str]) -> subprocess.Popen[str]:
    """A parent of its own process group, as a shell would start it."""
    return subprocess.Popen(
        [sys.executable, "-c", RUN, path, *worker],
        cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip


def wait_for_pids(pid_file: Path) -> list[int]:
    deadline = time.monotonic() + 30
    while not (pid_file.exists() and pid_file.read_text()):
        assert time.monotonic() < deadline, "the worker did not start"
        time.sleep(0.05)
    return [int(pid) for pid in pid_file.read_text().split()]


def gone(pids: list[int], within_s: float) -> bool:
    deadline = time.monotonic() + within_s
    while any(psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE for pid in pids):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def test_ctrl_c_kills_the_worker_and_its_children_and_says_how_to_resume(tmp_path: Path, stand_in: StandIn) -> None:
    path, pid_file = tmp_path / "run.jsonl", tmp_path / "pids"
    parent = start_run(path, stand_in(f"ok,child:{pid_file}"))
    pids = wait_for_pids(pid_file)
    os.killpg(parent.pid, signal.SIGINT)
    out, err = parent.communicate(timeout=30)
    assert err == ""
    assert out.strip() == f"interrupted after 1 of 2 processes; go on with `xibench run --resume {path}`"
    assert parent.returncode == 130
    assert gone(pids, within_s=5)
    stored = read(path)
    assert [r.status for r in stored.records] == ["ok"]
    assert not stored.cut_line


def test_ctrl_c_at_the_terminal_does_not_reach_the_worker(tmp_path: Path, stand_in: StandIn) -> None:
    pid_file = tmp_path / "pids"
    parent = start_run(tmp_path / "run.jsonl", stand_in(f"child:{pid_file},ok"))
    worker, _ = wait_for_pids(pid_file)
    assert os.getsid(worker) == worker != os.getsid(parent.pid)
    os.killpg(parent.pid, signal.SIGINT)
    parent.communicate(timeout=30)


def test_a_full_disk_ends_the_run_in_one_line_and_what_was_written_stays_valid(
    tmp_path: Path, stand_in: StandIn
) -> None:
    code = "import resource, signal\nsignal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
    code += "resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, resource.RLIM_INFINITY))\n"
    code += "import msgspec\n"
    code += RUN.replace("small_case(batch=n) for n in (1, 2)", MANY)
    path = tmp_path / "run.jsonl"
    done = subprocess.run(
        [sys.executable, "-c", code, path, *stand_in("chatter")],
        cwd=ROOT, text=True, capture_output=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == StoreError.exit_code
    assert done.stderr == ""
    assert done.stdout.count("\n") == 1
    assert "File too large" in done.stdout
    assert f"xibench run --resume {path}" in done.stdout
    stored = read(path)
    assert len(stored.records) >= 2
    assert not stored.cut_line


def test_no_room_for_the_batch_is_one_line(tmp_path: Path) -> None:
    code = "import resource, signal\nsignal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
    code += "resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))\n" + RUN
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "run.jsonl", "true"],
        cwd=ROOT, text=True, capture_output=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == StoreError.exit_code
    assert "the batch of 1 images cannot be written to" in done.stdout
    assert "name another folder in TMPDIR" in done.stdout


def test_a_worker_ends_with_its_parent_even_if_that_is_killed(tmp_path: Path) -> None:
    pid_file = tmp_path / "pids"
    (tmp_path / "jax.py").write_text(
        f"import os, pathlib, time\npathlib.Path({str(pid_file)!r}).write_text(str(os.getpid()))\ntime.sleep(600)\n"
    )
    code = RUN.replace("worker=worker", "worker=None").replace("batch=n", "'jax', batch=n")
    parent = subprocess.Popen(
        [sys.executable, "-c", code, tmp_path / "run.jsonl"],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(tmp_path), "TMPDIR": str(tmp_path)},
    )
    pids = wait_for_pids(pid_file)
    parent.kill()
    parent.wait()
    ended = gone(pids, within_s=15)
    if not ended:
        os.kill(pids[0], signal.SIGKILL)
    assert ended


@pytest.mark.skipif(sys.platform != "linux", reason="reads the high-water mark from /proc")
def test_the_parent_stays_under_150_mib_with_a_batch_of_64_photographs(tmp_path: Path, stand_in: StandIn) -> None:
    plan = "[msgspec.structs.replace(small_case(batch=64, images='sample'), resolution=299)]"
    code = "import msgspec\n" + RUN.replace("[small_case(batch=n) for n in (1, 2)]", plan)
    code += "\nprint(*[line for line in open('/proc/self/status') if line.startswith('VmHWM')])"
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "run.jsonl", *stand_in("ok")],
        cwd=ROOT, text=True, capture_output=True, check=True,
    )  # fmt: skip
    assert [r.status for r in read(tmp_path / "run.jsonl").records] == ["ok"]
    assert int(done.stdout.split()[1]) * 1024 < 150 * 1024 * 1024


@pytest.mark.skipif(sys.platform != "linux", reason="reads the high-water mark from /proc")
def test_the_command_stays_under_150_mib_with_a_photograph_of_24_megapixels(tmp_path: Path) -> None:
    (tmp_path / "photographs").mkdir()
    Image.effect_noise((6000, 4000), 40).convert("RGB").save(tmp_path / "photographs" / "large.jpg")
    code = "import atexit, runpy\n"
    code += "atexit.register(lambda: print(*[x for x in open('/proc/self/status') if x.startswith('VmHWM')]))\n"
    code += "runpy.run_module('xibench', run_name='__main__', alter_sys=True)"
    arguments = ["-f", "pytorch", "-m", "xception", "--variant", "narrow", "--resolution", "75", "--batch", "1"]
    done = subprocess.run(
        [sys.executable, "-c", code, "run", *arguments, "--images", "photographs", "--time-limit", "0.1"],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, text=True, capture_output=True, check=False,
    )  # fmt: skip
    assert "none of 1 case could be measured" in done.stderr
    *_, (_, peak_kib, _) = (line.split() for line in done.stdout.splitlines() if line.startswith("VmHWM"))
    assert int(peak_kib) < 150 * 1024


def test_the_parent_imports_in_under_a_third_of_a_second() -> None:
    code = "import time; t = time.perf_counter(); import xibench.run.start; print(time.perf_counter() - t)"
    runs = [subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=True) for _ in range(5)]
    assert min(float(done.stdout) for done in runs) < 0.3


def test_interrupted_is_raised_with_the_file_quoted_for_a_shell(
    tmp_path: Path, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(listener, "started", interrupt)
    plan = [small_case()]
    with (
        RunFile.create(tmp_path / "my run.jsonl", header(plan, Rule())) as run_file,
        pytest.raises(Interrupted, match=r"--resume '.*my run.jsonl'"),
    ):
        run(plan, run_file, listener, calibrate=False, lookout=Quiet())


def test_a_worker_that_takes_more_memory_than_its_limit_is_killed_and_says_how_much(run_with: RunWith) -> None:
    greedy, other = run_with("hoard:600,ok", Rule(memory_limit_bytes=400 * 2**20))
    assert greedy.status == "out_of_memory"
    held, limit = re.findall(r"([\d.]+) GiB", greedy.reason or "")
    assert float(held) > float(limit) == 0.39
    assert greedy.log == "last words"
    assert other.status == "ok"


def test_the_memory_of_a_workers_children_counts(run_with: RunWith) -> None:
    (record,) = run_with("child-hoards:600", Rule(memory_limit_bytes=400 * 2**20, time_limit_s=30))
    assert record.status == "out_of_memory"


def test_a_sweep_ends_where_memory_ran_out_and_that_is_a_result(
    tmp_path: Path, listener: Listener, stand_in: StandIn
) -> None:
    plan = [small_case(framework, batch=2**n) for framework in ("pytorch", "jax") for n in range(5)]
    rule = Rule(sweep=True, memory_limit_bytes=400 * 2**20, processes=2)
    with RunFile.create(tmp_path / "run.jsonl", header(plan, rule)) as run_file:
        behaviour = stand_in("ok,ok,ok,hoard:600")
        records = run(plan, run_file, listener, behaviour, calibrate=False, lookout=Quiet())
        assert run_file.pending() == []
    for record in records:
        batch, attempts = record.case.batch, record.attempts
        if batch < 4:
            assert (record.status, len(attempts)) == ("ok", 2)
        elif batch == 4:
            assert (record.status, len(attempts)) == ("out_of_memory", 1)
            assert "more than its limit of 0.39 GiB" in (record.reason or "")
        else:
            assert record.reason == "not tried: batch 4 had run out of memory"
            assert (record.status, record.attempts[0].surroundings) == ("out_of_memory", None)


def test_a_disturbed_process_is_repeated_and_kept_aside(run_with: RunWith, tmp_path: Path) -> None:
    (record,) = run_with("ok", Rule(processes=2, repeats=1), disturbed=[0])
    assert [(a.number, a.order, a.set_aside) for a in record.attempts] == [(0, 0, True), (0, 1, False), (1, 2, False)]
    assert record.attempts[0].surroundings is not None
    assert record.attempts[0].surroundings.disturbed == ["load 99 (limit 1)"]
    assert [p.order for p in record.processes] == [1, 2]
    assert read(tmp_path / "run.jsonl").records == (record,)


def test_a_case_that_stays_disturbed_is_kept_and_marked_with_the_reason(run_with: RunWith) -> None:
    (record,) = run_with("ok", Rule(processes=2, repeats=2), disturbed=range(9))
    assert [(a.number, a.set_aside) for a in record.attempts] == [(0, True), (0, True), (0, False), (1, False)]
    assert all(a.surroundings and a.surroundings.disturbed for a in record.counted)


def test_a_process_that_failed_while_disturbed_is_not_repeated(run_with: RunWith) -> None:
    (record,) = run_with("exit", Rule(repeats=1), disturbed=[0])
    assert [(a.status, a.set_aside) for a in record.attempts] == [("failed", False)]


def test_processes_of_several_cases_are_interleaved_and_the_order_is_in_the_record(
    run_with: RunWith, tmp_path: Path
) -> None:
    run_with("ok,ok,ok", Rule(processes=3))
    stored = read(tmp_path / "run.jsonl")
    order = [(a.number, a.case.batch) for a in stored.attempts]
    assert [number for number, _ in order] == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert [a.order for a in stored.attempts] == list(range(9))
    assert order == [(n, c.batch) for n in range(3) for c in round_order(stored.header.plan, stored.header.rule, n)]
    assert all([p.order for p in r.processes] == [a.order for a in r.counted] for r in stored.records)


@pytest.mark.parametrize("kept", [1, 4, 5])
def test_a_run_that_was_cut_off_in_a_round_goes_on_with_its_next_process(
    run_with: RunWith, tmp_path: Path, listener: Listener, stand_in: StandIn, kept: int
) -> None:
    run_with("ok,ok", Rule(processes=3, repeats=1), disturbed=[3])
    path = tmp_path / "run.jsonl"
    whole = [(a.case, a.number, a.order, a.set_aside) for a in read(path).attempts]
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[: 1 + kept]) + lines[1 + kept][:50])
    with RunFile.resume(path) as run_file:
        lookout = Quiet(run_file.attempts, disturbed=[3])
        run(run_file.pending(), run_file, listener, stand_in("ok"), calibrate=False, lookout=lookout)
    assert [(a.case, a.number, a.order, a.set_aside) for a in read(path).attempts] == whole


def test_what_goes_on_around_a_worker_is_in_its_attempt(run_with: RunWith) -> None:
    (record,) = run_with("slow:0.3")
    around = record.attempts[0].surroundings
    assert around is not None
    assert around.wall_s > 0.3
    assert around.before.taken_utc < around.after.taken_utc
    for part in (around, around.before, around.after):
        nulls = {name for name in part.__struct_fields__ if getattr(part, name) is None}
        assert nulls <= set(part.absent)


def test_energy_is_measured_from_the_first_timed_step_to_the_last(run_with: RunWith) -> None:
    (record,) = run_with("slow:0.7")
    energy = record.processes[0].energy
    assert 0.7 <= energy.window_s < 3
    assert energy.images == ENERGY.images
    for name in ("gpu_counter_joules", "gpu_integrated_joules", "cpu_package_joules"):
        assert getattr(energy, name) is not None or energy.absent[name]


CEILINGS = """
import os, sys, msgspec
from xibench.record.schema import Copy, Product
from xibench.run.messages import Ceilings, CeilingsRequest
asked = msgspec.json.decode(sys.stdin.buffer.readline(), type=CeilingsRequest)
name = asked.framework
if name == "jax":
    sys.exit(3)
products = [Product(framework=name, precision=p, n=512, flops_per_s=2e9) for p in asked.precisions]
answer = Ceilings(products, [Copy(framework=name, size_bytes=64, bytes_per_s=1e9)])
os.write(int(sys.argv[-1]), msgspec.json.encode(answer) + b"\\n")
"""


@pytest.fixture
def ceilings_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "ceilings.py"
    path.write_text(CEILINGS)
    monkeypatch.setattr(interpreters, "module_command", lambda framework, module: [sys.executable, "-P", str(path)])


@pytest.mark.usefixtures("ceilings_worker")
def test_ceilings_come_before_the_first_case_once_and_again_in_another_environment(
    tmp_path: Path, listener: Listener, stand_in: StandIn
) -> None:
    plan = [small_case("pytorch"), small_case("jax")]
    with RunFile.create(tmp_path / "run.jsonl", header(plan)) as run_file:
        (first,) = run(plan[:1], run_file, listener, stand_in("ok"), lookout=Quiet())
        run(run_file.pending(), run_file, listener, stand_in("ok"), lookout=Quiet())
    assert len(read(run_file.path).calibrations) == 1
    assert listener.told[:3] == ["idle power", "ceilings in pytorch", "1/2"]
    assert first.costs.attainable_s is not None
    expected = max(2 * first.costs.macs / 2e9, 0)
    assert first.costs.attainable_s >= expected > 0
    assert (first.costs.attainable_as_written_s or 0) >= first.costs.attainable_s

    more = [*plan, small_case("jax", batch=2)]
    with RunFile.create(tmp_path / "more.jsonl", header(more)) as run_file:
        run(more[:1], run_file, listener, stand_in("ok"), lookout=Quiet())
    with RunFile.resume(tmp_path / "more.jsonl", "another environment") as run_file:
        (_, last) = run(run_file.pending(), run_file, listener, stand_in("ok"), lookout=Quiet())
    here, there = read(tmp_path / "more.jsonl").calibrations
    assert here.environment != there.environment == last.environment == "another environment"
    assert [p.reason for p in there.products] == ["the worker exited with code 3 during start, without a result"]
    assert last.costs.attainable_s is None
    assert "could not be measured" in last.costs.absent["attainable_s"]


def test_without_ceilings_attainable_time_is_null_with_the_reason(run_with: RunWith) -> None:
    (record,) = run_with("ok")
    assert record.costs.attainable_s is record.costs.attainable_as_written_s is None
    assert record.costs.absent["attainable_s"] == "the run's ceilings were not measured"
    assert record.costs.elementwise


@pytest.mark.usefixtures("ceilings_worker")
def test_ceilings_of_another_environment_are_not_what_a_step_is_held_against(
    tmp_path: Path, listener: Listener, stand_in: StandIn
) -> None:
    plan = [small_case(), small_case(batch=2)]
    with RunFile.create(tmp_path / "run.jsonl", header(plan)) as run_file:
        run(plan[:1], run_file, listener, stand_in("ok"), lookout=Quiet())
    with RunFile.resume(run_file.path, "another environment") as run_file:
        (record,) = run(plan[1:], run_file, listener, stand_in("ok"), calibrate=False, lookout=Quiet())
    assert record.costs.attainable_s is None


def test_a_sweep_keeps_no_more_than_one_batch_on_the_disk(
    tmp_path: Path, listener: Listener, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    kept: list[int] = []
    monkeypatch.setattr(
        listener, "finished", lambda record: kept.append(len(list(tmp_path.glob("xibench-*/batch-*.npy"))))
    )
    plan = [small_case(batch=2**n) for n in range(3)]
    with RunFile.create(tmp_path / "run.jsonl", header(plan, Rule(sweep=True))) as run_file:
        run(plan, run_file, listener, stand_in("ok"), calibrate=False, lookout=Quiet())
    assert kept == [1, 1, 1]
