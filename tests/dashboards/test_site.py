"""The registry of pages, and frameworks, scenarios and metrics that are only registered."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from dashboards import content
from dashboards.build import pages_of, render
from dashboards.pages import PAGES
from dashboards.site import Site
from tests.dashboards import examples
from xibench import scenarios
from xibench.record import metrics
from xibench.record.schema import Case, Record


def site_of(folder: Path, *records: Record) -> Site:
    made = examples.header([r.case for r in records])
    return Site.read([examples.write(folder / "run.jsonl", made, records, examples.calibration())])


def page_of(site: Site, path: str) -> content.Page:
    (found,) = [page for page in pages_of(site) if page.file == path]
    return found


def cells_of(page: content.Page) -> set[str]:
    """The text of every cell of a page's tables."""
    blocks = [block for section in page.sections for block in section.blocks]
    tables = [block.table if isinstance(block, content.FigureBlock) else block for block in blocks]
    cells = [cell for table in tables if isinstance(table, content.Table) for row in table.rows for cell in row]
    return {cell if isinstance(cell, str) else cell.text for cell in cells}


@pytest.fixture
def toys(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A scenario `bursts` and a metric `slowest_step_s`, as a plugin registers them."""
    monkeypatch.setattr(scenarios, "_registered", dict(scenarios.SCENARIOS))
    monkeypatch.setattr(scenarios, "SCENARIOS", scenarios._registered)
    scenarios.register(scenarios.Scenario(
        name="bursts", label="Bursts", description="short bursts", run=scenarios.OFFLINE.run,
        metrics=("images_per_s",), headline=("images_per_s",),
    ))  # fmt: skip
    metrics.register(metrics.Metric(
        name="slowest_step_s", unit="s", better="lower", heading="slowest step", shown_unit="ms", scale=1e3,
        of=lambda case: max(max(steps) for steps in case.steps_s) if case.steps_s else None,
    ))  # fmt: skip
    yield
    del metrics.METRICS["slowest_step_s"]


def test_every_page_has_a_unique_path_label_and_question() -> None:
    for names in ([p.path for p in PAGES], [p.label for p in PAGES], [p.question for p in PAGES]):
        assert len(set(names)) == len(PAGES)
    assert PAGES[0].path == "index.html"


def test_the_navigation_has_the_pages_that_apply_in_the_order_of_the_registry(tmp_path: Path) -> None:
    site = site_of(tmp_path, examples.ok(Case(framework="jax", model="xception"), [0.5] * 5))
    pages = pages_of(site)
    assert [page.file for page in pages] == [kind.path for kind in PAGES if kind.applies(site)]
    html = render(pages, site)["index.html"]
    at = [html.index(f'<a href="{page.file}"', html.index("<nav")) for page in pages]
    assert at == sorted(at)


def test_a_run_file_given_twice_is_read_once(tmp_path: Path) -> None:
    case = Case(framework="jax", model="xception")
    path = examples.write(tmp_path / "run.jsonl", examples.header([case]), [examples.ok(case, [0.5] * 5)])
    assert len(Site.read([path, path]).runs) == 1


def test_a_metric_without_a_page_is_shown_on_the_page_of_further_metrics(toys: None, tmp_path: Path) -> None:
    site = site_of(tmp_path, examples.ok(Case(framework="jax", model="xception"), [0.5, 0.5, 0.75]))
    page = page_of(site, "further.html")
    (section,) = page.sections
    (block,) = section.blocks
    assert isinstance(block, content.FigureBlock)
    assert block.title == "Slowest step"
    bars, texts = block.charts[0].figure["data"]
    assert bars["x"] == [750.0]
    assert [text.strip() for text in texts["text"]] == ["750"]  # without the attained fraction
    assert "750" in cells_of(page)


def test_without_such_a_metric_there_is_no_such_page(tmp_path: Path) -> None:
    site = site_of(tmp_path, examples.ok(Case(framework="jax", model="xception"), [0.5] * 5))
    assert "further.html" not in [page.file for page in pages_of(site)]


def test_a_registered_scenario_and_framework_are_on_every_page_of_their_metrics(
    toys: None, tmp_path: Path
) -> None:
    case = Case(framework="toy", model="xception", scenario="bursts", batch=2)
    site = site_of(tmp_path, examples.ok(case, [0.5] * 5))
    for path in ("index.html", "latency.html", "startup.html", "memory.html", "further.html"):
        page = page_of(site, path)
        assert any("bursts" in section.title for section in page.sections), path
        assert "toy" in cells_of(page), path
    assert "4.00" in cells_of(page_of(site, "index.html"))


def test_a_registered_framework_has_a_column_in_the_headline(tmp_path: Path) -> None:
    from dashboards.headline import headline

    (run,) = site_of(tmp_path, examples.ok(Case(framework="toy", model="xception", batch=2), [0.5] * 5)).runs
    assert "| network | recipe | toy |" in headline(run)
