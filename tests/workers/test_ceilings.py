from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import cast

import psutil
import pytest

from frameworks.api import Prepares
from frameworks.errors import Unsupported
from tests.measure.fake_clock import FakeClock
from tests.workers.listener import RecordingListener
from xibench.measure.phase import Phase
from xibench.workers import ceilings
from xibench.workers.messages import Ceilings, MeasureCeilings


class FakeDevice:
    """An implementation on a fake clock whose matmuls run at a rate per size, and whose copies at 2 GB/s each way."""

    def __init__(self, rates: dict[int, float], error: Exception | None = None) -> None:
        self.clock = FakeClock()
        self.rates = rates
        self.error = error
        self.sizes: list[int] = []

    def load(self, framework: str) -> Prepares:
        return cast(Prepares, self)  # ceilings take no network

    def touch(self, device: str) -> str:
        return "ACME"

    def matmul(self, n: int, precision: str, device: str) -> Callable[[], None]:
        if self.error:
            raise self.error
        if n not in self.rates:
            raise MemoryError(f"no room for {n} rows")
        self.sizes.append(n)
        return lambda: self.clock.advance(2 * n**3 / self.rates[n])

    def copy(self, size_bytes: int, device: str) -> Callable[[], None]:
        if self.error:
            raise self.error
        return lambda: self.clock.advance(size_bytes / 2e9)


def measured(fake: FakeDevice, budget_s: float = 1.0) -> Ceilings:
    request = MeasureCeilings(framework="jax", device="cpu", precisions=["fp32"], budget_s=budget_s)
    listener = RecordingListener()
    found = ceilings.measure_ceilings(request, listener, fake.load, fake.clock)
    assert listener.heard == [Phase.IMPORT, "matmul fp32", "copy"]
    return found


def test_the_peak_is_the_rate_of_the_fastest_size() -> None:
    fake = FakeDevice({512: 50e9, 1024: 200e9, 2048: 100e9, 4096: 100e9})
    (matmul,) = measured(fake, 100.0).matmuls
    assert matmul.n == 1024
    assert matmul.flops_per_s == pytest.approx(200e9)
    assert fake.sizes == [512, 1024, 2048, 4096]


def test_a_size_expected_to_exceed_the_budget_is_not_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ceilings, "last_level_cache_bytes", lambda: 2**25)  # the copied array is several times as large
    slow = FakeDevice(dict.fromkeys((512, 1024, 2048, 4096), 1e9))
    (matmul,) = measured(slow).matmuls
    assert slow.sizes == [512]
    assert matmul.n == 512
    assert matmul.flops_per_s == pytest.approx(1e9)
    assert slow.clock.now() < 4


def test_a_size_that_does_not_fit_leaves_the_smaller_ones() -> None:
    (matmul,) = measured(FakeDevice({512: 50e9}), 100.0).matmuls
    assert (matmul.n, matmul.reason) == (512, None)


def test_the_ceiling_is_the_fastest_call_and_all_calls_are_recorded() -> None:
    fake = FakeDevice({512: 50e9})
    slower = iter([0.5, 0.5, 3.0, 1.5, 1.0] + [1.2] * 1000)  # the first two calls are discarded

    def matmul(n: int, precision: str, device: str) -> Callable[[], None]:
        if n != 512:
            raise MemoryError(f"no room for {n} rows")
        return lambda: fake.clock.advance(next(slower) * 2 * n**3 / 50e9)

    fake.matmul = matmul  # type: ignore[method-assign]
    (made,) = measured(fake, 0.04).matmuls
    assert made.flops_per_s == pytest.approx(50e9)
    assert made.calls_s[:3] == pytest.approx([f * 2 * 512**3 / 50e9 for f in (3.0, 1.5, 1.0)])


def test_a_copy_counts_bytes_read_and_bytes_written() -> None:
    (copy,) = measured(FakeDevice({512: 50e9})).copies
    assert copy.bytes_per_s == pytest.approx(4e9)


@pytest.mark.parametrize(
    ("error", "reason"),
    [(Unsupported("jax sees no cuda"), "jax sees no cuda"), (ValueError("no\nluck"), "ValueError: no luck")],
)
def test_a_ceiling_that_cannot_be_measured_is_null_with_the_reason(error: Exception, reason: str) -> None:
    found = measured(FakeDevice({}, error))
    (matmul,), (copy,) = found.matmuls, found.copies
    assert (matmul.n, matmul.flops_per_s, matmul.reason) == (None, None, reason)
    assert (copy.size_bytes, copy.bytes_per_s, copy.reason) == (None, None, reason)


@pytest.mark.parametrize(("cache_bytes", "size_bytes"), [(2**26, 2**28), (None, 2**26), (2**60, 2**30)])
def test_the_copied_array_exceeds_the_cache_and_fits_in_memory(
    cache_bytes: int | None, size_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ceilings, "last_level_cache_bytes", lambda: cache_bytes)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=2**33))
    (copy,) = measured(FakeDevice({512: 50e9})).copies
    assert copy.size_bytes == size_bytes
