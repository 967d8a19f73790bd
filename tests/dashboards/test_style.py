from __future__ import annotations

from pathlib import Path

from dashboards.style import framework_colour, framework_colours, recipe_dash, recipe_symbol
from frameworks.api import IMPLEMENTATIONS

CSS = (Path(__file__).parents[2] / "dashboards" / "static" / "site.css").read_text(encoding="utf-8")


def test_every_implementation_has_a_colour_in_light_and_in_dark() -> None:
    colours = {framework_colour(name) for name in IMPLEMENTATIONS}
    assert len(colours) == len(IMPLEMENTATIONS)
    for name in IMPLEMENTATIONS:
        assert framework_colours().count(f"  --{name}: #") == 2
        assert f"--{name}:" not in CSS
    assert framework_colour("mxnet") == "var(--other)"


def test_a_recipe_with_explicit_choices_keeps_its_mark() -> None:
    for mark in (recipe_symbol, recipe_dash):
        assert mark("tuned+layout=NCHW") == mark("tuned+layout=NCHW") != mark("tuned")
