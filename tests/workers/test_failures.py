from __future__ import annotations

import re

import pytest

from xibench.workers.failures import memory_reason

MIB = 2**20


@pytest.mark.parametrize("limit_bytes", [400 * MIB, 400 * MIB + 99_000])
def test_memory_held_reads_as_more_than_the_limit_also_by_one_page(limit_bytes: int) -> None:
    held, limit = re.findall(r"([\d.]+) MiB", memory_reason(limit_bytes + 4096, limit_bytes, "warm-up"))
    assert float(held) > float(limit)
    assert float(held) == pytest.approx(limit_bytes / MIB, abs=0.11)
    assert float(limit) == pytest.approx(limit_bytes / MIB, abs=0.11)
