from __future__ import annotations

import msgspec
import pytest

from tests.builders import failure, record, small_case
from xibench.analysis.batch_sweep import Sweep, sweeps
from xibench.record.schema import Record
from xibench.record.summary import summarise


def sweeps_of(*records: Record) -> list[Sweep]:
    return sweeps(map(summarise, records))


def measured(batch: int, images_per_s: float) -> Record:
    return record(small_case(batch=batch), [batch / images_per_s] * 3)


def out_of_memory(batch: int) -> Record:
    failed = failure(small_case(batch=batch)).attempts[0]
    attempt = msgspec.structs.replace(failed, status="out_of_memory", reason="no room")
    return Record(case=failed.case, attempts=[attempt])


def test_the_knee_is_the_smallest_batch_with_95_percent_of_the_highest_throughput() -> None:
    (sweep,) = sweeps_of(measured(8, 100), measured(1, 20), measured(2, 94), measured(4, 96))
    assert sweep.knee == 4
    assert sweep.best == 8
    assert [batch for batch, _ in sweep.points] == [1, 2, 4, 8]
    assert sweep.points[0][1] == pytest.approx(20)
    assert sweep.out_of_memory is None


def test_a_sweep_whose_throughput_still_rises_has_no_knee() -> None:
    (sweep,) = sweeps_of(measured(1, 20), measured(2, 40), measured(4, 80), out_of_memory(8), out_of_memory(16))
    assert sweep.knee is None
    assert sweep.out_of_memory == 8


def test_two_batches_are_not_a_sweep() -> None:
    assert sweeps_of(measured(1, 20), measured(2, 40)) == []


def test_a_series_without_measurements_is_not_a_sweep() -> None:
    assert sweeps_of(out_of_memory(1), out_of_memory(2), out_of_memory(4)) == []


def test_cases_that_differ_in_more_than_the_batch_belong_to_different_sweeps() -> None:
    other = [record(small_case("jax", batch=b), [0.1] * 3) for b in (1, 2, 4)]
    found = sweeps_of(measured(1, 20), *other, measured(2, 40), measured(4, 60))
    assert [sweep.case.framework for sweep in found] == ["pytorch", "jax"]


def test_single_stream_cases_are_not_a_sweep() -> None:
    single = [msgspec.structs.replace(small_case(batch=b), scenario="single-stream") for b in (1, 2, 4)]
    assert sweeps_of(*(record(case) for case in single)) == []
