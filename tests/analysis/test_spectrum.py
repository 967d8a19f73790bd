"""The networks of the spectrum, its curves, and the findings about them."""

from __future__ import annotations

import msgspec
import pytest

from frameworks.architectures import network
from frameworks.cost import cost
from frameworks.errors import InvalidConfiguration
from tests.builders import COSTS, calibration, failure, record
from xibench.analysis import spectrum
from xibench.analysis.spectrum import (
    EXTREME,
    PARAMETER_TOLERANCE,
    SEGMENTS,
    Curve,
    curves,
    largest_drop,
    members,
    selections,
    transitions,
)
from xibench.analysis.spectrum_text import finding
from xibench.record.schema import Case, Record
from xibench.run.plan import Selection, cases


def at(variant: str, step_s: float, attainable_s: float | None, framework: str = "pytorch", **case: object) -> Record:
    """Return a record of three processes with slightly different step times around `step_s`."""
    fields: dict[str, object] = {"framework": framework, "model": "xception", "variant": variant, "batch": 1} | case
    made = record(Case(**fields), *([step_s * f] * 5 for f in (0.99, 1.0, 1.01)))  # type: ignore[arg-type]
    costs = msgspec.structs.replace(COSTS, attainable_s=attainable_s)
    return Record(case=made.case, attempts=[msgspec.structs.replace(a, costs=costs) for a in made.attempts])


def paper_curve(*records: Record) -> Curve:
    (curve,) = (c for c in curves(records, calibration()) if c.widths == "paper")
    return curve


FALLING = (at("segments_4", 0.5, 0.3), at("default", 0.45, 0.09), at("segments_1", 1.0, 0.7))


def test_networks_at_equal_parameters_have_as_many_as_the_one_with_one_segment_per_channel() -> None:
    found = members(["equal"])
    assert [member.segments for member in found] == list(SEGMENTS)
    target = cost(network("xception")).parameters_trainable
    for member in found:
        assert cost(network("xception", member.variant)).parameters_trainable == member.parameters_trainable
        assert abs(member.parameters_trainable / target - 1) <= PARAMETER_TOLERANCE, member


def test_networks_at_the_papers_widths_are_the_registered_variants() -> None:
    found = members(["paper"], (3, EXTREME))
    assert [(m.variant, m.width, m.macs) for m in found] == [
        ("segments_3", 1.0, 29_290_501_948), ("default", 1.0, 8_357_403_496),
    ]  # fmt: skip


def test_networks_with_any_number_of_segments_are_recognised_in_a_run() -> None:
    found = members(["equal"], (7,))
    assert found[0].variant.startswith("segments=7+width=")
    records = [at(member.variant, 1.0, 0.5) for member in members(["paper"], (5, 7, 14))]
    assert [point.member.segments for point in paper_curve(*records).points] == [5, 7, 14]


def test_a_number_of_segments_that_cannot_split_the_network_is_refused() -> None:
    with pytest.raises(InvalidConfiguration, match="segments is 65, expected 1 to 64"):
        members(["paper"], (65,))


def test_a_network_in_both_series_is_measured_once() -> None:
    planned = cases(*selections(Selection(frameworks=("jax",), device="cpu"), members()))
    assert len(planned) == 2 * (2 * len(SEGMENTS) - 1)
    assert {(c.scenario, c.batch) for c in planned} == {("offline", 8), ("single-stream", 1)}


def test_a_curve_goes_from_the_fewest_segments_to_one_per_channel() -> None:
    assert [point.member.segments for point in paper_curve(*FALLING).points] == [1, 4, EXTREME]


def test_two_numbers_of_segments_are_not_a_curve_and_other_variants_are_ignored() -> None:
    assert curves(FALLING[:2]) == []
    assert curves([*FALLING[:2], at("no_residual", 1.0, 0.5), at("narrow+segments_2", 1.0, 0.5)]) == []


def test_each_framework_and_batch_has_its_own_curve() -> None:
    other = [at(r.case.variant, 1.0, 0.5, framework="jax", batch=8) for r in FALLING]
    found = [c for c in curves([*FALLING, *other]) if c.widths == "paper"]
    assert [(c.case.framework, c.case.batch) for c in found] == [("pytorch", 1), ("jax", 8)]


def test_a_transition_has_the_ratios_of_work_throughput_and_attained_fraction() -> None:
    first, second = transitions(paper_curve(*FALLING))
    assert (first.before.segments, first.after.segments) == (1, 4)
    assert first.work_ratio == pytest.approx(71_419_884_448 / 24_023_880_976)
    assert first.speedup.ratio == pytest.approx(2.0)
    assert first.speedup.low is not None
    assert first.speedup.low < 2.0
    assert first.attained_ratio == pytest.approx((0.3 / 0.5) / 0.7)
    assert second.attained_ratio == pytest.approx((0.09 / 0.45) / (0.3 / 0.5))


def test_multiply_adds_are_those_at_the_measured_resolution() -> None:
    small = [at(variant, 1.0, 0.5, resolution=71) for variant in ("segments_1", "segments_4", "default")]
    counted = [cost(network("xception", v, resolution=71)).macs for v in ("segments_1", "segments_4", "default")]
    assert [point.member.macs for point in paper_curve(*small).points] == counted


def test_the_largest_drop_is_the_transition_with_the_smallest_ratio_of_attained_fractions() -> None:
    curve = paper_curve(*FALLING)
    worst = largest_drop(curve)
    assert worst is not None
    assert (worst.before.segments, worst.after.segments) == (4, EXTREME)
    text = finding(curve, "PyTorch")
    assert text.startswith("PyTorch at the paper's widths: from g = 1 to g = C multiply-adds fall 8.55-fold and")
    assert "keeps 29 % of the attained fraction" in text
    assert "falls off most from g = 4 to g = C" in text


def test_a_curve_with_a_steady_attained_fraction_has_no_drop() -> None:
    level = [at(v, s, 0.7 * s) for v, s in (("segments_1", 1.0), ("segments_4", 0.4), ("default", 0.1))]
    curve = paper_curve(*level)
    assert largest_drop(curve) is None
    assert finding(curve, "JAX").endswith("No step along g reduces the attained fraction by more than a tenth.")


def test_single_stream_latency_is_joined_to_the_throughput_of_the_same_network() -> None:
    single_stream = at("segments_4", 0.2, 0.1, scenario="single-stream")
    curve = paper_curve(*FALLING, single_stream)
    known = {point.member.segments: point.latency for point in curve.points}
    assert known[1] is None
    assert known[4] is not None
    assert known[4].latency["p50"].value == pytest.approx(0.2, rel=0.02)


def test_a_network_that_could_not_be_measured_is_a_point_without_transitions() -> None:
    failed = failure(msgspec.structs.replace(FALLING[0].case, variant="segments_2"))
    curve = paper_curve(*FALLING, failed)
    assert [p.member.segments for p in curve.points] == [1, 2, 4, EXTREME]
    assert [(s.before.segments, s.after.segments) for s in transitions(curve)] == [(1, 4), (4, EXTREME)]


def test_without_ceilings_the_attained_fraction_is_unknown() -> None:
    without_ceilings = [at(f"segments_{g}", 1.0, None) for g in (1, 2, 4)]
    (curve,) = curves(without_ceilings)
    assert largest_drop(curve) is None
    text = finding(curve, "JAX")
    assert text.endswith("The attained fraction is unknown: the run has no ceilings.")
    assert "No step" not in text


def test_a_drop_to_uneven_segments_says_that_these_are_convolutions_on_slices() -> None:
    curve = paper_curve(at("segments_2", 1.0, 0.7), at("segments_3", 1.0, 0.2), at("segments_4", 1.0, 0.2))
    assert "falls off most from g = 2 to g = 3, whose segments are convolutions on slices:" in finding(curve, "JAX")


def test_a_narrow_network_belongs_to_the_equal_series_only_if_its_parameters_are_equal() -> None:
    assert curves([at(f"segments_{g}+width=0.5", 1.0, 0.5) for g in (1, 2, 4)]) == []
    equal = [at(member.variant, 1.0, 0.5) for member in members(["equal"], (1, 2, 4))]
    assert [c.widths for c in curves(equal)] == ["equal"]


@pytest.mark.parametrize("segments", [5, *(pytest.param(number, marks=pytest.mark.slow) for number in (33, 64))])
def test_a_width_with_equal_parameters_is_found_for_any_valid_number_of_segments(segments: int) -> None:
    (member,) = members(["equal"], (segments,))
    assert abs(member.parameters_trainable / 22_855_952 - 1) <= PARAMETER_TOLERANCE


def test_one_network_under_three_names_is_not_a_curve() -> None:
    assert curves([at(v, 1.0, 0.5) for v in ("default", "segments=0", "width=1")]) == []


@pytest.mark.parametrize("variant", ["width=wide", "segments_5", "segments=x", "segments_4+width=-1"])
def test_a_variant_that_cannot_be_built_is_ignored(variant: str) -> None:
    (curve,) = (c for c in curves([*FALLING, at(variant, 1.0, 0.5)]) if c.widths == "paper")
    assert len(curve.points) == len(FALLING)


def test_labels_are_numbers_or_c_for_one_segment_per_channel() -> None:
    assert [spectrum.label(g) for g in SEGMENTS] == ["1", "2", "3", "4", "8", "C"]
