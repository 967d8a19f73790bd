from __future__ import annotations

import pytest

from tests.golden.golden import Golden


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Golden:
    """Comparison with the golden files, which `--regenerate` rewrites instead."""
    return Golden(regenerate=bool(request.config.getoption("--regenerate", default=False)))
