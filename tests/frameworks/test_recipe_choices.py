"""Recipes as they are written: a name, and choices of one's own after it. No framework is imported."""

from __future__ import annotations

from pathlib import Path

import pytest

from frameworks.errors import InvalidConfiguration, UnknownName
from frameworks.recipes import CHOICES, RECIPES, recipe
from frameworks.runtime import DEVICES, FRAMEWORKS
from frameworks.third_party import CONTENDERS
from tests.cli.command import said
from xibench.run.plan import Selection, cases


def test_what_is_written_after_the_name_replaces_that_choice_alone() -> None:
    tuned, own = recipe("pytorch", "tuned", "cpu"), recipe("pytorch", "tuned+layout=NCHW+threads=2", "cpu")
    changed = {name: own.choices[name] for name in own.choices if own.choices[name] != tuned.choices[name]}
    assert changed == {"layout": "NCHW", "threads": "2"}
    assert ("2 threads within an operation", "as asked") in own.settings


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_every_recipe_decides_every_choice_by_a_value_that_it_takes(framework: str) -> None:
    for name in RECIPES:
        for device in DEVICES:
            chosen = recipe(framework, name, device).choices
            assert set(chosen) == set(CHOICES[framework])
            assert all(CHOICES[framework][choice].takes(value) for choice, value in chosen.items())
    assert set(recipe(framework, "default", "cpu").choices.values()) == {c.plain for c in CHOICES[framework].values()}


@pytest.mark.parametrize(
    ("text", "error", "told"),
    [
        ("tunned", UnknownName, "unknown recipe 'tunned': did you mean tuned"),
        ("tuned+compilr=none", UnknownName, "unknown choice of a recipe in pytorch 'compilr': did you mean compiler"),
        ("tuned+compiler=fast", InvalidConfiguration, "compiler is 'fast', expected one of none, inductor, frozen"),
        ("tuned+threads=0", InvalidConfiguration, "threads is '0', expected one of automatic, a whole number"),
        ("tuned+compiler", InvalidConfiguration, "compiler is '', expected one of none, inductor, frozen"),
    ],
)
def test_what_is_no_recipe_is_refused_before_anything_runs(text: str, error: type[Exception], told: str) -> None:
    with pytest.raises(error, match=told):
        cases(Selection(frameworks=("pytorch",), recipes=(text,), device="cpu"))


def test_a_contender_takes_names_alone() -> None:
    assert cases(Selection(frameworks=tuple(CONTENDERS), recipes=tuple(RECIPES), device="cpu"))
    with pytest.raises(UnknownName, match=r"unknown recipe 'tuned\+compiler=none': did you mean compiled or tuned"):
        cases(Selection(frameworks=("timm",), recipes=("tuned+compiler=none",), device="cpu"))


def test_the_command_says_so_in_one_line(tmp_path: Path) -> None:
    line = said("run", "-f", "jax", "--recipe", "tuned+depthwise=fast", cwd=tmp_path, code=2)
    assert "recipe 'tuned+depthwise=fast' in jax: depthwise is 'fast', expected one of grouped, shifted" in line
