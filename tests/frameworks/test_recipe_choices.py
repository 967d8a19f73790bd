"""Recipes as text: a name, optionally followed by choices. No framework is imported."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from frameworks.api import FRAMEWORKS, THIRD_PARTY
from frameworks.errors import InvalidConfiguration, UnknownName
from frameworks.recipes import DEVICES, RECIPES, Choice, Execution
from frameworks.task import INFER
from tests.cli.command import error_of
from xibench.run.plan import Selection, cases


def test_a_choice_after_the_name_overrides_only_that_choice() -> None:
    tuned, own = (FRAMEWORKS["pytorch"].recipe(text, "cpu") for text in ("tuned", "tuned+layout=NCHW+threads=2"))
    changed = {name: own.choices[name] for name in own.choices if own.choices[name] != tuned.choices[name]}
    assert changed == {"layout": "NCHW", "threads": "2"}
    assert ("2 intra-op threads", "as requested") in own.settings


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_every_recipe_has_an_allowed_value_for_every_choice(framework: str) -> None:
    known = FRAMEWORKS[framework].choices
    for name in RECIPES:
        for device in DEVICES:
            chosen = FRAMEWORKS[framework].recipe(name, device).choices
            assert set(chosen) == set(known)
            assert all(known[choice].takes(value) for choice, value in chosen.items())
    defaults = FRAMEWORKS[framework].recipe("default", "cpu").choices
    assert set(defaults.values()) == {choice.default for choice in known.values()}


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("tunned", UnknownName, "unknown recipe 'tunned': did you mean tuned"),
        ("tuned+compilr=none", UnknownName, "unknown choice of a recipe in pytorch 'compilr': did you mean compiler"),
        ("tuned+compiler=fast", InvalidConfiguration, "compiler is 'fast', expected one of none, inductor, frozen"),
        ("tuned+threads=0", InvalidConfiguration, "threads is '0', expected one of automatic, a whole number"),
        ("tuned+compiler", InvalidConfiguration, "compiler is '', expected one of none, inductor, frozen"),
    ],
)
def test_an_invalid_recipe_is_refused_before_anything_runs(text: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        cases(Selection(frameworks=("pytorch",), recipes=(text,), device="cpu"))


def test_a_third_party_implementation_has_no_choices() -> None:
    assert cases(Selection(frameworks=tuple(THIRD_PARTY), recipes=tuple(RECIPES), device="cpu"))
    with pytest.raises(UnknownName, match=r"unknown recipe 'tuned\+compiler=none': did you mean compiled or tuned"):
        cases(Selection(frameworks=("timm",), recipes=("tuned+compiler=none",), device="cpu"))


def test_the_command_reports_an_invalid_choice_in_one_line(tmp_path: Path) -> None:
    line = error_of("run", "-f", "jax", "--recipe", "tuned+depthwise=fast", cwd=tmp_path, code=2)
    assert "recipe 'tuned+depthwise=fast' in jax: depthwise is 'fast', expected one of grouped, shifted" in line


def test_a_choice_applies_only_to_its_tasks_devices_and_precisions() -> None:
    graphs = FRAMEWORKS["pytorch"].choices["graphs"]
    assert [graphs.applies(INFER, device, "fp32") for device in DEVICES] == [False, True]
    narrow = Choice({"off": None, "on": None}, precisions=("bf16",))
    assert (narrow.applies(INFER, "cpu", "bf16"), narrow.applies(INFER, "cpu", "fp32")) == (True, False)
    assert not Choice({"off": None, "on": None}, tasks=()).applies(INFER, "cpu", "fp32")
    assert "graphs" not in FRAMEWORKS["pytorch"].open_choices("cpu")
    assert FRAMEWORKS["pytorch"].open_choices("cuda")["graphs"] == ("off", "on")


def test_an_execution_survives_encoding_and_decoding() -> None:
    execution = FRAMEWORKS["jax"].execution("tuned+threads=2", "bf16", "cpu")
    assert msgspec.json.decode(msgspec.json.encode(execution), type=Execution) == execution
