"""Verdicts from pairs: the same while they are measured and from the file, for each metric, and ranked."""

from __future__ import annotations

import itertools
import math
import random
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import UNSET

from tests.ab.test_compare_sides import Listener, made_pair
from tests.builders import small_case
from xibench.ab import compare_sides as ab
from xibench.ab.compare_sides import DecisionLimits
from xibench.ab.pair import BurstConfig
from xibench.ab.sides import Side
from xibench.errors import UsageError
from xibench.measure import comparing
from xibench.record import pair_comparison, pair_metrics, pair_store
from xibench.record.comparison import Comparison
from xibench.record.pairs import Pair
from xibench.record.schema import Case, Substitution
from xibench.run.monitor import WorkerMonitor

NAMES = ("framework:pytorch", "framework:tensorflow", "framework:jax", "framework:reference")


def measured(
    folder: Path, times: dict[str, float], limits: DecisionLimits, metrics: tuple[str, ...] = ("step",),
    spread: float = 0.005, without_compile: str | None = None,
) -> tuple[Comparison, Path]:  # fmt: skip
    """Compare sides that take these times, with random spread from pair to pair, and write the file."""
    noise = random.Random(1)
    sides = [Side(name) for name in times]

    def measure(
        case: Case, two: tuple[Side, Side], number: int, batch: Path, bursts: BurstConfig, rng: random.Random,
        cache: Path, monitor: WorkerMonitor,
    ) -> Pair:  # fmt: skip
        base_s, new_s = (times[side.name] * math.exp(noise.gauss(0, spread)) for side in two)
        pair = made_pair(case, number, math.log(new_s / base_s))
        assert pair.base is not None
        assert pair.new is not None
        both = [
            msgspec.structs.replace(
                side, bursts_s=[[seconds]], start_s=5 * seconds, build_s=seconds, peak_bytes=2_000_000,
                compile_s=None if name.name == without_compile else 2 * seconds, first_step_s=3 * seconds,
            )
            for side, seconds, name in zip((pair.base, pair.new), (base_s, new_s), two, strict=True)
        ]  # fmt: skip
        return msgspec.structs.replace(pair, base=both[0], new=both[1], wall_s=10.0)

    path = folder / "pairs.jsonl"
    with pair_store.PairsFile(path, ab.header([small_case()], sides, limits, "xibench ab", metrics)) as file:
        return ab.compare_sides([small_case()], sides, limits, file, Listener(), measure=measure), path


@pytest.fixture(autouse=True)
def _quiet_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ab, "_judged", lambda pair, around, may_repeat: pair)
    monkeypatch.setattr(ab, "WATCH_S", 0.0)


@pytest.mark.parametrize("sides", [2, 3])
def test_a_file_of_pairs_gives_the_verdicts_that_were_printed_while_it_was_measured(tmp_path: Path, sides: int) -> None:
    times = dict(zip(NAMES[:sides], (1.0, 1.1, 1.1), strict=False))
    found, path = measured(tmp_path, times, DecisionLimits(max_pairs=8), ("step", "memory", "job:100"))
    assert pair_comparison.of_file(pair_store.read(path)) == found


def test_each_metric_has_a_verdict_of_its_own(tmp_path: Path) -> None:
    times = dict(zip(NAMES, (1.0, 1.2), strict=False))
    found, _ = measured(tmp_path, times, DecisionLimits(), ("step", "first-step", "first-result", "memory", "job:1000"))
    verdicts = {pair.metric: pair.verdict for pair in found.pairs}
    assert verdicts == {
        "step": "slower", "first-step": "slower", "first-result": "slower", "memory": "same", "job:1000": "slower",
    }  # fmt: skip


def test_a_figure_that_a_side_does_not_have_is_not_compared_and_says_why(tmp_path: Path) -> None:
    times = dict(zip(NAMES, (1.0, 1.2), strict=False))
    found, _ = measured(tmp_path, times, DecisionLimits(), ("step", "compile"), without_compile=NAMES[1])
    assert [pair.metric for pair in found.pairs] == ["step"]
    (refused,) = found.not_compared
    assert not refused.failed
    assert "compile time: a side compiles nothing ahead of its first step" in refused.why[0]


def test_the_time_of_a_job_is_the_start_and_whole_batches() -> None:
    case = msgspec.structs.replace(small_case(), batch=8)
    pair = made_pair(case, 0, 0.0)
    assert pair.base is not None
    side = msgspec.structs.replace(
        pair.base, start_s=10.0, build_s=2.0, compile_s=3.0, first_step_s=1.0, bursts_s=[[0.5, 0.5], [0.5]]
    )
    job = pair_metrics.find("job:20")  # three batches, the first of which is the first step
    assert job.value(side, case) == pytest.approx(10 + 2 + 3 + 1 + 2 * 0.5)
    assert job.value(msgspec.structs.replace(side, compile_s=None), case) == pytest.approx(10 + 2 + 1 + 2 * 0.5)
    assert job.value(msgspec.structs.replace(side, start_s=None), case) is None


@pytest.mark.parametrize("name", ["job", "job:", "job:0", "job:-3", "job:many", "steps", ""])
def test_an_unknown_metric_is_refused_with_those_that_exist(name: str) -> None:
    with pytest.raises(UsageError, match="expected step, compile, first-step, first-result, memory or job:N"):
        pair_metrics.find(name)


def test_sides_that_cannot_be_told_apart_share_a_rank(tmp_path: Path) -> None:
    times = dict(zip(NAMES, (2.0, 1.0, 1.0, 4.0), strict=True))
    found, _ = measured(tmp_path, times, DecisionLimits(max_pairs=8))
    assert found.rankings
    (ranking,) = found.rankings
    assert {side.side: side.rank for side in ranking.sides} == dict(zip(NAMES, (3, 1, 1, 4), strict=True))
    assert ranking.sides[-1].ratio == pytest.approx(4.0, rel=0.02)
    assert ranking.sides[-1].low is not None
    assert ranking.sides[-1].low < 4.0 < (ranking.sides[-1].high or 0)


def test_two_sides_have_no_ranking(tmp_path: Path) -> None:
    found, _ = measured(tmp_path, dict(zip(NAMES, (1.0, 2.0), strict=False)), DecisionLimits())
    assert found.rankings is UNSET


@settings(deadline=None, max_examples=15)
@given(st.lists(st.sampled_from([1.0, 1.001, 1.3, 2.0, 5.0]), min_size=3, max_size=4), st.integers(0, 3))
def test_a_rank_counts_the_sides_that_are_certainly_better(
    tmp_path_factory: pytest.TempPathFactory, times: list[float], more: int
) -> None:
    by_name = dict(zip(NAMES, times, strict=False))
    limits = DecisionLimits(max_pairs=3 + 2 * more)  # with 3 pairs nothing is certain
    found, _ = measured(tmp_path_factory.mktemp("ranks"), by_name, limits)
    assert found.rankings
    ranks = {side.side: side.rank for side in found.rankings[0].sides}
    better = dict.fromkeys(by_name, 1)
    for pair in found.pairs:
        assert pair.sides
        if pair.verdict in ("slower", "faster"):
            better[pair.sides[1] if pair.verdict == "slower" else pair.sides[0]] += 1
    assert ranks == better
    for one, other in itertools.combinations(by_name, 2):
        if ranks[one] < ranks[other]:
            assert by_name[one] <= by_name[other]


@settings(deadline=None)
@given(
    st.lists(st.floats(-0.2, 0.2), min_size=3, max_size=12).filter(lambda values: max(values) - min(values) > 1e-3)
)
def test_the_pairs_that_it_would_take_are_the_fewest_that_decide(log_ratios: list[float]) -> None:
    def decided(n: int) -> bool:
        centre = abs(math.fsum(log_ratios) / len(log_ratios))
        deviation = math.sqrt(
            math.fsum((ratio - math.fsum(log_ratios) / len(log_ratios)) ** 2 for ratio in log_ratios)
            / (len(log_ratios) - 1)
        )
        reaches = [comparing._critical_t(n, doubt) * deviation / math.sqrt(n) for doubt in (0.01, 0.05)]
        return centre >= reaches[0] or centre + reaches[1] < math.log(1.02)

    more = comparing.further_pairs(log_ratios)
    n = len(log_ratios)
    if more is None:
        assert not decided(1000)
    else:
        assert decided(n + more)
        assert more == 1 or not decided(n + more - 1)


def test_too_few_pairs_promise_nothing() -> None:
    assert comparing.further_pairs([0.3, 0.31]) is None


@pytest.mark.parametrize(
    ("sides", "differ", "said"),
    [
        (("tree", "git:HEAD"), 5e-5, False),
        (("tree", "git:HEAD"), 5e-4, True),
        (("precision:fp32", "precision:bf16"), 1e-2, False),
        (("precision:fp32", "precision:bf16"), 5e-2, True),
    ],
)
def test_outputs_that_differ_more_than_the_precision_explains_are_remarked(
    sides: tuple[str, str], differ: float, said: bool, tmp_path: Path
) -> None:
    found, path = measured(tmp_path, dict.fromkeys(sides, 0.1), DecisionLimits(max_pairs=2, min_pairs=2))
    assert len(found.pairs) == 1
    stored = pair_store.read(path)
    pairs = [msgspec.structs.replace(pair, output_error=differ) for pair in stored.pairs]
    with pair_store.PairsFile(tmp_path / "again.jsonl", stored.header) as file:
        for pair in pairs:
            file.append(pair)
    (again,) = pair_comparison.of_file(pair_store.read(tmp_path / "again.jsonl")).pairs
    assert any(f"differ by {differ:.2g}" in note for note in again.notes) is said


def test_what_ran_instead_of_a_sides_recipe_is_remarked_once(tmp_path: Path) -> None:
    sides = dict.fromkeys(("recipe:default", "recipe:compiled"), 0.1)
    _, path = measured(tmp_path, sides, DecisionLimits(max_pairs=2, min_pairs=2))
    stored, eager = pair_store.read(path), [Substitution(wanted="torch.compile", why="it is off", ran="eager")]
    with pair_store.PairsFile(tmp_path / "again.jsonl", stored.header) as file:
        for pair in stored.pairs:
            assert pair.new is not None
            file.append(msgspec.structs.replace(pair, new=msgspec.structs.replace(pair.new, substitutions=eager)))
    (again,) = pair_comparison.of_file(pair_store.read(tmp_path / "again.jsonl")).pairs
    said = [note for note in again.notes if "eager" in note]
    assert said == ["recipe:compiled: eager instead of torch.compile: it is off"]
