"""The estimate of a plan's wall time, against runs that were measured."""

from __future__ import annotations

import statistics
from pathlib import Path

import msgspec
import pytest

from tests.cli.command import ROOT
from xibench.record.schema import SamplingConfig
from xibench.record.store import read
from xibench.run.estimate import estimate

MEASURED = sorted((ROOT / "results/reference").glob("*/quick.jsonl")) + sorted(
    (ROOT / "results/reference").glob("*/nightly.jsonl")
)


@pytest.mark.parametrize("path", MEASURED, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_without_earlier_runs_the_estimate_is_within_a_factor_of_three(path: Path, tmp_path: Path) -> None:
    run = read(path)
    took_s = sum(attempt.surroundings.wall_s for attempt in run.index.attempts if attempt.surroundings)
    found = estimate(run.header.plan, run.header.sampling, run.header.environment, tmp_path)
    assert took_s / 3 < found.seconds < 3 * took_s, "measured on other machines than this one"
    assert (found.known_cases, found.cases) == (0, len(run.header.plan))


def test_earlier_runs_on_this_machine_say_how_long_a_process_takes(tmp_path: Path) -> None:
    content = MEASURED[0].read_bytes()
    (tmp_path / "monday.jsonl").write_bytes(content)
    (tmp_path / "notes.jsonl").write_text("no run file\n")
    run = read(MEASURED[0])
    walls_s = [
        statistics.median(attempt.surroundings.wall_s for attempt in record.attempts if attempt.surroundings)
        for record in run.records
    ]
    sampling = SamplingConfig(processes=2)
    here = run.header.environment
    found = estimate(run.header.plan, sampling, here, tmp_path)
    assert found.seconds == pytest.approx(2 * sum(walls_s))
    assert found.known_cases == len(run.header.plan)
    elsewhere = msgspec.structs.replace(here, machine="another")
    assert estimate(run.header.plan, sampling, elsewhere, tmp_path).known_cases == 0


def test_a_run_with_a_total_budget_takes_no_longer(tmp_path: Path) -> None:
    run = read(MEASURED[0])
    sampling = msgspec.structs.replace(run.header.sampling, total_budget_s=30.0)
    assert estimate(run.header.plan, sampling, run.header.environment, tmp_path).seconds == 30.0
