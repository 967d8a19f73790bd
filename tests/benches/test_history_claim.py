"""The simulation behind the claim `history`, on fewer series."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benches.claims import history
from benches.claims.claim import MET, overall


def test_few_series_of_20_nights_are_near_the_targets_and_asv_judges_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "SERIES", 60)
    monkeypatch.setattr(history, "LENGTHS", (20,))
    monkeypatch.setattr(history, "ASV_LENGTHS", (20,))
    monkeypatch.setattr(history, "ASV_SERIES", 20)
    figures = history.measure(Path())
    found = figures["nights_20"]
    assert set(found) == {*history.ORDINARY, *history.HARD, *history.PLANTED, "mixed", "drift_10"}
    assert figures["worst"]["alarms"] <= 2 / 60
    assert figures["worst"]["step_5_at_1"] >= 0.9
    assert figures["worst"]["step_8_at_3"] >= 0.6
    assert found["step_5_at_1"]["slower"] > found["step_5_at_1"]["asv_slower"]

    # A detector that finds nothing, or everything, does not meet it.
    for changed in ({"alarms": 0.5}, {"step_5_at_1": 0.5}, {"step_8_at_3": 0.5}, {"confirmed": 0.5}, {"drift_10": 0.5}):
        assert overall(history.CLAIM.verdicts({"worst": figures["worst"] | changed})) != MET


def test_the_simulated_noise_is_what_it_is_said_to_be() -> None:
    rng = np.random.default_rng(1)
    values = history.correlated(0.03, 0.8)(rng, 2000, 50)
    assert np.std(values) == pytest.approx(0.03, rel=0.02)
    assert np.corrcoef(values[:, 10], values[:, 11])[0, 1] == pytest.approx(0.8, abs=0.03)
    slow = history.sticky(rng, 2000, 50) > np.log(1.04)
    assert np.mean(slow) == pytest.approx(0.3, abs=0.02)
    assert np.mean(slow[:, 1:] != slow[:, :-1]) == pytest.approx(0.1, abs=0.005)
    drift = history.drifting(0.0, 0.04)(rng, 2, 50)
    assert drift[:, -1] - drift[:, 0] == pytest.approx([-0.04, 0.04])
