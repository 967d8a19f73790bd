"""Sentences of the site, made from random records and checked against what is computed from them.

Each kind of sentence names the true extremum among the cases that are ranked, names every case that is not, and calls
nothing fastest whose interval overlaps that of another case.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dashboards import takeaways
from dashboards.pages import accuracy, batch, latency
from dashboards.runs import Group, LoadedRun, Panel, Row
from dashboards.sections import queries, roofline, server
from tests.dashboards import examples
from xibench.analysis.published_accuracy import reference_accuracy
from xibench.record import format as fmt
from xibench.record.metrics import (
    ATTAINED,
    HIGHEST_RATE_HZ,
    IMAGES_PER_S,
    JOULES_PER_IMAGE,
    LATENCY,
    MACS_PER_S,
    PEAK_BYTES,
    STEP_S,
    Metric,
    central,
)
from xibench.record.schema import Case, RateTrial, Record, Status
from xibench.record.summary import Summary, summarise

FRAMEWORKS = ("pytorch", "tensorflow", "jax")
RECIPES = ("default", "tuned")
BUSY = "others took some"

shares = st.sampled_from([0.0, 0.0, 0.0, 0.09, 0.67])
middles = st.lists(st.sampled_from([0.1, 0.101, 0.2, 1.0]), min_size=1, max_size=3)
statuses: st.SearchStrategy[Status] = st.sampled_from(["ok", "ok", "ok", "ok", "failed", "out_of_memory"])
counts = st.sampled_from([3, 12, 40, 400])


@st.composite
def panels(draw: st.DrawFn, scenario: str = "offline", batches: Sequence[int] = (8,)) -> Panel:
    """Draw the rows of one network: frameworks and recipes, some failed, disturbed or with few steps."""
    rows = []
    size = 1 if scenario in ("single-stream", "server") else None
    for framework in FRAMEWORKS:
        for recipe in draw(st.sets(st.sampled_from(RECIPES), min_size=1).map(sorted)):
            for images in batches:
                case = Case(
                    framework=framework, model="xception", recipe=recipe, scenario=scenario, batch=size or images
                )
                rows.append(row_of(draw(records(case))))
    return Panel("xception", "default", 299, tuple(rows))


@st.composite
def records(draw: st.DrawFn, case: Case) -> Record:
    status = draw(statuses)
    if status != "ok":
        return examples.refused(case, status, "a reason")
    share, n = draw(shares), draw(counts)
    energy = draw(st.sampled_from([None, 40.0]))
    steps = [[m * (1 + 0.0001 * i) for i in range(n)] for m in draw(middles)]
    made = examples.several(case, *steps)
    around = examples.surroundings([BUSY] if share > 0.05 else [], others_share=share)
    attempts = [msgspec.structs.replace(a, surroundings=around) for a in made.attempts]
    record = msgspec.structs.replace(made, attempts=attempts)
    for number, a in enumerate(record.attempts):
        assert a.process
        record = examples.change(record, number, energy=examples.energy(case, a.process.steps_s, energy))
        if case.scenario == "server":
            rate = draw(st.sampled_from([None, 1.0, 1.5, 7.0]))
            trial = RateTrial(rate_hz=rate or 1.0, latencies_s=[0.2] * 400, p99_s=0.2, within=rate is not None)
            record = examples.change(record, number, bound_s=0.3, highest_rate_hz=rate, trials=[trial])
    return record


def row_of(record: Record) -> Row:
    return Row(record, summarise(record, examples.calibration()))


def group_of(panel: Panel) -> Group:
    head = examples.header([row.case for row in panel.rows])
    run = LoadedRun("run.jsonl", "0" * 64, b"", head, panel.rows, (), (), (), 1, False)
    return Group("group-1", run, panel.rows[0].case, (panel,))


def ranked(panel: Panel, metric: Metric[Any]) -> list[Summary]:
    """What may be ranked, by an implementation of its own: the cases with a figure that is not in parentheses."""
    return [
        row.summary for row in panel.rows
        if central(row.summary[metric]) is not None
        and (metric is PEAK_BYTES or (row.summary.taken_share or 0.0) <= 0.2)
    ]


def says_who_is_left_out(sentence: str, panel: Panel, metric: Metric[Any]) -> None:
    """Check that the cases that are not ranked are named, or counted where they are many."""
    left_out = [row for row in panel.rows if row.summary not in ranked(panel, metric)]
    named = sentence.partition("Not ranked: ")[2]
    more = re.search(r" and (\d+) more\.", named)
    assert sum(f"{row.framework} {row.recipe} (" in named for row in left_out) + int(more[1] if more else 0) == len(
        left_out
    ), sentence
    for row in panel.rows:
        if row not in left_out:
            assert f"{row.framework} {row.recipe} (" not in named


def ends_of(sentence: str) -> list[str]:
    """The names in parentheses at the two ends of a range: `from X (JAX tuned) to Y (PyTorch default)`."""
    return re.findall(r"\(((?:PyTorch|TensorFlow|JAX) (?:default|tuned))(?: on Xception at batch 8)?\)", sentence)


def names_the_extrema(sentence: str, panel: Panel, metric: Metric[Any], low_first: bool = True) -> None:
    """Check the two ends of a range against the extrema of all ranked cases, and who is left out."""
    says_who_is_left_out(sentence, panel, metric)
    found = ranked(panel, metric)
    values = [value for s in found if (value := central(s[metric])) is not None]
    named = ends_of(sentence.partition("Not ranked")[0])
    if len(found) > 1 and named:
        assert len(named) == 2, sentence
        by_name = {takeaways.name(s): central(s[metric]) for s in found}
        assert [by_name[name] for name in named] == sorted([min(values), max(values)], reverse=not low_first), sentence
    elif len(found) == 1:
        assert named in ([takeaways.name(found[0])], [])
    elif not found:
        assert named == []


def apart(one: Summary, other: Summary) -> bool:
    """Whether the first is faster beyond both intervals, each over several processes."""
    a, b = one.step_s, other.step_s
    assert a
    assert b
    several = min(one.processes, other.processes) > 1
    return several and a.high is not None and b.low is not None and a.high < b.low


@settings(deadline=None, max_examples=60)
@given(panels())
def test_throughput(panel: Panel) -> None:
    sentence = takeaways.throughput(panel)
    says_who_is_left_out(sentence, panel, IMAGES_PER_S)
    found = ranked(panel, IMAGES_PER_S)
    if not found:
        assert sentence.startswith("No case of Xception is ranked.")
        return
    rates = {s.case.key: s.images_per_s.median for s in found if s.images_per_s}
    best = [s for s in found if rates[s.case.key] == max(rates.values())]  # of times that differ by a rounding, several
    lead = sentence.partition(" has the highest median")[0].partition(" is fastest")[0].partition(" ran ")[0]
    (first,) = [s for s in best if takeaways.name(s) == lead]
    others = [s for s in found if s is not first]
    assert first.images_per_s
    assert f"{fmt.estimate(first.images_per_s)} images/s" in sentence
    if "is fastest" in sentence:
        assert others
        assert all(apart(first, other) for other in others)
    elif others:
        assert "not certain" in sentence
        several = sum(s.processes > 1 for s in found) > 1
        named = sentence.partition("certain to be faster than ")[2].partition(". It attains")[0]
        for other in others:
            if several and not apart(first, other):
                assert f"{takeaways.name(other)} (" in named
    slowest = re.search(r"([\d.,]+)× the slowest default recipe \((\w+)\)", sentence)
    if slowest:
        defaults = [s for s in others if s.case.recipe == "default" and s.images_per_s]
        assert slowest[1] == fmt.ratio(
            first.images_per_s.median / min(s.images_per_s.median for s in defaults if s.images_per_s)
        ).rstrip("×")


@settings(deadline=None, max_examples=40)
@given(panels())
def test_step_times_energy_memory_rates_and_starts(panel: Panel) -> None:
    for metric, sentence in (
        (STEP_S, takeaways.latency(panel)),
        (JOULES_PER_IMAGE, takeaways.extremes(panel, JOULES_PER_IMAGE, fmt.joules)),
        (PEAK_BYTES, takeaways.extremes(panel, PEAK_BYTES, fmt.mebibytes)),
        (MACS_PER_S, takeaways.extremes(panel, MACS_PER_S, fmt.rate)),
        (
            takeaways.TIME_TO_FIRST_RESULT,
            takeaways.extremes(panel, takeaways.TIME_TO_FIRST_RESULT, fmt.seconds_or_ms),
        ),
    ):
        names_the_extrema(sentence, panel, metric)
        times = re.search(r", ([\d.,]+)× as much", sentence)
        if times:
            values = [value for s in ranked(panel, metric) if (value := central(s[metric])) is not None]
            assert times[1] == fmt.ratio(max(values) / min(values)).rstrip("×")


@settings(deadline=None, max_examples=40)
@given(panels("single-stream"))
def test_percentiles(panel: Panel) -> None:
    """The percentile that is named is the highest one that most cases have; a case without it is named."""
    sentence = queries._takeaway(panel)
    if "has a percentile that is ranked" in sentence:
        assert not any(ranked(panel, metric) for metric in LATENCY.values())
        return
    name = sentence.removeprefix("Xception: ")[:3]
    names_the_extrema(sentence, panel, LATENCY[name])
    assert all(len(ranked(panel, metric)) <= len(ranked(panel, LATENCY[name])) for metric in LATENCY.values())


@settings(deadline=None, max_examples=40)
@given(panels("server"))
def test_rates_of_queries(panel: Panel) -> None:
    sentence = server._takeaway(panel)
    names_the_extrema(sentence, panel, HIGHEST_RATE_HZ)
    assert ("not comparable" in sentence) == (len(ranked(panel, HIGHEST_RATE_HZ)) > 1)  # no bound was given for all


@settings(deadline=None, max_examples=40)
@given(panels())
def test_the_roofline_and_accuracy(panel: Panel) -> None:
    rows = [row for row in panel.rows if row.summary.macs_per_s]
    sentence = roofline._takeaway(rows)
    shown = Panel("xception", "default", 299, tuple(rows))
    names_the_extrema(sentence, shown, ATTAINED)
    reference = reference_accuracy("xception", "default")
    assert reference
    sentence = accuracy._reached(panel, reference)
    says_who_is_left_out(sentence, panel, IMAGES_PER_S)
    found = ranked(panel, IMAGES_PER_S)
    if "the fastest)" in sentence:
        best, *others = sorted(found, key=lambda s: s.step_s.median if s.step_s else 0.0)
        assert all(apart(best, other) for other in others)
        assert takeaways.name(best) in sentence
    elif len(found) > 1:
        assert "not certain to be the fastest" in sentence


@settings(deadline=None, max_examples=30)
@given(panels(batches=(1, 2, 4)))
def test_batches(panel: Panel) -> None:
    sentence = batch._takeaway(panel)
    found = ranked(panel, IMAGES_PER_S)
    matched = re.search(r"the highest median is (.+) images/s, (\w+ \w+) at batch (\d+)", sentence)
    assert bool(matched) == bool(found), sentence
    if matched:
        rates = [rate for s in found if (rate := s.images_per_s)]
        best = max(rates, key=lambda rate: rate.median)
        assert matched[1] in {fmt.estimate(rate) for rate in rates if rate.median == best.median}
        named = [s for s in found if takeaways.name(s) == matched[2] and s.case.batch == int(matched[3])]
        assert named[0].images_per_s
        assert named[0].images_per_s.median == best.median
    ended = sentence.partition("Memory ran out for ")[2]
    for row in panel.rows:
        if row.summary.status == "out_of_memory":
            assert f"{takeaways.name(row.summary)} at batch" in ended


@settings(deadline=None, max_examples=30)
@given(panels())
def test_drift_and_outliers_count_the_cases_and_steps(panel: Panel) -> None:
    group = group_of(panel)
    measured = [row for row in panel.rows if row.ok]
    long = [row for row in measured if any(len(p.steps_s) >= 9 for p in row.record.processes)]
    sentence = takeaways.drift(group)
    if long:
        short = len(measured) - len(long)
        matched = re.search(r"(\d+) cases? of (\d+) (?:has|have) too few steps", sentence)
        assert (matched and (int(matched[1]), int(matched[2]))) == ((short, len(measured)) if short else None)
    else:
        assert sentence.startswith("No case")
    steps = sum(len(p.steps_s) for row in measured for p in row.record.processes)
    assert [f"among {fmt.plural(steps, 'step')};" in line for line in latency._outliers(group)] == [True] * bool(steps)


def test_a_case_without_a_percentile_is_named_and_not_dropped() -> None:
    """Once the slowest case, which had too few queries for a p90, was dropped, and the next one called the highest."""
    case = Case(framework="pytorch", model="xception", scenario="single-stream", batch=1)
    others = {f: msgspec.structs.replace(case, framework=f) for f in ("tensorflow", "jax")}
    rows = (
        row_of(examples.ok(case, [1.3] * 8)), row_of(examples.ok(others["tensorflow"], [0.1] * 60)),
        row_of(examples.ok(others["jax"], [0.24] * 60)),
    )  # fmt: skip
    sentence = queries._takeaway(Panel("xception", "default", 299, rows))
    assert sentence.startswith("Xception: p50 of the latency ranges from")
    assert ends_of(sentence) == ["TensorFlow default", "PyTorch default"]


@pytest.mark.parametrize("statement", [roofline._matmuls, roofline._copies])
def test_ceilings_are_said_to_be_the_fastest_call(statement: Callable[[LoadedRun], Any]) -> None:
    panel = Panel("xception", "default", 299, (row_of(examples.ok(examples.matrix()[0])),))
    caption = statement(group_of(panel).run).caption
    assert "the fastest of" in caption
    assert "median" not in caption
