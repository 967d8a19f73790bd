from __future__ import annotations

import pytest

from tests.golden.golden import Golden


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Golden:
    """The golden files: compared with, or written anew under `--regenerate`."""
    return Golden(regenerate=bool(request.config.getoption("--regenerate", default=False)))
