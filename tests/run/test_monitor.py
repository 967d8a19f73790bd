from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import pytest

from tests.builders import attempt, small_case
from tests.measure.fake_clock import FakeClock
from xibench.measure.machine import Machine, others_cpu_s
from xibench.measure.nvml import Reading
from xibench.measure.phase import Phase
from xibench.record.schema import Surroundings
from xibench.run.monitor import OWN_ON_CARD, ConditionMonitor, WorkerMonitor


@dataclass
class FakeMachine:
    """Files as the kernel would show them, for one core of which others took a part."""

    folder: Path
    clock: FakeClock = field(default_factory=FakeClock)
    busy_ticks: int = 0
    stolen_ticks: int = 0
    own_s: float = 0.0
    mhz: float = 3000.0

    def machine(self) -> Machine:
        self.write()
        return Machine(proc=self.folder, cpus=self.folder, cores=(0,), own_cpu_s=lambda: self.own_s, tick_s=0.01)

    def write(self) -> None:
        (self.folder / "stat").write_text(f"cpu0 {self.busy_ticks} 0 0 0 0 0 0 {self.stolen_ticks} 0 0\n")
        (self.folder / "loadavg").write_text("0.50 0.40 0.30 1/100 999\n")
        (self.folder / "cpuinfo").write_text(f"processor\t: 0\ncpu MHz\t\t: {self.mhz}\n")

    def spend(self, seconds: float, own: float = 0.0, others: float = 0.0, stolen: float = 0.0) -> None:
        """Lets time pass in which the core worked for the run, for others, and for the hypervisor."""
        self.clock.advance(seconds)
        self.own_s += own
        self.busy_ticks += round(100 * (own + others))
        self.stolen_ticks += round(100 * stolen)
        self.write()


@pytest.fixture
def fake(tmp_path: Path) -> FakeMachine:
    return FakeMachine(tmp_path)


@pytest.fixture
def conditions(fake: FakeMachine) -> ConditionMonitor:
    return ConditionMonitor(watch_s=0.2, clock=fake.clock, machine=fake.machine())


def worker(conditions: ConditionMonitor, fake: FakeMachine, seconds: float = 10.0, **parts: float) -> Surroundings:
    observer = WorkerMonitor(conditions)
    observer.on_phase(Phase.TIMING)
    fake.spend(seconds, **parts)
    observer.on_tick()
    observer.on_phase(Phase.DONE)
    return observer.end()


def test_a_worker_that_has_the_cores_to_itself_is_not_disturbed(
    conditions: ConditionMonitor, fake: FakeMachine
) -> None:
    around = worker(conditions, fake, own=9.9, others=0.2)
    assert around.disturbed == []
    assert around.wall_s == 10.0
    assert around.others_share == pytest.approx(0.02)


def test_a_worker_beside_others_is_disturbed_and_says_by_how_much(
    conditions: ConditionMonitor, fake: FakeMachine
) -> None:
    (reason,) = worker(conditions, fake, own=6.0, others=3.0).disturbed
    assert "30.0% of the usable cores' time (limit 5.0%)" in reason


def test_time_that_the_hypervisor_took_disturbs(conditions: ConditionMonitor, fake: FakeMachine) -> None:
    (reason,) = worker(conditions, fake, own=9.0, stolen=0.5).disturbed
    assert "the hypervisor took 5.0%" in reason


def test_a_clock_far_below_those_of_the_run_disturbs(conditions: ConditionMonitor, fake: FakeMachine) -> None:
    assert [worker(conditions, fake).disturbed for _ in range(3)] == [[]] * 3
    fake.mhz = 2000.0
    (reason,) = worker(conditions, fake).disturbed
    assert "2000 MHz" in reason


def test_a_resumed_run_holds_clocks_against_those_that_it_had_seen(fake: FakeMachine) -> None:
    seen = [attempt(small_case()) for _ in range(3)]
    earlier = ConditionMonitor(watch_s=0.2, clock=fake.clock, machine=fake.machine())
    around = worker(earlier, fake)
    assert around.cpu_hz == 3e9
    fake.mhz = 2000.0
    with_clocks = [msgspec.structs.replace(one, surroundings=around) for one in seen]
    resumed = ConditionMonitor(with_clocks, watch_s=0.2, clock=fake.clock, machine=fake.machine())
    (reason,) = worker(resumed, fake).disturbed
    assert "2000 MHz" in reason


def test_the_watcher_hears_of_every_phase_but_the_end(conditions: ConditionMonitor) -> None:
    heard: list[str] = []
    observer = WorkerMonitor(conditions, heard.append)
    for phase in (Phase.IMPORT, Phase.TIMING, Phase.DONE):
        observer.on_phase(phase)
    observer.on_progress("3 queries a second")
    assert heard == ["import", "timing", "3 queries a second"]


def test_energy_is_that_of_the_window_between_timing_and_done(conditions: ConditionMonitor, fake: FakeMachine) -> None:
    observer = WorkerMonitor(conditions)
    fake.clock.advance(100)
    before = observer.energy
    observer.on_phase(Phase.TIMING)
    fake.clock.advance(5)
    observer.on_phase(Phase.DONE)
    fake.clock.advance(100)
    energy = observer.energy
    assert before is None
    assert energy is not None
    assert energy.window_s == 5.0


def test_power_is_read_at_each_tick_only_where_there_is_a_card(
    conditions: ConditionMonitor, fake: FakeMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[float] = []
    observer = WorkerMonitor(conditions)
    observer.on_tick()
    observer.on_phase(Phase.TIMING)
    monkeypatch.setattr(conditions.meter, "sample", lambda: read.append(fake.clock.now()))
    for gpu in (False, True):
        conditions.meter.gpu = gpu
        for _ in range(20):
            fake.clock.advance(0.125)
            observer.on_tick()
    assert len([moment for moment in read if moment <= fake.clock.now() - 2.5]) == 3
    assert len(read) == 3 + 20


def test_the_worker_on_a_card_is_no_stranger_to_it(
    conditions: ConditionMonitor, fake: FakeMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    figures = ("sm_clock_hz", "memory_clock_hz", "temperature_celsius", "power_watts", "power_limit_watts")
    seen = Reading(
        index=0, throttle_reasons=[], foreign_processes=1, absent={}, **dict.fromkeys(figures, 1.0)
    )
    monkeypatch.setattr(conditions.nvml, "absent", None)
    monkeypatch.setattr(conditions.nvml, "read", lambda own=(): [seen])
    observer = WorkerMonitor(conditions)
    observer.on_phase(Phase.TIMING)
    observer.on_tick()
    observer.on_phase(Phase.DONE)
    around = observer.end()
    assert [gpu.foreign_processes for gpu in around.before.gpus] == [1]
    assert [(gpu.foreign_processes, gpu.absent["foreign_processes"]) for gpu in around.gpus] == [(None, OWN_ON_CARD)]


def test_idle_power_that_nothing_tells_is_null_at_once(conditions: ConditionMonitor, fake: FakeMachine) -> None:
    if conditions.meter.gpu:
        pytest.skip("there is a card here")
    began = fake.clock.now()
    idle = conditions.idle()
    if idle.cpu_package_watts is not None:
        pytest.skip("RAPL is readable here")
    assert fake.clock.now() - began < 0.5
    assert set(idle.absent) == {"gpu_watts", "cpu_package_watts"}


def busy_beside(
    fake: FakeMachine, monkeypatch: pytest.MonkeyPatch, others: float, shares: dict[tuple[int, str], float]
) -> str | None:
    """What the monitor says while others take this share of the core, of which these processes are visible."""
    began = fake.clock.now()

    def wait_until(clock: FakeClock, moment_s: float) -> None:
        seconds = moment_s - clock.now()
        fake.spend(seconds, others=others * seconds)

    monkeypatch.setattr(FakeClock, "wait_until", wait_until)
    machine = msgspec.structs.replace(
        fake.machine(),
        others_cpu_s=lambda: {who: 100 + share * (fake.clock.now() - began) for who, share in shares.items()},
    )
    return ConditionMonitor(watch_s=0.2, clock=fake.clock, machine=machine).busy()


def test_who_takes_the_cores_is_named_with_the_share_the_largest_first(
    fake: FakeMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    shares = {(7, "idle"): 0.0, (8, "make"): 0.1, (9, "ffmpeg"): 0.5, (10, "cc1plus"): 0.05, (11, "ld"): 0.02}
    said = busy_beside(fake, monkeypatch, 0.65, shares)
    assert said is not None
    assert "others take 65% of the usable cores' time" in said
    assert "ffmpeg (process 9) 50%, make (process 8) 10%, cc1plus (process 10) 5%)" in said
    assert "20%" in said
    assert "idle" not in said


def test_a_load_that_no_visible_process_explains_is_said_so(fake: FakeMachine, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "no process that is visible here" in (busy_beside(fake, monkeypatch, 0.65, {}) or "")


def test_a_machine_on_which_others_take_no_more_than_the_limit_is_not_called_busy(
    fake: FakeMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert busy_beside(fake, monkeypatch, 0.15, {(9, "ffmpeg"): 0.15}) is None


def test_the_processes_of_the_run_are_not_among_the_others() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        pids = {pid for pid, _ in others_cpu_s()}
        child.communicate(b"\n")
    assert not {os.getpid(), child.pid} & pids
    assert os.getppid() in pids
