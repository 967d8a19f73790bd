"""The site in a real browser, opened from the file system."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.dashboards.browser import open_page

CHARTS = {
    "index": 2, "batch": 2, "latency": 7, "startup": 10, "memory": 5, "energy": 2, "costs": 8, "accuracy": 3,
    "settings": 4,
}


WIDE, NARROW = (1280, "light"), (400, "dark")


@pytest.mark.parametrize("name", CHARTS)
def test_every_page_draws_its_charts_without_a_complaint_or_a_request_that_leaves_the_machine(
    chromium: Any, thorough_site: Path, name: str
) -> None:
    wide, narrow = open_page(chromium, thorough_site / f"{name}.html", WIDE, NARROW)
    for seen, (width, _) in ((wide, WIDE), (narrow, NARROW)):
        assert seen.complaints == []
        assert seen.requests == []
        assert seen.width == width  # nothing but tables scrolls sideways, not even on a telephone
        assert len(seen.charts) == CHARTS[name]
        assert all(chart["drawn"] and chart["marks"] > 0 for chart in seen.charts)
    assert wide.ink != narrow.ink, "the page follows light and dark"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["index", "latency", "costs", "settings"])
def test_the_reference_run_of_an_older_format_opens_without_a_complaint(
    chromium: Any, reference_site: Path, name: str
) -> None:
    (seen,) = open_page(chromium, reference_site / f"{name}.html", (400, "light"))
    assert seen.complaints == []
    assert seen.width == 400
    assert all(chart["drawn"] and chart["marks"] > 0 for chart in seen.charts)


def test_a_page_that_opens_dark_is_dark(chromium: Any, site: Path) -> None:
    (light,), (dark,) = (open_page(chromium, site / "index.html", (1280, scheme)) for scheme in ("light", "dark"))
    assert light.ink != dark.ink


@pytest.mark.slow
@pytest.mark.parametrize("name", ["index", "batch", "energy", "costs", "accuracy", "settings"])
def test_a_run_without_a_result_opens_without_a_complaint(chromium: Any, empty_site: Path, name: str) -> None:
    (seen,) = open_page(chromium, empty_site / f"{name}.html")
    assert seen.complaints == []
    assert all(chart["drawn"] for chart in seen.charts)
