from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dashboards.build import build
from tests.dashboards import browser, examples


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
def empty_site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site of a run in which nothing worked: one case failed, one was never reached."""
    folder = tmp_path_factory.mktemp("empty")
    cases = examples.matrix()[:2]
    records = [examples.refused(cases[0], "failed", "worker exited with code 1", log="Illegal instruction")]
    return build([examples.write(folder / "empty.jsonl", examples.header(cases), records)], folder / "site").parent
