"""A headless chromium that opens pages from the file system and notes everything that it should not have to note."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

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


@dataclass
class Seen:
    """What a page did: its charts, complaints, and addresses outside this machine that it asked for."""

    charts: list[dict[str, Any]] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    width: int = 0
    ink: str = ""


@contextmanager
def chromium() -> Iterator[Any]:
    """A browser. Fails, saying what to install, where there is none."""
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


def open_page(browser: Any, path: Path, width: int = 1280, scheme: str = "light") -> Seen:
    """Opens a file and waits until its charts are drawn."""
    seen = Seen()
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page.on("console", lambda message: seen.complaints.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: seen.complaints.append(f"page error: {error}"))
    page.on("request", lambda request: None if request.url.startswith(LOCAL) else seen.requests.append(request.url))
    page.goto(path.as_uri())
    page.wait_for_function("window.Plotly !== undefined")
    page.wait_for_timeout(250)
    seen.charts = page.evaluate(CHARTS)
    seen.width = page.evaluate("document.documentElement.scrollWidth")
    seen.ink = page.evaluate("getComputedStyle(document.body).color")
    page.close()
    return seen
