from __future__ import annotations

from pathlib import Path

import pytest

from xibench.measure.machine import buffers_needed, last_level_cache_bytes

KIB = 1024


def describe(cpus: Path, core: int, index: int, **fields: str) -> None:
    folder = cpus / f"cpu{core}" / "cache" / f"index{index}"
    folder.mkdir(parents=True)
    for name, text in fields.items():
        (folder / name).write_text(text + "\n")


@pytest.fixture
def cpus(tmp_path: Path) -> Path:
    """Four cores; each pair of them shares a cache of 32 MiB."""
    for core, shared in enumerate(("0-1", "0-1", "2-3", "2-3")):
        describe(tmp_path, core, 0, type="Data", level="1", shared_cpu_list=str(core), size="32K")
        describe(tmp_path, core, 1, type="Instruction", level="9", shared_cpu_list=str(core), size="64M")
        describe(tmp_path, core, 2, type="Unified", level="2", shared_cpu_list=str(core), size="512K")
        describe(tmp_path, core, 3, type="Unified", level="3", shared_cpu_list=shared, size="32768K")
    return tmp_path


def test_a_cache_shared_by_several_cores_counts_once(cpus: Path) -> None:
    assert last_level_cache_bytes(cpus, (0, 1)) == 32768 * KIB


def test_caches_of_different_cores_are_added(cpus: Path) -> None:
    assert last_level_cache_bytes(cpus, (1, 2)) == 2 * 32768 * KIB


def test_without_a_third_level_the_second_level_is_the_last(tmp_path: Path) -> None:
    describe(tmp_path, 0, 0, type="Data", level="1", shared_cpu_list="0", size="32K")
    describe(tmp_path, 0, 1, type="Unified", level="2", shared_cpu_list="0", size="1M")
    assert last_level_cache_bytes(tmp_path, (0,)) == 1024 * KIB


def test_a_cache_that_the_kernel_does_not_describe_is_unknown(tmp_path: Path) -> None:
    assert last_level_cache_bytes(tmp_path, (0,)) is None


def test_a_batch_larger_than_the_cache_is_not_copied() -> None:
    assert buffers_needed(100, 99) == 1


def test_a_batch_is_not_copied_if_the_cache_is_unknown() -> None:
    assert buffers_needed(100, None) == 1


def test_all_copies_but_one_fill_the_cache() -> None:
    assert buffers_needed(100, 250) == 4
    assert buffers_needed(100, 100) == 2


def test_there_are_never_more_copies_than_allowed() -> None:
    assert buffers_needed(1, 10**9) == 8
    assert buffers_needed(1, 10**9, max_buffers=3) == 3
