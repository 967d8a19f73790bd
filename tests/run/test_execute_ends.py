from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from tests.builders import header, small_case
from tests.processes import GENEROUS_S, wait_for_pids, wait_until_gone
from tests.run.conftest import Listener, Quiet, StandIn
from tests.starting import HEAVY, cpu_time_over_bare, imported
from xibench.errors import Interrupted, StoreError
from xibench.record.schema import SamplingConfig
from xibench.record.store import RunFile, read
from xibench.run.execute import run

ROOT = Path(__file__).parents[2]
MANY = "msgspec.structs.replace(small_case(), weights=f'seed:{n}') for n in range(20)"

PARENT = "import xibench.cli.commands.run, xibench.run.execute"

RUN = """
import sys
from tests.builders import header, small_case
from tests.run.conftest import Listener, Quiet
from xibench.errors import XibenchError
from xibench.record.schema import SamplingConfig
from xibench.record.store import RunFile
from xibench.run.execute import run
path, *worker = sys.argv[1:]
plan = [small_case(batch=n) for n in (1, 2)]
try:
    with RunFile.create(path, header(plan, SamplingConfig())) as run_file:
        run(plan, run_file, Listener(), worker=worker, calibrate=False, conditions=Quiet())
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


def test_ctrl_c_kills_the_worker_and_its_children_and_says_how_to_resume(tmp_path: Path, stand_in: StandIn) -> None:
    path, pid_file = tmp_path / "run.jsonl", tmp_path / "pids"
    parent = start_run(path, stand_in(f"ok,child:{pid_file}"))
    pids = wait_for_pids(pid_file)
    os.killpg(parent.pid, signal.SIGINT)
    out, err = parent.communicate(timeout=GENEROUS_S)
    assert err == ""
    assert out.strip() == f"interrupted after 1 of 2 processes; go on with `xibench run --resume {path}`"
    assert parent.returncode == 130
    wait_until_gone(*pids)
    stored = read(path)
    assert [r.status for r in stored.records] == ["ok"]
    assert not stored.cut_line


def test_ctrl_c_at_the_terminal_does_not_reach_the_worker(tmp_path: Path, stand_in: StandIn) -> None:
    pid_file = tmp_path / "pids"
    parent = start_run(tmp_path / "run.jsonl", stand_in(f"child:{pid_file},ok"))
    worker, _ = wait_for_pids(pid_file)
    assert os.getsid(worker) == worker != os.getsid(parent.pid)
    os.killpg(parent.pid, signal.SIGINT)
    parent.communicate(timeout=GENEROUS_S)


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
        cwd=ROOT, text=True, capture_output=True, check=False, timeout=GENEROUS_S,
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
        cwd=ROOT, text=True, capture_output=True, check=False, timeout=GENEROUS_S,
    )  # fmt: skip
    assert done.returncode == StoreError.exit_code
    assert "the batch of 1 images cannot be written to" in done.stdout
    assert "name another folder in TMPDIR" in done.stdout


def test_a_worker_ends_with_its_parent_even_if_that_is_killed(tmp_path: Path) -> None:
    pid_file = tmp_path / "pids"
    (tmp_path / "jax.py").write_text(
        f"import os, pathlib, time\npathlib.Path({str(pid_file)!r}).write_text(str(os.getpid()))\ntime.sleep(3600)\n"
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
    wait_until_gone(*pids)


@pytest.mark.skipif(sys.platform != "linux", reason="reads the high-water mark from /proc")
def test_the_parent_stays_under_150_mib_with_a_batch_of_64_images(tmp_path: Path, stand_in: StandIn) -> None:
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
    (tmp_path / "images").mkdir()
    Image.effect_noise((6000, 4000), 40).convert("RGB").save(tmp_path / "images" / "large.jpg")
    code = "import atexit, runpy\n"
    code += "atexit.register(lambda: print(*[x for x in open('/proc/self/status') if x.startswith('VmHWM')]))\n"
    code += "runpy.run_module('xibench', run_name='__main__', alter_sys=True)"
    arguments = ["-f", "pytorch", "-m", "xception", "--variant", "narrow", "--resolution", "75", "--batch", "1"]
    done = subprocess.run(
        [sys.executable, "-c", code, "run", *arguments, "--images", "images", "--time-limit", "0.1"],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, text=True, capture_output=True, check=False,
    )  # fmt: skip
    assert "none of 1 case could be measured" in done.stderr
    *_, (_, peak_kib, _) = (line.split() for line in done.stdout.splitlines() if line.startswith("VmHWM"))
    assert int(peak_kib) < 150 * 1024


@pytest.mark.alone
def test_the_parent_starts_in_a_few_times_what_a_bare_command_line_takes() -> None:
    assert cpu_time_over_bare(PARENT) < 6


def test_the_parent_starts_without_a_framework_numpy_or_anything_else_that_is_heavy() -> None:
    assert not imported(PARENT) & HEAVY


def test_interrupted_is_raised_with_the_file_quoted_for_a_shell(
    tmp_path: Path, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(listener, "started", interrupt)
    plan = [small_case()]
    with (
        RunFile.create(tmp_path / "my run.jsonl", header(plan, SamplingConfig())) as run_file,
        pytest.raises(Interrupted, match=r"--resume '.*my run.jsonl'"),
    ):
        run(plan, run_file, listener, calibrate=False, conditions=Quiet())
