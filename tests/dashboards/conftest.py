from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dashboards.build import build
from tests.dashboards import browser, examples
from tests.dashboards.reading import Pages, pages_of_files

REFERENCE = Path(__file__).parents[2] / "results" / "reference" / "amd-epyc-avx512-2c" / "quick-0.1.jsonl"


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    with browser.chromium() as started:
        yield started


@pytest.fixture(scope="session")
def varied_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with results, substitutions, and cases without a result."""
    return examples.write(tmp_path_factory.mktemp("varied") / "varied.jsonl", *examples.varied())


@pytest.fixture(scope="session")
def thorough_runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A run with several processes and every scenario, and a batch sweep."""
    folder = tmp_path_factory.mktemp("thorough")
    return [
        examples.write(folder / "thorough.jsonl", *examples.thorough(), examples.calibration(idle_watts=12.0)),
        examples.write(folder / "sweep.jsonl", *examples.sweep(), examples.calibration()),
    ]


@pytest.fixture(scope="session")
def empty_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run without a result: one case failed, the other was not started."""
    cases = examples.matrix()[:2]
    records = [examples.refused(cases[0], "failed", "worker exited with code 1", log="Illegal instruction")]
    return examples.write(tmp_path_factory.mktemp("empty") / "empty.jsonl", examples.header(cases), records)


@pytest.fixture(scope="session")
def varied(varied_run: Path) -> Pages:
    return pages_of_files(varied_run)


@pytest.fixture(scope="session")
def thorough(thorough_runs: list[Path]) -> Pages:
    return pages_of_files(*thorough_runs)


@pytest.fixture(scope="session")
def empty(empty_run: Path) -> Pages:
    return pages_of_files(empty_run)


@pytest.fixture(scope="session")
def reference() -> Pages:
    """The pages of the committed reference run in format 1."""
    return pages_of_files(REFERENCE)


@pytest.fixture(scope="session")
def site(varied_run: Path) -> Path:
    return build([varied_run], varied_run.parent / "site").parent


@pytest.fixture(scope="session")
def thorough_site(thorough_runs: list[Path]) -> Path:
    return build(thorough_runs, thorough_runs[0].parent / "site").parent


@pytest.fixture(scope="session")
def reference_site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build([REFERENCE], tmp_path_factory.mktemp("reference") / "site").parent


@pytest.fixture(scope="session")
def empty_site(empty_run: Path) -> Path:
    return build([empty_run], empty_run.parent / "site").parent
