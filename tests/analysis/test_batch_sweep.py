from __future__ import annotations

import msgspec
import pytest

from tests.builders import failure, record, small_case
from xibench.analysis.batch_sweep import Sweep, sweeps
from xibench.record.schema import Record
from xibench.record.summary import summarise


def of(*records: Record) -> list[Sweep]:
    return sweeps(map(summarise, records))


def at(batch: int, images_per_s: float) -> Record:
    return record(small_case(batch=batch), [batch / images_per_s] * 3)


def full(batch: int) -> Record:
    ended = failure(small_case(batch=batch)).attempts[0]
    return Record(case=ended.case, attempts=[msgspec.structs.replace(ended, status="out_of_memory", reason="no room")])


def test_the_knee_is_the_smallest_batch_with_95_percent_of_the_highest_throughput() -> None:
    (sweep,) = of(at(8, 100), at(1, 20), at(2, 94), at(4, 96))
    assert sweep.knee == 4
    assert sweep.best == 8
    assert [batch for batch, _ in sweep.points] == [1, 2, 4, 8]
    assert sweep.points[0][1] == pytest.approx(20)
    assert sweep.ended is None


def test_a_curve_that_still_rises_at_its_end_has_no_knee() -> None:
    (sweep,) = of(at(1, 20), at(2, 40), at(4, 80), full(8), full(16))
    assert sweep.knee is None
    assert sweep.ended == 8


def test_two_batches_make_no_curve() -> None:
    assert of(at(1, 20), at(2, 40)) == []


def test_a_series_of_which_nothing_was_measured_is_none() -> None:
    assert of(full(1), full(2), full(4)) == []


def test_cases_that_differ_in_more_than_the_batch_are_other_series() -> None:
    other = [record(small_case("jax", batch=b), [0.1] * 3) for b in (1, 2, 4)]
    assert [sweep.case.framework for sweep in of(at(1, 20), *other, at(2, 40), at(4, 60))] == ["pytorch", "jax"]


def test_latencies_of_single_images_are_no_sweep() -> None:
    single = [msgspec.structs.replace(small_case(batch=b), scenario="single-stream") for b in (1, 2, 4)]
    assert of(*(record(case) for case in single)) == []
