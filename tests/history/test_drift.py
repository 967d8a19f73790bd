"""A slow drift is reported as drift, and other noise hardly ever is."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from tests.cli.command import xibench
from tests.history.test_history import asv_folder
from xibench.history.drift import drift


def noise(rng: np.random.Generator, nights: int, correlation: float, size: float) -> np.ndarray:
    """Return correlated noise (AR(1)) of a standard deviation."""
    values = rng.normal(0, size, nights)
    for night in range(1, nights):
        values[night] = correlation * values[night - 1] + math.sqrt(1 - correlation**2) * values[night]
    return values


@pytest.mark.parametrize("nights", [20, 50, 200])
@pytest.mark.parametrize("total", [0.1, -0.1])
def test_a_drift_of_ten_percent_at_one_percent_noise_is_found(nights: int, total: float) -> None:
    rng = np.random.default_rng(0)
    found = [drift(np.linspace(0, total, nights) + noise(rng, nights, 0.0, 0.01)) for _ in range(100)]
    assert all(found)
    assert np.median([one for one in found if one]) == pytest.approx(total, abs=0.01)


@pytest.mark.parametrize(("correlation", "size"), [(0.0, 0.03), (0.0, 0.1), (0.8, 0.03)])
@pytest.mark.parametrize("nights", [20, 50, 200])
def test_noise_without_a_drift_is_hardly_ever_called_one(nights: int, correlation: float, size: float) -> None:
    rng = np.random.default_rng(1)
    called = sum(drift(noise(rng, nights, correlation, size)) is not None for _ in range(200))
    assert called <= 4


def test_a_drift_below_five_percent_and_a_short_series_are_not_called() -> None:
    assert drift(np.linspace(0, 0.04, 100)) is None
    assert drift(np.linspace(0, 0.5, 19)) is None
    assert drift(np.linspace(0, 0.1, 20)) == pytest.approx(0.1)
    assert drift(np.zeros(30)) is None


def test_history_reports_it_apart_from_changes(tmp_path: Path) -> None:
    values = np.random.default_rng(2).normal(0, 0.005, (3, 40))
    values[0] += np.linspace(0, 0.1, 40)
    asv_folder(tmp_path / "asv", np.exp(values).tolist())
    found = json.loads(xibench("history", "asv", "--json", cwd=tmp_path).stdout)
    drifts = [each["drift"] for each in found["series"]]
    assert drifts[0] == pytest.approx(math.exp(0.1), rel=0.02)
    assert drifts[1:] == [None, None]
    shown = xibench("history", "asv", cwd=tmp_path).stdout
    assert "1 drifts" in shown
    assert "step.time_step(0) drifts: +10" in " ".join(shown.split())
