from __future__ import annotations

import json
from typing import Any

import pytest

from tests.cli.command import xibench


@pytest.fixture(scope="session")
def examined(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What `xibench doctor --json` found: asking every framework takes a while, so that it is done once."""
    return json.loads(xibench("doctor", "--json", cwd=tmp_path_factory.mktemp("doctor")).stdout)


@pytest.fixture(scope="session")
def shown_to_people(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What `xibench doctor` prints."""
    return xibench("doctor", cwd=tmp_path_factory.mktemp("doctor")).stdout
