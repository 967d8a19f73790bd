"""The search for a recipe, with step times that are a function of the choices instead of measurements."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec
import pytest

from frameworks.api import FRAMEWORKS, find
from tests.builders import failure, record
from xibench.analysis.tuning import SearchResult, Stage, default_choices, search
from xibench.errors import XibenchError
from xibench.record.schema import Case, Record

PYTORCH = FRAMEWORKS["pytorch"]
CASE = Case(framework="pytorch", model="xception")
CHOICES = {"layout": ("NCHW", "NHWC"), "compiler": ("none", "inductor", "frozen"), "autotuning": ("off", "on")}
Seconds = Callable[[Mapping[str, str]], float | None]


def run_search(
    seconds: Seconds,
    choices: Mapping[str, tuple[str, ...]] = CHOICES,
    batches: tuple[int, ...] = (),
    max_stages: int = 100,
) -> tuple[SearchResult, list[Stage]]:
    """Run a search with given step times.

    Args:
        seconds: Maps the choices of a recipe to its step time; None if it cannot be measured.
        choices: The choices to search, each with its values.
        batches: Further batch sizes to try.
        max_stages: Number of stages after which the budget is spent.

    Returns:
        The result of the search, and its stages.
    """
    stages: list[Stage] = []

    def record_of(case: Case) -> Record:
        time = seconds(find(case.framework).recipe(case.recipe, case.device).choices)
        return failure(case, "it broke") if time is None else record(case, *[[time * case.batch] * 5] * 3)

    def measure(number: int, stage: Stage) -> Mapping[Case, Record]:
        assert number == len(stages)
        stages.append(stage)
        return {case: record_of(case) for case in stage.cases}

    return search(CASE, choices, batches, measure, lambda: len(stages) >= max_stages), stages


def chosen(found: SearchResult) -> Mapping[str, str]:
    return find(found.best.framework).recipe(found.best.recipe, found.best.device).choices


def test_the_search_ends_with_the_fastest_value_of_each_choice() -> None:
    def seconds(choices: Mapping[str, str]) -> float:
        return (2 if choices["layout"] == "NHWC" else 1) * {"none": 3, "inductor": 1, "frozen": 2}[choices["compiler"]]

    found, stages = run_search(seconds)
    assert chosen(found)["layout"] == "NCHW"
    assert chosen(found)["compiler"] == "inductor"
    assert stages[0].name == "start"
    assert stages[-1].name == "confirm"
    assert found.gains["default"].ratio == pytest.approx(3.0)
    assert found.gains["tuned"].ratio == pytest.approx(4.0)


def test_a_value_is_tried_again_after_a_later_choice_that_makes_it_faster() -> None:
    """NCHW is faster only with TorchInductor, a later choice than the layout; `compiled` has both but does not fold."""
    table: dict[str, dict[str, float]] = {
        "NHWC": {"none": 4, "inductor": 1.5, "frozen": 2}, "NCHW": {"none": 5, "inductor": 1, "frozen": 3},
    }  # fmt: skip

    def seconds(choices: Mapping[str, str]) -> float:
        folded = 1 if choices["batch_norm"] == "folded" else 3
        return table[choices["layout"]][choices["compiler"]] * folded

    found, _ = run_search(seconds)
    assert (chosen(found)["layout"], chosen(found)["compiler"]) == ("NCHW", "inductor")


def test_a_value_that_is_faster_by_less_than_the_margin_is_not_adopted() -> None:
    found, _ = run_search(lambda c: 0.995 if (c["layout"], c["compiler"]) == ("NHWC", "none") else 1.0)
    (faster,) = [c for stage in found.stages for c in stage.compared if c.ratio == pytest.approx(1 / 0.995)]
    assert found.best != faster.case


def test_invalid_combinations_are_not_tried_and_failures_are_reported() -> None:
    """Autotuning is invalid for an eager network on a CPU; a compiler that fails does not end the search."""
    found, stages = run_search(lambda choices: 1.0 if choices["compiler"] == "none" else None)
    recipes = [case.recipe for stage in stages for case in stage.cases]
    assert not any("autotuning=on" in text and "compiler" not in text for text in recipes)
    (failed, *_) = [c for stage in found.stages for c in stage.compared if c.ratio is None]
    assert (failed.status, failed.reason) == ("failed", "it broke")
    assert chosen(found)["compiler"] == "none"


def test_a_search_without_any_measurement_fails_with_the_reason() -> None:
    with pytest.raises(XibenchError, match=r"no recipe of pytorch/xception/.* could be measured: it broke"):
        run_search(lambda choices: None)


def test_no_choice_is_started_after_the_budget_is_spent_and_the_rest_is_reported() -> None:
    found, stages = run_search(lambda choices: 1.0, max_stages=2)
    assert [stage.name for stage in stages] == ["start", "layout", "confirm"]
    assert found.left_out == ["compiler"]  # autotuning requires a compiler, which was not tried


def test_the_batch_with_the_highest_throughput_is_found_and_confirmed() -> None:
    stages: list[Stage] = []

    def measure(number: int, stage: Stage) -> Mapping[Case, Record]:
        stages.append(stage)
        return {c: record(c, *[[{1: 1.0, 8: 4.0, 32: 24.0}[c.batch]] * 5] * 3) for c in stage.cases}

    found = search(msgspec.structs.replace(CASE, batch=1), {}, (1, 8, 32), measure, lambda: False)
    assert found.best.batch == 8
    assert {case.batch for case in stages[-1].cases} == {8}


def test_equal_recipes_have_equal_names() -> None:
    _, stages = run_search(lambda choices: 1.0)
    for stage in stages:
        assert len({case.recipe for case in stage.cases}) == len(stage.cases)
        for case in stage.cases:
            assert case.recipe == PYTORCH.written(PYTORCH.recipe(case.recipe, "cpu").choices)


def test_tuned_is_the_result_if_the_confirmation_finds_it_the_fastest() -> None:
    """Fresh processes do not confirm that the recipe that the search preferred is faster."""
    tuned = PYTORCH.written(PYTORCH.recipe("tuned", "cpu").choices)

    def measure(number: int, stage: Stage) -> Mapping[Case, Record]:
        fast = stage.name != "confirm"
        return {c: record(c, *[[1.0 if c.recipe == tuned else 0.5 if fast else 1.5] * 5] * 3) for c in stage.cases}

    found = search(CASE, {"layout": CHOICES["layout"]}, (), measure, lambda: False)
    assert found.best.recipe == tuned
    assert "tuned" not in found.gains


def test_open_choices_depend_on_the_device() -> None:
    assert "graphs" not in default_choices(CASE, 8)
    assert "graphs" in default_choices(msgspec.structs.replace(CASE, device="cuda"), 8)
    assert default_choices(CASE, 8)["threads"] == ("automatic", "1", "4")
    assert default_choices(CASE, 1)["autotuning"] == ("off", "on")
    assert "threads" not in default_choices(CASE, 1)
