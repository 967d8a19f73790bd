from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dashboards.build import build
from tests.dashboards import browser, examples

REFERENCE = Path(__file__).parents[2] / "results" / "reference" / "amd-epyc-avx512-2c" / "quick-0.1.jsonl"


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    with browser.chromium() as started:
        yield started


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site of a varied run."""
    folder = tmp_path_factory.mktemp("varied")
    return build([examples.write(folder / "varied.jsonl", *examples.varied())], folder / "site").parent


@pytest.fixture(scope="session")
def thorough_site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site of a run with several processes and every scenario, and of a batch sweep."""
    folder = tmp_path_factory.mktemp("thorough")
    runs = [
        examples.write(folder / "thorough.jsonl", *examples.thorough(), examples.calibration(idle_watts=12.0)),
        examples.write(folder / "sweep.jsonl", *examples.sweep(), examples.calibration()),
    ]
    return build(runs, folder / "site").parent


@pytest.fixture(scope="session")
def reference_site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site of the committed reference run, whose file is of format 1."""
    return build([REFERENCE], tmp_path_factory.mktemp("reference") / "site").parent


@pytest.fixture(scope="session")
def empty_site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site of a run in which nothing worked: one case failed, one was never reached."""
    folder = tmp_path_factory.mktemp("empty")
    cases = examples.matrix()[:2]
    records = [examples.refused(cases[0], "failed", "worker exited with code 1", log="Illegal instruction")]
    return build([examples.write(folder / "empty.jsonl", examples.header(cases), records)], folder / "site").parent
