from __future__ import annotations

import msgspec
import pytest

from tests.builders import failure, record, small_case
from xibench.record.summary import summarise


def test_throughput_is_images_per_median_step_and_its_bounds_swap() -> None:
    summary = summarise(record(small_case(batch=4), (0.1, 0.2, 0.4)))
    assert summary.step_s is not None
    assert summary.images_per_s is not None
    assert summary.images_per_s.median == pytest.approx(20)
    assert summary.images_per_s.low == pytest.approx(4 / (summary.step_s.high or 0))
    assert summary.macs_per_s == pytest.approx(300 / 0.2)


def test_peak_memory_is_what_came_on_top_of_the_framework() -> None:
    assert summarise(record(small_case())).peak_bytes == 250


def test_a_case_without_a_measurement_has_no_figure_and_says_why() -> None:
    summary = summarise(failure(small_case(), "the worker exited"))
    assert summary.step_s is summary.images_per_s is summary.peak_bytes is None
    assert summary.absent["step_s"] == "the worker exited"


def test_why_a_figure_is_missing_stands_under_the_figures_own_name() -> None:
    measured = record(small_case())
    process = msgspec.structs.replace(
        measured.processes[0],
        memory=msgspec.structs.replace(measured.processes[0].memory, host_peak_bytes=None),
        absent={"host_peak_bytes": "cannot be reset", "device_peak_allocated_bytes": "on the CPU"},
    )
    summary = summarise(msgspec.structs.replace(measured, processes=[process]))
    assert (summary.peak_bytes, summary.absent["peak_bytes"]) == (None, "cannot be reset")
    assert (summary.device_peak_bytes, summary.absent["device_peak_bytes"]) == (None, "on the CPU")
