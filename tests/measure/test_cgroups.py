from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from xibench.measure.cgroups import CgroupLimits, limits

V1_CPU = Path("/sys/fs/cgroup/cpu")
V2 = Path("/sys/fs/cgroup")
NAME = f"xibench-test-{os.getpid()}"


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A process's folder in /proc."""
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


def test_version_2_the_strictest_group_on_the_way_up_counts(own: Path, tmp_path: Path) -> None:
    top = group(tmp_path / "cgroup", memory__max="max")
    group(top / "outer", cpu__max="150000 100000", memory__max="4096")
    group(top / "outer" / "inner", cpu__max="400000 100000", memory__max="max")
    (own / "cgroup").write_text("0::/outer/inner\n")
    mount(own, top, "cgroup2", "rw,nsdelegate")
    assert limits(own) == CgroupLimits(cpu_quota_cores=1.5, memory_limit_bytes=4096)


def test_version_1_has_a_hierarchy_for_each_controller(own: Path, tmp_path: Path) -> None:
    group(tmp_path / "cpu" / "job", cpu__cfs_quota_us="50000", cpu__cfs_period_us="100000")
    group(tmp_path / "memory" / "box", memory__limit_in_bytes="8192")
    group(tmp_path / "memory" / "job", memory__limit_in_bytes="1")  # of another process
    (own / "cgroup").write_text("4:memory:/box\n1:cpu,cpuacct:/job\n0::/\n")
    mount(own, tmp_path / "cpu", "cgroup", "rw,cpu,cpuacct")
    mount(own, tmp_path / "memory", "cgroup", "rw,memory")
    assert limits(own) == CgroupLimits(cpu_quota_cores=0.5, memory_limit_bytes=8192)


def test_in_a_container_the_mounted_group_is_the_root_of_what_is_seen(own: Path, tmp_path: Path) -> None:
    point = group(tmp_path / "a folder", cpu__max="200000 100000")
    (own / "cgroup").write_text("0::/docker/abc\n")
    mount(own, point, "cgroup2", "rw", root="/docker/abc")
    assert limits(own).cpu_quota_cores == 2.0


def test_a_path_outside_of_what_is_mounted_stands_for_the_mount_point(own: Path, tmp_path: Path) -> None:
    point = group(tmp_path / "cgroup", cpu__max="200000 100000")
    (own / "cgroup").write_text("0::/../../elsewhere\n")
    mount(own, point, "cgroup2", "rw")
    assert limits(own).cpu_quota_cores == 2.0


def test_what_is_not_limited_is_none(own: Path, tmp_path: Path) -> None:
    group(tmp_path / "cpu", cpu__cfs_quota_us="-1", cpu__cfs_period_us="100000")
    group(tmp_path / "memory", memory__limit_in_bytes="9223372036854771712")
    group(tmp_path / "unified", cpu__max="max 100000", memory__max="max")
    (own / "cgroup").write_text("4:memory:/\n1:cpu:/\n0::/\n")
    mount(own, tmp_path / "cpu", "cgroup", "rw,cpu")
    mount(own, tmp_path / "memory", "cgroup", "rw,memory")
    mount(own, tmp_path / "unified", "cgroup2", "rw")
    assert limits(own) == CgroupLimits(None, None)


def test_without_control_groups_nothing_is_limited(tmp_path: Path) -> None:
    assert limits(tmp_path) == CgroupLimits(None, None)


@pytest.fixture
def limited_group() -> Iterator[Path]:
    """A control group of this machine with a quota of a quarter of a core."""
    v1 = (V1_CPU / "cpu.cfs_quota_us").exists()
    folder = (V1_CPU if v1 else V2) / NAME
    try:
        folder.mkdir()
        if v1:
            (folder / "cpu.cfs_period_us").write_text("100000")
            (folder / "cpu.cfs_quota_us").write_text("25000")
        else:
            (folder / "cpu.max").write_text("25000 100000")
        yield folder
    except OSError as error:
        pytest.skip(f"no control group can be made here: {error}")
    finally:
        if folder.exists():
            folder.rmdir()


def test_a_quota_of_this_machines_kernel_is_seen_by_a_process_under_it(limited_group: Path) -> None:
    program = "from xibench.measure.cgroups import limits; print(limits().cpu_quota_cores)"
    enter = f"echo $$ > '{limited_group}/cgroup.procs' && exec '{sys.executable}' -c '{program}'"
    done = subprocess.run(["sh", "-c", enter], capture_output=True, text=True, check=False)
    if "cgroup.procs" in done.stderr:
        pytest.skip(f"no process can be put into a control group here: {done.stderr.strip()}")
    assert done.stdout == "0.25\n", done.stderr
