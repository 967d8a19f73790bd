from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from xibench.measure.machine import CgroupLimits, cgroup_limits
from xibench.measure.memory import worker_limit_bytes

CGROUPS = Path("/sys/fs/cgroup")
MIB = 2**20


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """The folder of a process in /proc."""
    folder = tmp_path / "proc"
    folder.mkdir()
    return folder


def mount(own: Path, point: Path, kind: str, options: str, root: str = "/") -> None:
    escaped = str(point).replace(" ", "\\040")
    with (own / "mountinfo").open("a") as file:
        file.write(f"35 31 0:32 {root} {escaped} rw,relatime shared:1 - {kind} {kind} {options}\n")


def group(folder: Path, **files: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name.replace("__", ".")).write_text(f"{content}\n")
    return folder


def test_in_version_2_the_strictest_group_and_ancestor_counts(own: Path, tmp_path: Path) -> None:
    top = group(tmp_path / "cgroup", memory__max="max")
    group(top / "outer", cpu__max="150000 100000", memory__max="4096")
    group(top / "outer" / "inner", cpu__max="400000 100000", memory__max="max")
    (own / "cgroup").write_text("0::/outer/inner\n")
    mount(own, top, "cgroup2", "rw,nsdelegate")
    assert cgroup_limits(own) == CgroupLimits(cpu_quota_cores=1.5, memory_limit_bytes=4096)


def test_in_version_1_each_controller_has_its_own_hierarchy(own: Path, tmp_path: Path) -> None:
    group(tmp_path / "cpu" / "job", cpu__cfs_quota_us="50000", cpu__cfs_period_us="100000")
    group(tmp_path / "memory" / "box", memory__limit_in_bytes="8192")
    group(tmp_path / "memory" / "job", memory__limit_in_bytes="1")  # of another process
    (own / "cgroup").write_text("4:memory:/box\n1:cpu,cpuacct:/job\n0::/\n")
    mount(own, tmp_path / "cpu", "cgroup", "rw,cpu,cpuacct")
    mount(own, tmp_path / "memory", "cgroup", "rw,memory")
    assert cgroup_limits(own) == CgroupLimits(cpu_quota_cores=0.5, memory_limit_bytes=8192)


def test_in_a_container_the_mount_point_is_the_visible_root(own: Path, tmp_path: Path) -> None:
    point = group(tmp_path / "a folder", cpu__max="200000 100000")
    (own / "cgroup").write_text("0::/docker/abc\n")
    mount(own, point, "cgroup2", "rw", root="/docker/abc")
    assert cgroup_limits(own).cpu_quota_cores == 2.0


def test_a_path_outside_of_the_mounted_part_stands_for_the_mount_point(own: Path, tmp_path: Path) -> None:
    point = group(tmp_path / "cgroup", cpu__max="200000 100000")
    (own / "cgroup").write_text("0::/../../elsewhere\n")
    mount(own, point, "cgroup2", "rw")
    assert cgroup_limits(own).cpu_quota_cores == 2.0


def test_unlimited_resources_are_none(own: Path, tmp_path: Path) -> None:
    group(tmp_path / "cpu", cpu__cfs_quota_us="-1", cpu__cfs_period_us="100000")
    group(tmp_path / "memory", memory__limit_in_bytes="9223372036854771712")
    group(tmp_path / "unified", cpu__max="max 100000", memory__max="max")
    (own / "cgroup").write_text("4:memory:/\n1:cpu:/\n0::/\n")
    mount(own, tmp_path / "cpu", "cgroup", "rw,cpu")
    mount(own, tmp_path / "memory", "cgroup", "rw,memory")
    mount(own, tmp_path / "unified", "cgroup2", "rw")
    assert cgroup_limits(own) == CgroupLimits(None, None)


def test_without_control_groups_nothing_is_limited(tmp_path: Path) -> None:
    assert cgroup_limits(tmp_path) == CgroupLimits(None, None)


V2_MEMORY = {"memory__max": "1000000", "memory__current": "400000", "memory__stat": "anon 1\ninactive_file 100000"}
V1_MEMORY = {
    "memory__limit_in_bytes": "1000000", "memory__usage_in_bytes": "400000",
    "memory__stat": "cache 7\ninactive_file 5\ntotal_inactive_file 100000",
}  # fmt: skip


@pytest.mark.parametrize("version", [1, 2])
def test_a_worker_may_take_ninety_per_cent_of_what_the_control_groups_leave(
    own: Path, tmp_path: Path, version: int
) -> None:
    """The limit is the parent group's, and the file cache counts as free."""
    group(tmp_path / "groups" / "job", **(V2_MEMORY if version == 2 else V1_MEMORY))
    group(tmp_path / "groups" / "job" / "step", memory__max="max")
    controller = "0::" if version == 2 else "7:memory:"
    (own / "cgroup").write_text(f"1:name=systemd:/elsewhere\n{controller}/job/step\n")
    mount(own, tmp_path / "groups", "cgroup2" if version == 2 else "cgroup", "rw" if version == 2 else "rw,memory")
    assert worker_limit_bytes(None, own) == int(0.9 * (1_000_000 - 300_000))


@pytest.mark.parametrize("limit", ["max", "99999999999999999"])
def test_a_group_without_a_limit_leaves_the_memory_that_the_kernel_has(own: Path, tmp_path: Path, limit: str) -> None:
    group(tmp_path / "groups", **(V2_MEMORY | {"memory__max": limit}))
    (own / "cgroup").write_text("0::/\n")
    mount(own, tmp_path / "groups", "cgroup2", "rw")
    assert worker_limit_bytes(None, own) == pytest.approx(0.9 * psutil.virtual_memory().available, rel=0.2)


def test_a_machine_without_control_groups_leaves_the_memory_that_the_kernel_has(tmp_path: Path) -> None:
    assert worker_limit_bytes(None, tmp_path) == pytest.approx(0.9 * psutil.virtual_memory().available, rel=0.2)


def test_a_requested_limit_is_the_limit() -> None:
    assert worker_limit_bytes(123) == 123


@contextmanager
def real_group(controller: str, **files: str) -> Iterator[Path]:
    """Create a control group of this machine's kernel; skip the test if that is not possible.

    Args:
        controller: Hierarchy of version 1.
        files: Content of the group's files, by name with `__` for the dot.
    """
    folder = (CGROUPS / controller if (CGROUPS / controller).exists() else CGROUPS) / f"xibench-test-{os.getpid()}"
    try:
        folder.mkdir()
        for name, content in files.items():
            (folder / name.replace("__", ".")).write_text(content)
    except OSError as error:
        if folder.exists():
            folder.rmdir()
        pytest.skip(f"no control group can be made here: {error}")
    try:
        yield folder
    finally:
        folder.rmdir()


def printed_in(folder: Path, program: str) -> str:
    """Run a Python program in a control group and return its output."""
    enter = f"echo $$ > '{folder}/cgroup.procs' && exec '{sys.executable}' -c '{program}'"
    done = subprocess.run(["sh", "-c", enter], capture_output=True, text=True, check=False)
    if "cgroup.procs" in done.stderr:
        pytest.skip(f"no process can be put into a control group here: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_quota_set_in_this_machines_kernel_is_seen_by_a_process_under_it() -> None:
    v1 = (CGROUPS / "cpu").exists()
    files = {"cpu__cfs_period_us": "100000", "cpu__cfs_quota_us": "25000"} if v1 else {"cpu__max": "25000 100000"}
    program = "from xibench.measure.machine import cgroup_limits; print(cgroup_limits().cpu_quota_cores)"
    with real_group("cpu", **files) as folder:
        assert printed_in(folder, program) == "0.25"


def test_a_memory_limit_set_in_this_machines_kernel_limits_a_worker_started_under_it() -> None:
    v1 = (CGROUPS / "memory").exists()
    limit_bytes = 200 * MIB
    program = (
        "from xibench.measure.machine import cgroup_limits; from xibench.measure.memory import worker_limit_bytes; "
        "print(cgroup_limits().memory_limit_bytes, worker_limit_bytes(None))"
    )
    with real_group("memory", **{"memory__limit_in_bytes" if v1 else "memory__max": str(limit_bytes)}) as folder:
        limit, for_worker = map(int, printed_in(folder, program).split())
    assert limit == limit_bytes
    assert 0.5 * limit_bytes < for_worker < 0.9 * limit_bytes
