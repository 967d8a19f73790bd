from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.measure.cards import compiled, outcome

Program = Callable[[str], Any]


@pytest.fixture(scope="session")
def stand_in_nvml(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the compiled stand-in library."""
    return compiled(tmp_path_factory.mktemp("nvml"))


@pytest.fixture
def with_cards(stand_in_nvml: Path, tmp_path: Path) -> Program:
    """Runs a program that sees the stand-in's GPUs and returns the JSON that it printed."""
    return lambda program: outcome(stand_in_nvml, tmp_path / "cards", program)
