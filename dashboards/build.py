"""Builds the site: run files in, a folder of pages out that opens from the file system."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from dashboards import content, words
from dashboards.pages import (
    accuracy,
    batch,
    costs,
    energy,
    further,
    latency,
    memory,
    overview,
    settings,
    spectrum,
    startup,
)
from dashboards.plotly_js import plotly_script
from dashboards.runs import LoadedRun, load
from xibench.errors import StoreError, UsageError

STATIC: Final = ("site.css", "charts.js")
PAGES: Final = (
    overview.page, batch.page, latency.page, startup.page, memory.page, energy.page, costs.page, spectrum.page,
    accuracy.page, settings.page,
)
HERE: Final = Path(__file__).parent


def build(run_paths: Sequence[Path], out: Path) -> Path:
    """Writes the site of these runs into the folder `out` and returns the path of its index.html.

    Files in `out` that the site does not have stay as they are. Raises UsageError without run files, StoreError for a
    run file that cannot be read (NewerFormat for a newer one) or a folder that cannot be written.
    """
    if not run_paths:
        raise UsageError("no run file given: a site needs at least one; take a run first with `xibench run`")
    runs = _distinct([load(Path(path)) for path in run_paths])
    pages = [page(runs) for page in PAGES]
    if further.has_figures(runs):
        pages.append(further.page(runs))
    try:
        _write_static(out)
        for run in runs:
            _write(out / settings.run_file(run), run.content)
        for name, text in render(pages, runs).items():
            _write(out / name, text.encode())
    except OSError as error:
        raise StoreError(f"site {out} cannot be written: {error.strerror}; name another folder") from error
    return out / pages[0].file


def render(pages: Sequence[content.Page], runs: Sequence[LoadedRun]) -> dict[str, str]:
    """File name -> HTML. Every string from a record is escaped by the templates."""
    environment = Environment(
        loader=PackageLoader("dashboards"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.tests["a_block"] = _is_block
    environment.filters["script_json"] = script_json
    environment.filters["moment"] = words.moment
    template = environment.get_template("page.html")
    return {page.file: template.render(page=page, pages=pages, runs=runs) for page in pages}


def script_json(value: Any) -> Markup:
    """JSON that may stand inside a script element: no character of it can end the element."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))


def _is_block(value: object, name: str) -> bool:
    return type(value).__name__ == name


def _distinct(runs: Sequence[LoadedRun]) -> list[LoadedRun]:
    """The same file given twice is shown once."""
    return list({run.digest: run for run in runs}.values())


def _write_static(out: Path) -> None:
    _write(out / "static" / "plotly.min.js", plotly_script().encode())
    for name in STATIC:
        _write(out / "static" / name, (HERE / "static" / name).read_bytes())


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
