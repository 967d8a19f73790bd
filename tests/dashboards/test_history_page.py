"""The history page: what changed first, every series on the wall, charts that open in a browser."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dashboards.build import build, pages_of, render
from dashboards.content import Facts, Page, Tile, Wall
from dashboards.pages import history as page
from dashboards.site import LoadedHistory, Site
from tests.dashboards.browser import open_page
from tests.dashboards.reading import blocks, charts, rows
from xibench.history.confirm import Confirmation, Confirmations, Ratio
from xibench.history.report import judge, remembered
from xibench.history.series import Key, Point, Series

COMMITS = [f"{number:040x}" for number in range(1, 100)]
DAY_S = 86_400.0


def series(name: str, *steps: tuple[int, float], nights: int = 30, seed: int = 0, upgrade: int = 0) -> Series:
    """Return nights at 1 % noise that change by factors from some nights on, with an upgrade of jax at a night."""
    logs = np.random.default_rng(seed).normal(0, 0.01, nights)
    for first, factor in steps:
        logs[first:] += np.log(factor)
    points = tuple(
        Point(
            value=value, low=0.98 * value, high=1.02 * value, commit=COMMITS[night], commit_time=night * DAY_S,
            measured=night * DAY_S, source="asv", versions={"jax": "0.12.0" if 0 < upgrade <= night else "0.10.2"},
        )
        for night, value in enumerate((0.1 * np.exp(logs)).tolist())
    )  # fmt: skip
    return Series(Key("vm", name, "asv"), "seconds", points)


def confirmations(folder: Path, name: str, first: int, ratio: float) -> Confirmations:
    found = Confirmations(folder / "confirmations.jsonl")
    found.append(Confirmation(
        key=Key("vm", name, "asv"), before=COMMITS[first - 1], first=COMMITS[first], outcome="confirmed",
        found=Ratio("slower", ratio, ratio - 0.02, ratio + 0.02, 6), commit=COMMITS[first],
    ))  # fmt: skip
    return found


def loaded(some: Sequence[Series], known: Confirmations) -> LoadedHistory:
    return LoadedHistory(tuple(some), remembered(judge(some), known))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """Series without a change, a confirmed regression, an improvement, and one that is too short."""
    some = [
        series("a: steady", seed=1), series("b: slower", (20, 1.1), seed=2), series("c: faster", (20, 0.9), seed=3),
        series("d: steady <b>", seed=4, upgrade=15), series("e: short", nights=5, seed=5), series("f: steady", seed=6),
    ]  # fmt: skip
    return Site((), history=loaded(some, confirmations(tmp_path_factory.mktemp("known"), "b: slower", 20, 1.1)))


@pytest.fixture(scope="module")
def shown(site: Site) -> Page:
    [found] = [one for one in pages_of(site) if one.file == "history.html"]
    return found


def block(found: Page, kind: type[Any]) -> Any:
    [one] = [each for section in found.sections for each in section.blocks if isinstance(each, kind)]
    return one


def charted(found: Page) -> list[str]:
    """The titles of the charts."""
    return [each.title for each in blocks(found)]


def test_the_counts_are_on_top(shown: Page) -> None:
    counts = dict(block(shown, Facts).items)
    assert counts["series"] == "6"
    assert counts["changed"] == "2"
    assert counts["to confirm"] == "1"
    assert counts["confirmed, of which fixed"] == "1, 0"


def test_changes_are_listed_with_what_measuring_again_found(shown: Page) -> None:
    found = rows(shown, "Series", "State", "Measured again", "First with")
    assert found[0] == ("b: slower", "confirmed", "1.100 [1.080, 1.120]", COMMITS[20][:10])
    assert found[1][:2] == ("c: faster", "candidate")


def test_what_needs_attention_comes_first(shown: Page) -> None:
    tiles = block(shown, Wall).tiles
    assert [tile.title for tile in tiles][:2] == ["b: slower", "c: faster"]
    assert [tile.title for tile in tiles][2:] == ["a: steady", "d: steady <b>", "e: short", "f: steady"]
    assert [tile.alert for tile in tiles] == [True] + 5 * [False]
    assert tiles[0].state.startswith("confirmed, +")
    assert charted(shown) == [tile.title for tile in tiles]


def test_tiles_lead_to_their_charts(site: Site, shown: Page) -> None:
    html = render([shown], site)["history.html"]
    for tile in block(shown, Wall).tiles:
        figure = html.partition(f'id="{tile.address[1:]}"')[2]
        assert figure.partition("<h3>")[2].startswith(escape(tile.title))


def test_sparklines_stay_in_their_box_and_mark_changes(shown: Page) -> None:
    tiles: Sequence[Tile] = block(shown, Wall).tiles
    for tile in tiles:
        places = [tuple(map(float, place.split(","))) for place in tile.line.split()]
        assert all(0 <= x <= 100 and 0 <= y <= 24 for x, y in places)
        assert all(mark in places for mark in tile.marks)
    slower = [float(place.split(",")[1]) for place in tiles[0].line.split()]
    assert np.mean(slower[20:]) < np.mean(slower[:20])  # y is downwards: slower is higher up
    assert [len(tile.marks) for tile in tiles] == [1, 1, 0, 0, 0, 0]


def test_a_chart_has_the_interval_the_change_and_the_upgrade(shown: Page) -> None:
    by_name = dict(zip(charted(shown), charts(shown), strict=True))
    slower, steady = by_name["b: slower"], by_name["d: steady <b>"]
    low, high, line = slower["data"]
    assert all(a < y < b for a, y, b in zip(low["y"], line["y"], high["y"], strict=True))
    assert line["y"][0] == pytest.approx(100, rel=0.05)  # milliseconds
    [change] = slower["layout"]["shapes"]
    assert (change["x0"], change["line"]["dash"]) == (19.5, "solid")
    [upgrade] = steady["layout"]["shapes"]
    assert (upgrade["x0"], upgrade["line"]["dash"]) == (14.5, "dot")
    assert [note["text"].strip() for note in steady["layout"]["annotations"]] == ["jax 0.12.0"]


def test_series_beyond_the_charts_are_still_on_the_wall(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "MAX_CHARTS", 2)
    [found] = [one for one in pages_of(site) if one.file == "history.html"]
    assert len(charted(found)) == 2
    assert len(block(found, Wall).tiles) == 6
    assert "4 series" in found.intro


def test_series_of_one_point_and_without_intervals_are_shown(tmp_path: Path) -> None:
    one = series("one", nights=1)
    bare = series("bare", nights=3)
    bare = Series(bare.key, "bytes", tuple(Point(value=2e8, measured=p.measured, source="x") for p in bare.points))
    site = Site((), history=loaded([bare, one], Confirmations(tmp_path / "none")))
    [found] = [each for each in pages_of(site) if each.file == "history.html"]
    assert [len(figure["data"]) for figure in charts(found)] == [1, 3]
    assert charts(found)[0]["data"][-1]["y"] == pytest.approx([190.7] * 3, abs=0.1)


@pytest.mark.parametrize(("name", "title"), [
    ("networks.JAX.track_seconds_per_image(xception, tuned, 1)", "JAX, seconds per image: xception, tuned, 1"),
    ("networks.Exact.track_macs(xception)", "Exact, macs: xception"),
    ("suite.time_sort", "suite, sort"),
    ("pytorch xception default fp32 batch 1 299 px cpu", "pytorch xception default fp32 batch 1 299 px cpu"),
])  # fmt: skip
def test_names_of_benchmarks_are_shown_in_words(tmp_path: Path, name: str, title: str) -> None:
    site = Site((), history=loaded([series(name, nights=2)], Confirmations(tmp_path / "none")))
    [found] = [each for each in pages_of(site) if each.file == "history.html"]
    assert charted(found) == [title]


def test_a_site_without_a_history_has_no_such_page(site: Site) -> None:
    assert not [one for one in pages_of(replace(site, history=None)) if one.file == "history.html"]


def test_the_page_opens_in_a_browser_without_a_complaint(chromium: Any, site: Site, tmp_path: Path) -> None:
    build([], tmp_path, site.history)
    wide, narrow = open_page(chromium, tmp_path / "history.html", (1280, "light"), (400, "dark"))
    for seen, width in ((wide, 1280), (narrow, 400)):
        assert seen.complaints == []
        assert seen.requests == []
        assert seen.width == width
        assert len(seen.charts) == 6
        assert all(chart["drawn"] and chart["marks"] > 0 for chart in seen.charts)
