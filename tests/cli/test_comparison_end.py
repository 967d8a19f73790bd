"""Exit codes of a comparison: a check of a pull request must not pass because something failed."""

from __future__ import annotations

import re

import msgspec
import pytest
import typer
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.builders import small_case
from xibench.analysis.comparison_text import conclusion
from xibench.cli.render.comparison_tables import REGRESSION, end
from xibench.errors import XibenchError
from xibench.measure.comparing import Verdict
from xibench.record.comparison import Compared, Comparison, NotCompared

CASE, OTHER = small_case(), small_case("jax")


def compared(verdict: Verdict = "same", failed: bool = False) -> Compared:
    return Compared(
        case=CASE, ratio=1.0, low=0.99, high=1.01, verdict=verdict, p=0.5, n=7, paired=True, failed=failed
    )  # fmt: skip


def found(*pairs: Compared, refused: tuple[NotCompared, ...] = ()) -> Comparison:
    slower = sum(pair.verdict == "slower" for pair in pairs)
    return Comparison(
        base="a", new="b", threshold=0.02, pairs=list(pairs), not_compared=list(refused), slower=slower
    )  # fmt: skip


UNTRIED = NotCompared(case=OTHER, why=["the budget was spent before it"])
BROKEN = NotCompared(case=OTHER, why=["failed: it exited"], failed=True)


@settings(deadline=None)
@given(
    ratio=st.floats(0.01, 100), spread=st.floats(1.0, 5.0),
    verdict=st.sampled_from(["slower", "faster", "same", "unsure"]),
    of_implementations=st.booleans(), paired=st.booleans(),
)  # fmt: skip
def test_a_conclusion_says_how_many_times_as_fast_the_faster_side_is(
    ratio: float, spread: float, verdict: Verdict, of_implementations: bool, paired: bool
) -> None:
    pair = msgspec.structs.replace(
        compared(verdict), ratio=ratio, low=ratio / spread, high=ratio * spread, paired=paired
    )
    prefix = "framework:" if of_implementations else "git:"
    comparison = msgspec.structs.replace(found(pair), base=f"{prefix}old", new=f"{prefix}new")
    said = conclusion(comparison, pair)
    names = ("old", "new") if of_implementations else ("git:old", "git:new")
    if not paired:
        names = ("the base run", "the new run")
    faster, slower = names if ratio > 1 else names[::-1]
    matched = re.search(rf"{faster} is (\S+) times as fast as {slower} \[(\S+), (\S+)\], 7 (?:pairs|processes)", said)
    assert matched, said
    speed, low, high = map(float, matched.groups())
    assert low <= speed <= high
    assert speed == pytest.approx(max(ratio, 1 / ratio), rel=0.01)
    assert ("not certain" in said) == (verdict == "unsure")
    if verdict == "unsure":
        assert ("on one side of 1" in said) == (max(ratio, 1 / ratio) / spread > 1.02)
    assert ("take the same time" in said) == (verdict == "same")
    assert ("pytorch" in said) != of_implementations


def test_a_slower_implementation_is_no_regression() -> None:
    comparison = msgspec.structs.replace(found(compared("slower")), base="framework:a", new="framework:b")
    end(comparison, refusal_is_failure=False)


def test_equal_cases_and_cases_that_the_budget_left_out_are_no_failure() -> None:
    end(found(compared()), refusal_is_failure=False)
    end(found(compared(), refused=(UNTRIED,)), refusal_is_failure=False)


@pytest.mark.parametrize(
    ("comparison", "refusal_is_failure", "message"),
    [
        (found(compared(), refused=(BROKEN,)), False, "1 case failed while being compared"),
        (found(compared(failed=True)), False, "1 case failed while being compared"),
        (found(refused=(UNTRIED,)), False, "nothing was compared"),
        (found(compared(), refused=(UNTRIED,)), True, "1 case not compared"),
        (found(), True, "nothing was compared: neither side holds a case"),
        (found(), False, "nothing was compared: neither side holds a case"),
    ],
)
def test_failed_cases_and_cases_that_were_not_compared_are_failures(
    comparison: Comparison, refusal_is_failure: bool, message: str
) -> None:
    with pytest.raises(XibenchError, match=message):
        end(comparison, refusal_is_failure)


def test_a_slower_case_takes_precedence_over_failures() -> None:
    with pytest.raises(typer.Exit) as ended:
        end(found(compared("slower"), refused=(BROKEN,)), refusal_is_failure=False)
    assert ended.value.exit_code == REGRESSION
