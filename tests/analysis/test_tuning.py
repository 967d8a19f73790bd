"""The search, with a stand-in for measuring: what a recipe takes is a table here."""

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


def tuned_by(
    seconds: Seconds,
    choices: Mapping[str, tuple[str, ...]] = CHOICES,
    batches: tuple[int, ...] = (),
    patience: int = 100,
) -> tuple[SearchResult, list[Stage]]:
    """What a search finds where a step takes `seconds` of a recipe's choices; None: it fails. The stages it asked for.

    patience: stages after which the budget is spent.
    """
    stages: list[Stage] = []

    def taken(case: Case) -> Record:
        time = seconds(find(case.framework).recipe(case.recipe, case.device).choices)
        return failure(case, "it broke") if time is None else record(case, *[[time * case.batch] * 5] * 3)

    def take(number: int, stage: Stage) -> Mapping[Case, Record]:
        assert number == len(stages)
        stages.append(stage)
        return {case: taken(case) for case in stage.cases}

    return search(CASE, choices, batches, take, lambda: len(stages) >= patience), stages


def chosen(found: SearchResult) -> Mapping[str, str]:
    return find(found.best.framework).recipe(found.best.recipe, found.best.device).choices


def test_the_search_ends_with_the_fastest_value_of_each_choice() -> None:
    def seconds(choices: Mapping[str, str]) -> float:
        return (2 if choices["layout"] == "NHWC" else 1) * {"none": 3, "inductor": 1, "frozen": 2}[choices["compiler"]]

    found, stages = tuned_by(seconds)
    assert chosen(found)["layout"] == "NCHW"
    assert chosen(found)["compiler"] == "inductor"
    assert stages[0].name == "start"
    assert stages[-1].name == "confirm"
    assert found.gains["default"].ratio == pytest.approx(3.0)
    assert found.gains["tuned"].ratio == pytest.approx(4.0)


def test_a_choice_is_tried_again_where_a_later_one_makes_it_worth_while() -> None:
    """NCHW pays only with TorchInductor as it is, which is chosen after it; `compiled` has both, and no folding."""
    table: dict[str, dict[str, float]] = {
        "NHWC": {"none": 4, "inductor": 1.5, "frozen": 2}, "NCHW": {"none": 5, "inductor": 1, "frozen": 3},
    }  # fmt: skip

    def seconds(choices: Mapping[str, str]) -> float:
        folded = 1 if choices["batch_norm"] == "folded" else 3
        return table[choices["layout"]][choices["compiler"]] * folded

    found, _ = tuned_by(seconds)
    assert (chosen(found)["layout"], chosen(found)["compiler"]) == ("NCHW", "inductor")


def test_a_value_that_looks_hardly_faster_is_not_taken_over() -> None:
    found, _ = tuned_by(lambda c: 0.995 if (c["layout"], c["compiler"]) == ("NHWC", "none") else 1.0)
    (faster,) = [c for stage in found.stages for c in stage.compared if c.ratio == pytest.approx(1 / 0.995)]
    assert found.best != faster.case


def test_what_cannot_be_is_not_tried_and_what_breaks_is_told() -> None:
    """Autotuning of an eager network on a CPU is none; a compiler that breaks is a reason, not the end."""
    found, stages = tuned_by(lambda choices: 1.0 if choices["compiler"] == "none" else None)
    asked = [case.recipe for stage in stages for case in stage.cases]
    assert not any("autotuning=on" in text and "compiler" not in text for text in asked)
    (broken, *_) = [c for stage in found.stages for c in stage.compared if c.ratio is None]
    assert (broken.status, broken.reason) == ("failed", "it broke")
    assert chosen(found)["compiler"] == "none"


def test_where_nothing_can_be_measured_the_reason_is_said() -> None:
    with pytest.raises(XibenchError, match=r"no recipe of pytorch/xception/.* could be measured: it broke"):
        tuned_by(lambda choices: None)


def test_no_choice_is_begun_once_the_budget_is_spent_and_the_rest_is_told() -> None:
    found, stages = tuned_by(lambda choices: 1.0, patience=2)
    assert [stage.name for stage in stages] == ["start", "layout", "confirm"]
    assert found.left_out == ["compiler"]  # nothing is compiled yet that could be autotuned


def test_the_batch_with_the_most_images_a_second_is_found_and_confirmed() -> None:
    stages: list[Stage] = []

    def take(number: int, stage: Stage) -> Mapping[Case, Record]:
        stages.append(stage)
        return {c: record(c, *[[{1: 1.0, 8: 4.0, 32: 24.0}[c.batch]] * 5] * 3) for c in stage.cases}

    found = search(msgspec.structs.replace(CASE, batch=1), {}, (1, 8, 32), take, lambda: False)
    assert found.best.batch == 8
    assert {case.batch for case in stages[-1].cases} == {8}


def test_one_recipe_has_one_name() -> None:
    _, stages = tuned_by(lambda choices: 1.0)
    for stage in stages:
        assert len({case.recipe for case in stage.cases}) == len(stage.cases)
        for case in stage.cases:
            assert case.recipe == PYTORCH.written(PYTORCH.recipe(case.recipe, "cpu").choices)


def test_where_tuned_is_the_fastest_after_all_it_is_what_was_found() -> None:
    """What looked faster in the search was luck: fresh processes do not confirm it."""
    tuned = PYTORCH.written(PYTORCH.recipe("tuned", "cpu").choices)

    def take(number: int, stage: Stage) -> Mapping[Case, Record]:
        fast = stage.name != "confirm"
        return {c: record(c, *[[1.0 if c.recipe == tuned else 0.5 if fast else 1.5] * 5] * 3) for c in stage.cases}

    found = search(CASE, {"layout": CHOICES["layout"]}, (), take, lambda: False)
    assert found.best.recipe == tuned
    assert "tuned" not in found.gains


def test_what_is_open_depends_on_the_device() -> None:
    assert "graphs" not in default_choices(CASE, 8)
    assert "graphs" in default_choices(msgspec.structs.replace(CASE, device="cuda"), 8)
    assert default_choices(CASE, 8)["threads"] == ("automatic", "1", "4")
    assert default_choices(CASE, 1)["autotuning"] == ("off", "on")
    assert "threads" not in default_choices(CASE, 1)
