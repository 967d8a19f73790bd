from __future__ import annotations

import math
import random
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from tests.builders import small_case
from xibench.ab import compare_sides as ab
from xibench.ab.compare_sides import DecisionLimits
from xibench.ab.pair import BurstConfig
from xibench.ab.sides import Side
from xibench.measure.comparing import min_pairs
from xibench.record import pair_store
from xibench.record.comparison import Compared, Comparison
from xibench.record.pairs import Pair, PairSide
from xibench.record.schema import Case
from xibench.run.monitor import ConditionMonitor, WorkerMonitor

SIDES = (Side("tree"), Side("tree"))
FAST, SLOW = small_case(), small_case("jax")


class Listener:
    """A watch that remembers which cases got pairs."""

    def __init__(self) -> None:
        self.began: list[Case] = []
        self.ended: list[Compared | None] = []
        self.warnings: list[str] = []

    def warned(self, text: str) -> None:
        self.warnings.append(text)

    def pair_begins(self, case: Case, number: int, open_cases: int) -> None:
        self.began.append(case)

    def pair_ended(self, pair: Pair, so_far: Compared | None) -> None:
        self.ended.append(so_far)


def half(steps: list[float], threads: int = 2) -> PairSide:
    return PairSide(
        versions={"torch": "2.13.0"}, settings={"threads": threads}, first_step_s=1.0, warmup_s=[0.1], bursts_s=[steps],
        output_mean=0.1,
    )  # fmt: skip


def made_pair(case: Case, number: int, log_ratio: float | None) -> Pair:
    return Pair(
        case=case, number=number, started_utc="2025-01-02T03:04:05", wall_s=1000.0, new_started_first=False,
        new_first=[True], base=half([0.1]), new=half([0.1 * math.exp(log_ratio or 0)]), log_ratio=log_ratio,
        disturbed=[], superseded=False, status="ok" if log_ratio is not None else "failed",
        reason=None if log_ratio else "it exited", log=None,
    )  # fmt: skip


def measure_by(ratio: Callable[[Case, int, random.Random], float | None]) -> ab.Measure:
    """A stand-in for two processes: the log ratio comes from a function of the case and the pair's number."""
    noise = random.Random(5)

    def measure(
        case: Case, sides: tuple[Side, Side], number: int, batch: Path, bursts: BurstConfig, rng: random.Random,
        cache: Path, monitor: WorkerMonitor,
    ) -> Pair:  # fmt: skip
        return made_pair(case, number, ratio(case, number, noise))

    return measure


@pytest.fixture(autouse=True)
def _quiet_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """What other programs do to the machine while these tests run is not what they are about."""
    monkeypatch.setattr(ab, "_judged", lambda pair, around, may_repeat: pair)
    monkeypatch.setattr(ab, "WATCH_S", 0.0)


def compared(
    tmp_path: Path, ratio: Callable[[Case, int, random.Random], float | None], limits: DecisionLimits | None = None,
    watch: Listener | None = None, cases: tuple[Case, ...] = (FAST,),
) -> Comparison:  # fmt: skip
    limits = limits or DecisionLimits()
    with pair_store.PairsFile(tmp_path / "pairs.jsonl", ab.header(cases, SIDES, limits, "xibench ab")) as file:
        return ab.compare_sides(cases, SIDES, limits, file, watch or Listener(), measure=measure_by(ratio))


def test_pairs_are_added_until_a_slowdown_is_certain_and_no_further(tmp_path: Path) -> None:
    watch = Listener()
    found = compared(tmp_path, lambda case, n, rng: rng.gauss(0.05, 0.01), watch=watch)
    assert found.pairs[0].verdict == "slower"
    assert 4 <= found.pairs[0].n < 12
    assert [so_far.verdict for so_far in watch.ended[:-1] if so_far] == ["unsure"] * (found.pairs[0].n - 1)


def test_identical_sides_end_as_the_same(tmp_path: Path) -> None:
    found = compared(tmp_path, lambda case, n, rng: rng.gauss(0, 0.005))
    assert (found.pairs[0].verdict, found.slower) == ("same", 0)


def test_only_cases_that_are_not_decided_get_further_pairs(tmp_path: Path) -> None:
    watch = Listener()
    deviations = {FAST: 0.002, SLOW: 0.03}
    found = compared(
        tmp_path, lambda case, n, rng: rng.gauss(0, deviations[case]), DecisionLimits(max_pairs=25), watch, (FAST, SLOW)
    )
    assert {pair.case: pair.verdict for pair in found.pairs}[FAST] == "same"
    assert watch.began.count(SLOW) > watch.began.count(FAST)


def test_a_case_that_stays_in_doubt_ends_at_the_most_pairs(tmp_path: Path) -> None:
    found = compared(tmp_path, lambda case, n, rng: rng.choice([-0.2, 0.2]), DecisionLimits(max_pairs=6))
    assert (found.pairs[0].verdict, found.pairs[0].n) == ("unsure", 6)


def test_no_pair_starts_once_the_budget_is_spent(tmp_path: Path) -> None:
    watch = Listener()
    found = compared(tmp_path, lambda case, n, rng: rng.choice([-0.2, 0.2]), DecisionLimits(budget_s=500.0), watch)
    assert len(watch.began) == 1, "a pair of the stand-in says that it took 1,000 seconds"
    assert found.pairs[0].verdict == "unsure"
    assert (found.pairs[0].further_pairs, found.pairs[0].further_s) == (min_pairs() - 1, 1000.0 * (min_pairs() - 1))


@pytest.mark.parametrize(("budget_s", "said"), [(1500.0, True), (1e6, False), (None, False)])
def test_a_budget_that_is_too_short_for_a_verdict_is_said_after_the_first_pair(
    budget_s: float | None, said: bool, tmp_path: Path
) -> None:
    watch = Listener()
    limits = DecisionLimits(budget_s=budget_s, max_pairs=6)
    compared(tmp_path, lambda case, n, rng: rng.choice([-0.2, 0.2]), limits, watch)
    short = [text for text in watch.warnings if text.startswith("a pair takes 16 min 40 s, so that about 1 of the ")]
    assert len(short) == said


def test_a_pair_that_fails_ends_its_case_and_is_said(tmp_path: Path) -> None:
    found = compared(tmp_path, lambda case, n, rng: None)
    assert found.pairs == []
    assert found.not_compared[0].why == ["failed: it exited"]


def test_every_pair_is_on_disk_with_its_samples(tmp_path: Path) -> None:
    found = compared(tmp_path, lambda case, n, rng: rng.gauss(0, 0.005))
    stored = pair_store.read(tmp_path / "pairs.jsonl")
    assert len(stored.pairs) == found.pairs[0].n
    assert all(pair.base and pair.new and pair.base.bursts_s for pair in stored.pairs)


@pytest.fixture
def busy_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine on which every pair is disturbed."""
    monkeypatch.undo()
    judge = ab._judged
    busy = ["others took 60 %"]
    monkeypatch.setattr(
        ab, "_judged", lambda pair, around, may: judge(pair, msgspec.structs.replace(around, disturbed=busy), may)
    )


@pytest.mark.usefixtures("busy_machine")
def test_a_disturbed_pair_is_set_aside_and_repeated_up_to_the_limit(tmp_path: Path) -> None:
    found = compared(tmp_path, lambda case, n, rng: rng.gauss(0, 0.005), DecisionLimits(repeats=2))
    stored = pair_store.read(tmp_path / "pairs.jsonl").pairs
    assert [pair.superseded for pair in stored][:3] == [True, True, False]
    assert "2 disturbed pairs were repeated and left out" in found.pairs[0].notes
    kept = len(stored) - 2
    assert f"{kept} of {kept} pairs were disturbed: others took 60 %" in found.pairs[0].notes, "kept and marked"


@pytest.mark.usefixtures("busy_machine")
def test_a_disturbed_pair_counts_if_the_budget_has_no_time_for_another(tmp_path: Path) -> None:
    found = compared(tmp_path, lambda case, n, rng: 0.1, DecisionLimits(budget_s=500.0))  # a pair takes 1,000 s
    assert [(pair.n, pair.verdict) for pair in found.pairs] == [(1, "unsure")]
    assert "1 of 1 pairs were disturbed: others took 60 %" in found.pairs[0].notes


def test_a_busy_machine_is_said_once_before_the_first_pair(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ConditionMonitor, "busy", lambda self, effect: f"others take 90 %: {effect}")
    watch = Listener()
    compared(tmp_path, lambda case, n, rng: rng.gauss(0, 0.005), watch=watch)
    assert [text.split(":")[0] for text in watch.warnings] == ["others take 90 %"]
    assert "pairs" in watch.warnings[0]


def test_the_file_says_how_pairs_were_taken_and_what_went_on_around_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    compared(tmp_path, lambda case, n, rng: rng.gauss(0, 0.001), DecisionLimits(max_pairs=7, seed=3))
    stored = pair_store.read(tmp_path / "pairs.jsonl")
    procedure, images = stored.header.procedure, stored.header.images
    assert procedure is not None
    assert images is not None
    assert (procedure.max_pairs, procedure.seed, procedure.pair_s) == (7, 3, BurstConfig().pair_s)
    assert (images.source, stored.header.weights_digest) == (FAST.images, None)
    for pair in stored.pairs:
        assert pair.surroundings is not None
        assert pair.surroundings.before.taken_utc <= pair.surroundings.after.taken_utc
        assert pair.disturbed == pair.surroundings.disturbed


def test_a_comparison_that_is_stopped_says_what_it_knows_and_its_pairs_are_on_the_disk(tmp_path: Path) -> None:
    def until_ctrl_c(case: Case, number: int, rng: random.Random) -> float:
        if number == 2:
            raise KeyboardInterrupt
        return rng.choice([-0.2, 0.2])

    with pytest.raises(ab.Stopped) as stopped:
        compared(tmp_path, until_ctrl_c)
    assert [(pair.verdict, pair.n) for pair in stopped.value.found.pairs] == [("unsure", 2)]
    assert len(pair_store.read(tmp_path / "pairs.jsonl").pairs) == 2


def test_a_case_that_was_not_begun_says_what_came_before_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def ctrl_c(case: Case, number: int, rng: random.Random) -> float:
        raise KeyboardInterrupt

    with pytest.raises(ab.Stopped) as stopped:
        compared(tmp_path / "stopped", ctrl_c)
    assert stopped.value.found.not_compared[0].why == ["it was stopped before it"]
    found = compared(tmp_path / "spent", lambda case, n, rng: 0.1, DecisionLimits(budget_s=1e-9))
    assert found.not_compared[0].why == ["the budget was spent before it"]
    monkeypatch.setattr(ab, "_judged", lambda pair, around, may: msgspec.structs.replace(pair, superseded=True))
    found = compared(tmp_path / "aside", lambda case, n, rng: 0.1, DecisionLimits(budget_s=500.0))
    assert found.not_compared[0].why == ["all pairs were disturbed and superseded: 1; none could be repeated"]


def test_a_case_that_fails_after_some_pairs_is_marked_as_failed(tmp_path: Path) -> None:
    found = compared(tmp_path, lambda case, n, rng: None if n == 3 else rng.choice([-0.2, 0.2]))
    assert [(pair.n, pair.failed) for pair in found.pairs] == [(3, True)]


def test_too_few_pairs_for_any_verdict_are_noted(tmp_path: Path) -> None:
    note = "at most 4 pairs were allowed: a change takes at least 5 to be called"
    for max_pairs, expected in ((4, True), (5, False)):
        limits = DecisionLimits(max_pairs=max_pairs)
        found = compared(tmp_path / str(max_pairs), lambda case, n, rng: rng.choice([0.4, 0.6]), limits)
        assert (note in found.pairs[0].notes) is expected


def test_settings_that_differ_between_the_sides_are_said(tmp_path: Path) -> None:
    def measure(case: Case, *_: object) -> Pair:
        pair = made_pair(case, 0, 0.1)
        return Pair(**{f: getattr(pair, f) for f in Pair.__struct_fields__} | {"new": half([0.1], threads=1)})

    limits = DecisionLimits(max_pairs=3)
    with pair_store.PairsFile(tmp_path / "p.jsonl", ab.header([FAST], SIDES, limits, "xibench ab")) as file:
        found = ab.compare_sides([FAST], SIDES, limits, file, Listener(), measure=measure)
    assert found.pairs[0].unlike == ["threads 2 -> 1"]
