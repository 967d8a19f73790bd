from __future__ import annotations

import random
import re
import sys
from pathlib import Path

import msgspec
import numpy as np
import pytest

from tests.builders import small_case
from tests.processes import GENEROUS_S
from xibench.ab.pair import BurstConfig, log_ratio, measure_pair
from xibench.ab.sides import Side
from xibench.measure.machine import usable_cores
from xibench.measure.phase import Phase
from xibench.record.pairs import Pair
from xibench.record.schema import Case
from xibench.workers.messages import Burst, Prepare, Request
from xibench.workers.session import WorkerSession

CASE = msgspec.structs.replace(small_case(), recipe="default+batch_norm=folded")  # `tuned` compiles for seconds
QUICK = BurstConfig(burst_s=0.01, pair_s=0.2, warmup_budget_s=0.05, time_limit_s=GENEROUS_S)


@pytest.fixture
def batch(tmp_path: Path) -> Path:
    path = tmp_path / "batch.npy"
    np.save(path, np.zeros((1, 75, 75, 3), np.float32))
    return path


class Watching:
    """An observer that remembers."""

    def __init__(self) -> None:
        self.phases: list[Phase] = []
        self.ticks = 0

    def on_phase(self, phase: Phase) -> None:
        self.phases.append(phase)

    def on_progress(self, text: str) -> None:
        pass

    def on_tick(self) -> None:
        self.ticks += 1


def pair_of(
    base: Side, new: Side, batch: Path, case: Case = CASE, bursts: BurstConfig = QUICK, observer: Watching | None = None
) -> Pair:
    return measure_pair(case, (base, new), 0, batch, bursts, random.Random(0), batch.parent, observer)


@pytest.mark.alone
def test_two_real_processes_alternate_and_a_planted_slowdown_shows_in_their_ratio(batch: Path) -> None:
    pair = pair_of(Side("tree"), Side("tree", slowdown=1.0), batch)
    assert pair.status == "ok", f"{pair.reason}\n{pair.log}"
    assert pair.base is not None
    assert pair.new is not None
    assert len(pair.base.bursts_s) == len(pair.new.bursts_s) == len(pair.new_first) >= QUICK.min_bursts
    assert all(len(burst) >= QUICK.min_steps for burst in pair.base.bursts_s)
    again = [pair_of(Side("tree"), Side("tree", slowdown=1.0), batch).log_ratio for _ in range(2)]
    ratios = [ratio for ratio in (pair.log_ratio, *again) if ratio is not None]
    assert len(ratios) == 3
    assert np.median(ratios) > np.log(1.4), "twice as slow, far from the same even while other programs run"
    assert pair.base.output_mean == pair.new.output_mean
    assert pair.base.settings["batch_norm_folded"] is True
    assert pair.core in usable_cores()


def test_a_side_in_another_recipe_reads_back_its_own_settings(batch: Path) -> None:
    watching = Watching()
    pair = pair_of(Side("recipe:default", recipe="default"), Side("tree"), batch, observer=watching)
    assert pair.base is not None
    assert pair.new is not None
    assert (watching.phases, watching.ticks) == ([Phase.TIMING, Phase.DONE], len(pair.new_first))
    assert pair.base.warmup_stopped_by
    assert (pair.base.settings["batch_norm_folded"], pair.new.settings["batch_norm_folded"]) == (False, True)


def test_what_ran_instead_of_a_recipe_is_kept_with_its_side(batch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHDYNAMO_DISABLE", "1")
    pair = pair_of(Side("tree", recipe="default"), Side("recipe:compiled", recipe="compiled"), batch)
    assert pair.base is not None
    assert pair.new is not None
    assert pair.base.substitutions == []
    assert [(s.wanted, s.ran) for s in pair.new.substitutions] == [("torch.compile", "eager")]


def test_implementations_whose_outputs_differ_are_not_timed(batch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("reference", "pytorch")
    sides = [Side(f"framework:{name}", framework=name, recipe="default") for name in names]
    monkeypatch.setattr("xibench.ab.pair.SAME_OUTPUT", {"fp32": 0.0})
    pair = pair_of(sides[0], sides[1], batch)
    assert (pair.status, pair.log_ratio, pair.new_first) == ("failed", None, [])
    assert re.search(r"the outputs of reference and pytorch differ by .* allowed are 0e\+00 in fp32", pair.reason or "")
    assert pair.output_error is not None
    assert 0 < pair.output_error < 1e-4


def test_an_interpreter_without_the_framework_is_the_pairs_result(batch: Path, tmp_path: Path) -> None:
    program = tmp_path / "python"
    program.write_text(f"#!{sys.executable}\nimport sys; print('no such module'); sys.exit(7)\n")
    program.chmod(0o755)
    pair = pair_of(Side("tree"), Side("python", python=str(program)), batch)
    assert (pair.status, pair.log_ratio, pair.new) == ("failed", None, None)
    assert "exited with code 7" in (pair.reason or "")
    assert pair.log == "no such module"


def test_a_worker_that_hangs_is_given_up(batch: Path, tmp_path: Path) -> None:
    program = tmp_path / "python"
    program.write_text(f"#!{sys.executable}\nimport time; time.sleep(3600)\n")
    program.chmod(0o755)
    bursts = BurstConfig(time_limit_s=0.5)
    pair = pair_of(Side("p", python=str(program)), Side("p", python=str(program)), batch, bursts=bursts)
    assert pair.status == "timeout"
    assert "0.5 s" in (pair.reason or "")


def test_the_estimate_is_the_median_over_bursts_of_the_ratio_of_their_medians() -> None:
    base = [[1.0, 1.0, 9.0], [2.0, 2.0], [1.0]]
    new = [[1.1, 1.1], [2.2], [50.0]]  # the last burst was disturbed
    assert log_ratio(base, new) == pytest.approx(np.log(1.1))


@pytest.mark.parametrize(("step_s", "bursts"), [(0.001, 100), (0.01, 75), (0.1, 8), (5.0, 5)])
def test_a_pair_has_as_many_bursts_as_fit_and_never_fewer_than_the_least(step_s: float, bursts: int) -> None:
    assert BurstConfig().count(step_s) == bursts


def test_either_side_is_started_first_about_as_often(batch: Path, tmp_path: Path) -> None:
    program = tmp_path / "python"
    program.write_text("#!/bin/sh\nexit 7\n")
    program.chmod(0o755)
    side, rng = Side("p", python=str(program)), random.Random(0)
    pairs = [measure_pair(CASE, (side, side), n, batch, QUICK, rng, tmp_path) for n in range(40)]
    assert 10 <= sum(pair.new_started_first for pair in pairs) <= 30


@pytest.mark.slow
def test_both_sides_begin_every_burst_on_the_same_core_which_is_drawn_for_each_pair(
    batch: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    orders: dict[int, list[int]] = {}

    def send(worker: WorkerSession, request: Request) -> None:
        if isinstance(request, Prepare | Burst):
            orders.setdefault(id(worker), []).append(request.core)
        sent(worker, request)

    sent = WorkerSession.send
    monkeypatch.setattr(WorkerSession, "send", send)
    side, drawn = Side("tree"), set()
    for seed in range(4):
        orders.clear()
        pair = measure_pair(CASE, (side, side), 0, batch, QUICK, random.Random(seed), tmp_path)
        assert [len(cores) for cores in orders.values()] == [1 + len(pair.new_first)] * 2
        assert {core for cores in orders.values() for core in cores} == {pair.core}
        drawn.add(pair.core)
    assert len(drawn) == min(2, len(usable_cores()))
