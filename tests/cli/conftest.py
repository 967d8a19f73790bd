from __future__ import annotations

import json
from typing import Any

import pytest

from tests.cli.command import xibench


@pytest.fixture(scope="session")
def doctor_report(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Report of `xibench doctor --json`. It takes seconds to probe every framework, so all tests share one report."""
    return json.loads(xibench("doctor", "--json", cwd=tmp_path_factory.mktemp("doctor")).stdout)


@pytest.fixture(scope="session")
def doctor_output(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Output of `xibench doctor`."""
    return xibench("doctor", cwd=tmp_path_factory.mktemp("doctor")).stdout
