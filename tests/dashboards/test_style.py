from __future__ import annotations

from pathlib import Path

from dashboards.style import FRAMEWORK_ORDER, framework_colour, recipe_dash, recipe_symbol

CSS = (Path(__file__).parents[2] / "dashboards" / "static" / "site.css").read_text(encoding="utf-8")


def test_every_framework_and_contender_has_a_colour_in_light_and_in_dark() -> None:
    colours = {framework_colour(name) for name in FRAMEWORK_ORDER}
    assert len(colours) == len(FRAMEWORK_ORDER)
    for name in FRAMEWORK_ORDER:
        assert CSS.count(f"  --{name}: #") == 2
    assert framework_colour("mxnet") == "var(--other)"


def test_a_recipe_with_choices_of_its_own_keeps_its_mark() -> None:
    for mark in (recipe_symbol, recipe_dash):
        assert mark("tuned+layout=NCHW") == mark("tuned+layout=NCHW") != mark("tuned")
