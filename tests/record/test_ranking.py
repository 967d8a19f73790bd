"""Which of several cases is best, by random records: nothing is certain that is not, and nobody is forgotten."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.builders import attempt, failure, process, small_case
from xibench.record.marks import bracketed
from xibench.record.metrics import ATTAINED, IMAGES_PER_S, P50_S, PEAK_BYTES, STEP_S, Metric, bounds, central
from xibench.record.ranking import MIN_PROCESSES, is_better, lead, over_processes, processes_needed, rank
from xibench.record.schema import Record
from xibench.record.summary import Summary, summarise

FRAMEWORKS = ("pytorch", "tensorflow", "jax", "reference", "timm")
METRICS = [IMAGES_PER_S, STEP_S, P50_S, PEAK_BYTES, ATTAINED]


@dataclass(frozen=True)
class Drawn:
    """What is drawn of a case: the steps of each process, the share of the cores that others took, and its threads."""

    steps_s: Sequence[Sequence[float]]
    others_share: float | None = 0.0
    failed: bool = False
    device: str = "cpu"
    threads: int | None = 2


def made(drawn: Drawn, framework: str) -> Summary:
    case = msgspec.structs.replace(small_case(framework), device=drawn.device)
    if drawn.failed:
        return summarise(failure(case))
    share = drawn.others_share
    disturbed = [f"others took {share:.0%}"] if share is not None and share > 0.05 else []
    return summarise(Record(case=case, attempts=[
        attempt(
            case, made=msgspec.structs.replace(process(steps, n), settings={"threads": drawn.threads}), number=n,
            disturbed=disturbed, others_share=share,
        )
        for n, steps in enumerate(drawn.steps_s)
    ]))  # fmt: skip


step = st.sampled_from([0.1, 0.11, 0.2]) | st.floats(0.01, 10)
steps_of_a_process = st.lists(step, min_size=3, max_size=6)
alike = st.builds(lambda value, n: [value * (1 + 0.001 * i) for i in range(n)], step, st.integers(3, 6))
drawn_case = st.builds(
    Drawn, st.lists(steps_of_a_process | alike, min_size=1, max_size=4),
    st.sampled_from([None, 0.0, 0.04, 0.06, 0.15, 0.2, 0.21, 0.67]), st.integers(0, 9).map(lambda n: n == 0),
    st.sampled_from(["cpu", "cpu", "cpu", "cuda"]),
)  # fmt: skip
drawn_cases = st.lists(drawn_case, min_size=1, max_size=5)


def summaries_of(cases: Sequence[Drawn]) -> list[Summary]:
    return [made(drawn, framework) for drawn, framework in zip(cases, FRAMEWORKS, strict=False)]


@settings(deadline=None)
@given(drawn_cases, st.sampled_from(METRICS))
def test_every_case_is_ranked_or_named_with_the_reason_and_the_first_is_the_extremum(
    cases: list[Drawn], metric: Metric[Any]
) -> None:
    summaries = summaries_of(cases)
    ranking = rank(summaries, metric)
    assert sorted(map(id, [*ranking.order, *(s for s, _ in ranking.left_out)])) == sorted(map(id, summaries))
    assert all(why for _, why in ranking.left_out)
    assert not [s for s in ranking.order if bracketed(s, metric)]
    values = [value for s in ranking.order if (value := central(s[metric])) is not None]
    assert len(values) == len(ranking.order)
    assert values == sorted(values, reverse=metric.better == "higher")


@settings(deadline=None)
@given(drawn_cases, st.sampled_from(METRICS))
def test_what_is_certain_does_not_overlap_and_has_several_processes(cases: list[Drawn], metric: Metric[Any]) -> None:
    ranking = rank(summaries_of(cases), metric)
    if ranking.certain:
        best, *others = ranking.order
        for other in others:
            assert min(best.processes, other.processes) >= MIN_PROCESSES
            (low, high), (other_low, other_high) = bounds(best[metric]), bounds(other[metric])
            assert low is not None
            assert high is not None
            assert other_low is not None
            assert other_high is not None
            assert low > other_high if metric.better == "higher" else high < other_low
            found = lead(best, other, metric)
            assert found is not None
            assert found.low is not None
            assert 1 < found.low <= found.times
    elif len(ranking.order) > 1:
        assert ranking.undecided


@settings(deadline=None)
@given(drawn_case, drawn_case, st.sampled_from(METRICS))
def test_a_lead_is_at_least_one_and_within_its_bounds(one: Drawn, other: Drawn, metric: Metric[Any]) -> None:
    ranking = rank(summaries_of([one, other]), metric)
    if len(ranking.order) == 2:
        found = lead(*ranking.order, metric)
        assert found is not None
        assert found.times >= 1
        if found.low is not None and found.high is not None:
            assert found.low <= found.times * (1 + 1e-12)
            assert found.times <= found.high * (1 + 1e-12)


def test_equal_cases_are_a_tie() -> None:
    ranking = rank(summaries_of([Drawn([[0.1] * 4] * 3)] * 3), IMAGES_PER_S)
    assert not ranking.certain
    assert len(ranking.undecided) == 2


def test_a_tenfold_difference_is_certain_with_three_processes_and_not_with_one() -> None:
    fast, slow = [[0.1, 0.101, 0.102]] * 3, [[1.0, 1.01, 1.02]] * 3
    assert rank(summaries_of([Drawn(slow), Drawn(fast)]), IMAGES_PER_S).certain
    for single in ([fast[:1], slow], [fast, slow[:1]], [fast[:1], slow[:1]]):
        assert not rank(summaries_of([Drawn(steps) for steps in single]), IMAGES_PER_S).certain


def test_a_percentile_is_certain_only_by_the_variation_between_processes() -> None:
    """Its own interval pools the queries, so that many queries make it narrow however much processes differ."""
    spread = [Drawn([[0.10] * 40, [0.2] * 40]), Drawn([[0.21] * 40, [0.22] * 40])]
    steady = [Drawn([[0.10] * 40, [0.1001] * 40]), Drawn([[0.21] * 40, [0.2101] * 40])]
    assert not rank(summaries_of(spread), P50_S).certain
    assert rank(summaries_of(steady), P50_S).certain


@pytest.mark.parametrize(
    ("share", "device", "ranked"),
    [(0.2, "cpu", True), (0.201, "cpu", False), (0.9, "cpu", False), (None, "cpu", True), (0.9, "cuda", True)],
)
def test_a_figure_is_not_ranked_if_others_took_more_than_a_fifth_of_the_cores(
    share: float | None, device: str, ranked: bool
) -> None:
    summary = made(Drawn([[0.1] * 4] * 2, share, device=device), "jax")
    assert bool(rank([summary], STEP_S).order) == ranked
    assert rank([summary], PEAK_BYTES).order == (summary,)  # a size does not depend on the load of the cores


def test_the_process_from_which_others_took_most_decides() -> None:
    case = small_case()
    attempts = [attempt(case, number=n, others_share=share) for n, share in enumerate((0.0, 0.67, 0.0))]
    assert summarise(Record(case=case, attempts=attempts)).bracketed


def test_a_slower_case_that_was_disturbed_may_have_been_as_fast() -> None:
    fast, slow = Drawn([[0.100] * 4] * 3), [[0.110] * 4] * 3
    assert rank(summaries_of([fast, Drawn(slow)]), STEP_S).certain
    assert not rank(summaries_of([fast, Drawn(slow, 0.15)]), STEP_S).certain
    assert not rank(summaries_of([fast, Drawn(slow, 0.15)]), IMAGES_PER_S).certain
    assert rank(summaries_of([fast, Drawn([[0.2] * 4] * 3, 0.15)]), STEP_S).certain


@pytest.mark.parametrize(("threads", "certain"), [(1, True), (2, False), (16, False), (None, False)])
def test_others_delay_a_step_by_what_they_may_have_taken_from_one_of_its_threads(
    threads: int | None, certain: bool
) -> None:
    fast, slow = Drawn([[0.100] * 4] * 3), Drawn([[0.110] * 4] * 3, 0.06, threads=threads)
    assert rank(summaries_of([fast, slow]), STEP_S).certain is certain  # 0.110 s x (1 - 0.06 per thread) or more
    # They do not account for four times the time, whatever the number of threads.
    far = Drawn([[0.4] * 4] * 3, 0.15, threads=threads)
    assert rank(summaries_of([fast, far]), STEP_S).certain


def test_the_number_of_processes_that_would_decide_is_reached_by_that_many() -> None:
    one, other = [[0.100], [0.104], [0.102]], [[0.106], [0.110], [0.108]]
    left, right = (made(Drawn([steps * 3 for steps in side]), "jax") for side in (one, other))
    assert not is_better(left, right, STEP_S)
    needed = processes_needed(left, right, STEP_S)
    assert needed is not None
    assert needed > 3
    faster, slower = (made(Drawn([side[n % 3] * 3 for n in range(needed)]), "jax") for side in (one, other))
    assert is_better(faster, slower, STEP_S)  # with the same spread between processes


def test_a_difference_that_no_number_of_processes_shows_has_no_such_number() -> None:
    left, right = (made(Drawn([[a] * 3, [b] * 3]), "jax") for a, b in ((0.1, 0.2), (0.101, 0.199)))
    assert processes_needed(left, right, STEP_S) is None


def test_metrics_without_a_value_for_each_process_are_never_certain() -> None:
    fast, slow = summaries_of([Drawn([[0.1] * 4] * 3), Drawn([[1.0] * 4] * 3)])
    for metric in (ATTAINED, PEAK_BYTES):
        assert over_processes(fast, metric) is None
        assert not is_better(fast, slow, metric)
