"""A headless Chromium that opens pages from the file system and records errors and external requests."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.processes import GENEROUS_S

FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)
LOCAL = ("file:", "data:", "blob:")
INSTALL = (
    "the site's browser tests need chromium and playwright: install them with `apt install chromium` and "
    "`pip install playwright`, or set XIBENCH_NO_BROWSER=1 to leave these tests out"
)
CHARTS = """() => Array.from(document.querySelectorAll('.drawing')).map(d => ({
    drawn: d.classList.contains('js-plotly-plot') && d.querySelector('svg.main-svg') !== null,
    marks: d.querySelectorAll('.point, .points path').length,
}))"""

DRAWN = """() => Array.from(document.querySelectorAll('.drawing')).every(d => d.querySelector('svg.main-svg'))"""


@dataclass
class Seen:
    """The result of loading a page: its charts, its errors, and the external addresses that it requested."""

    charts: list[dict[str, Any]] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    width: int = 0
    ink: str = ""


@contextmanager
def chromium() -> Iterator[Any]:
    """Start the browser; if there is none, fail with the command that installs it."""
    if os.environ.get("XIBENCH_NO_BROWSER") == "1":
        pytest.skip("XIBENCH_NO_BROWSER=1")
    executable = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    try:
        from playwright.sync_api import sync_playwright
    except ModuleNotFoundError:
        pytest.fail(INSTALL)
    if executable is None:
        pytest.fail(INSTALL)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=list(FLAGS))
        yield browser
        browser.close()


def open_page(browser: Any, path: Path, *views: tuple[int, str]) -> list[Seen]:
    """Open a file in each view, a width in pixels and `light` or `dark`, and inspect it after the charts are drawn.

    A complaint or request belongs to the view in which it came. Without a view: 1280 pixels wide, light.
    """
    first, *_ = views = views or ((1280, "light"),)
    page = browser.new_page(viewport={"width": first[0], "height": 900}, color_scheme=first[1])
    page.set_default_timeout(1000 * GENEROUS_S)
    seen: list[Seen] = [Seen()]
    page.on("console", lambda message: seen[-1].complaints.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: seen[-1].complaints.append(f"page error: {error}"))
    page.on("request", lambda request: None if request.url.startswith(LOCAL) else seen[-1].requests.append(request.url))
    page.goto(path.as_uri())
    page.wait_for_function("window.Plotly !== undefined")
    for number, (width, scheme) in enumerate(views):
        if number:
            seen.append(Seen())
            page.set_viewport_size({"width": width, "height": 900})
            page.emulate_media(color_scheme=scheme)
        page.wait_for_function(DRAWN)
        page.wait_for_timeout(250)  # what is wrong may come after what is right
        seen[-1].charts = page.evaluate(CHARTS)
        seen[-1].width = page.evaluate("document.documentElement.scrollWidth")
        seen[-1].ink = page.evaluate("getComputedStyle(document.body).color")
    page.close()
    return seen
