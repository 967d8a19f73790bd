"""Build the site: run files in, a folder of pages out that opens from the file system."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from dashboards import content, words
from dashboards.pages import PAGES, settings
from dashboards.site import LoadedHistory, Site
from dashboards.style import framework_colours
from xibench.errors import StoreError, UsageError, XibenchError
from xibench.record.text import printable

STATIC: Final = ("site.css", "charts.js")
HERE: Final = Path(__file__).parent


def build(run_paths: Sequence[Path], out: Path, history: LoadedHistory | None = None) -> Path:
    """Build the site of these runs; other files in the folder are left alone.

    Args:
        run_paths: Run files and files of pairs; each is copied into the site.
        out: The folder to write.
        history: Series of many nights, which have a page of their own.

    Returns:
        The path of the index page.

    Raises:
        UsageError: no run file was given.
        StoreError: a file cannot be read, or the folder cannot be written.
        NewerFormat: a run file was written by a newer xibench.
    """
    if not run_paths and history is None:
        raise UsageError("no run file given: a site needs at least one; measure a run with `xibench run` first")
    site = Site.read([Path(path) for path in run_paths], history)
    pages = pages_of(site)
    try:
        _write_static(out)
        for run in site.runs:
            _write(out / settings.run_file(run), run.content)
        for pairs in site.comparisons:
            _write(out / settings.RUNS_FOLDER / f"{pairs.anchor}-{pairs.name}", pairs.content)
        for name, text in render(pages, site).items():
            _write(out / name, text.encode())
    except OSError as error:
        raise StoreError(f"site {out} cannot be written: {error.strerror}; name another folder") from error
    return out / pages[0].file


def pages_of(site: Site) -> list[content.Page]:
    """Every page that applies to a site, in navigation order."""
    return [kind.page(site) for kind in PAGES if (site.runs or not kind.of_runs) and kind.applies(site)]


def render(pages: Sequence[content.Page], site: Site) -> dict[str, str]:
    """Render pages: file name -> HTML. Templates escape every string of a record; control characters are shown."""
    environment = Environment(
        loader=PackageLoader("dashboards"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.tests["a_block"] = _is_block
    environment.filters["script_json"] = script_json
    environment.filters["moment"] = words.moment
    template = environment.get_template("page.html")
    texts = {page.file: template.render(page=page, pages=pages, runs=site.runs) for page in pages}
    return {name: "\n".join(map(printable, text.split("\n"))) for name, text in texts.items()}


def script_json(value: Any) -> Markup:
    """Encode JSON for a script element so that no value can end the element."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))


def _is_block(value: object, name: str) -> bool:
    return type(value).__name__ == name


def plotly_script() -> str:
    """Return the text of plotly.min.js.

    Raises:
        XibenchError: plotly is not installed.
    """
    try:
        from plotly.offline import get_plotlyjs
    except ModuleNotFoundError as error:
        raise XibenchError("the site cannot be built: plotly is not installed; pip install plotly") from error
    script: str = get_plotlyjs()
    return script


def _write_static(out: Path) -> None:
    _write(out / "static" / "plotly.min.js", plotly_script().encode())
    for name in STATIC:
        text = (HERE / "static" / name).read_text(encoding="utf-8")
        _write(out / "static" / name, (framework_colours() + text if name == "site.css" else text).encode())


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
