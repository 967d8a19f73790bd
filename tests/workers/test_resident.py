from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from xibench.workers.resident import Resident, limit_bytes, oom_kills

NOWHERE = Path("/no/such/file")
GROUP = {"memory.max": "1000000\n", "memory.current": "400000\n", "memory.stat": "anon 1\ninactive_file 100000\n"}


def group(folder: Path, **changes: str) -> Path:
    for name, text in (GROUP | {name.replace("_", "."): text for name, text in changes.items()}).items():
        (folder / name).write_text(text)
    return folder


def test_what_was_asked_for_is_the_limit() -> None:
    assert limit_bytes(123) == 123


def test_the_limit_is_nine_tenths_of_what_the_control_group_leaves(tmp_path: Path) -> None:
    assert limit_bytes(None, group(tmp_path), NOWHERE) == int(0.9 * (1_000_000 - 300_000))


@pytest.mark.parametrize("most", ["max\n", "99999999999999999\n"])
def test_a_group_without_a_limit_leaves_what_the_kernel_has(tmp_path: Path, most: str) -> None:
    available = psutil.virtual_memory().available
    assert limit_bytes(None, group(tmp_path, memory_max=most), NOWHERE) == pytest.approx(0.9 * available, rel=0.2)


def test_a_machine_without_control_groups_leaves_what_the_kernel_has(tmp_path: Path) -> None:
    assert limit_bytes(None, tmp_path, NOWHERE) == pytest.approx(0.9 * psutil.virtual_memory().available, rel=0.2)


def test_the_limits_of_this_process_own_group_and_of_those_around_it_count(tmp_path: Path) -> None:
    own, job = tmp_path / "cgroup", tmp_path / "groups" / "slurm" / "job_7"
    own.write_text("1:name=systemd:/elsewhere\n0::/slurm/job_7/step_0\n")
    (job / "step_0").mkdir(parents=True)
    group(job / "step_0", memory_max="max\n")
    group(job)
    assert limit_bytes(None, tmp_path / "groups", own) == int(0.9 * (1_000_000 - 300_000))


def test_what_the_out_of_memory_killer_did_is_counted_by_the_kernel(tmp_path: Path) -> None:
    (tmp_path / "vmstat").write_text("nr_free_pages 5\noom_kill 3\nswap_ra 0\n")
    assert oom_kills(tmp_path / "vmstat") == 3
    assert oom_kills(tmp_path / "none") is None


PARENT = """
import subprocess, sys
hoard = "hoard = b'x' * (64 << 20); print(flush=True); input()"
child = subprocess.Popen([sys.executable, "-c", hoard], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
child.stdout.readline()
print(flush=True)  # the child holds its memory
input()
child.communicate(b"\\n")
print(flush=True)  # the child is gone
input()
"""


def test_children_count_once_they_were_found_and_are_not_looked_for_in_quiet() -> None:
    now = 0.0
    command = [sys.executable, "-c", PARENT]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1) as parent:
        assert parent.stdin is not None
        assert parent.stdout is not None
        parent.stdout.readline()
        held = Resident(parent.pid, lambda: now)
        alone = held.bytes_held(quiet=False)
        now = 5.0
        assert held.bytes_held(quiet=True) < alone + 32 * 2**20
        assert held.bytes_held(quiet=False) > alone + 60 * 2**20
        print(file=parent.stdin)
        parent.stdout.readline()
        assert held.bytes_held(quiet=True) < alone + 32 * 2**20
        print(file=parent.stdin)


def test_a_process_that_is_gone_holds_nothing() -> None:
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    assert Resident(done.pid).bytes_held(quiet=False) == 0
