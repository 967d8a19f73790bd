from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import pytest

from tests.builders import attempt, small_case
from xibench.measure.clock import FakeClock
from xibench.measure.machine import Machine
from xibench.measure.nvml import Reading
from xibench.measure.phase import Phase
from xibench.record.schema import Surroundings
from xibench.run.monitor import OWN_ON_CARD, Lookout, clocks_of


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
def lookout(fake: FakeMachine) -> Lookout:
    return Lookout(watch_s=0.2, clock=fake.clock, machine=fake.machine())


def worker(lookout: Lookout, fake: FakeMachine, seconds: float = 10.0, **parts: float) -> Surroundings:
    vigil = lookout.before(lambda text: None)
    vigil.on_phase(Phase.TIMING)
    fake.spend(seconds, **parts)
    vigil.tick()
    vigil.on_phase(Phase.DONE)
    return vigil.end()


def test_a_worker_that_has_the_cores_to_itself_is_not_disturbed(lookout: Lookout, fake: FakeMachine) -> None:
    around = worker(lookout, fake, own=9.9, others=0.2)
    assert around.disturbed == []
    assert around.wall_s == 10.0
    assert around.others_share == pytest.approx(0.02)


def test_a_worker_beside_others_is_disturbed_and_says_by_how_much(lookout: Lookout, fake: FakeMachine) -> None:
    (reason,) = worker(lookout, fake, own=6.0, others=3.0).disturbed
    assert "30.0% of the usable cores' time (limit 5.0%)" in reason


def test_time_that_the_hypervisor_took_disturbs(lookout: Lookout, fake: FakeMachine) -> None:
    (reason,) = worker(lookout, fake, own=9.0, stolen=0.5).disturbed
    assert "the hypervisor took 5.0%" in reason


def test_a_clock_far_below_those_of_the_run_disturbs(lookout: Lookout, fake: FakeMachine) -> None:
    assert [worker(lookout, fake).disturbed for _ in range(3)] == [[]] * 3
    fake.mhz = 2000.0
    (reason,) = worker(lookout, fake).disturbed
    assert "2000 MHz" in reason


def test_a_resumed_run_holds_clocks_against_those_that_it_had_seen(fake: FakeMachine) -> None:
    seen = [attempt(small_case()) for _ in range(3)]
    earlier = Lookout(watch_s=0.2, clock=fake.clock, machine=fake.machine())
    around = worker(earlier, fake)
    assert clocks_of(around).cpu_hz == 3e9
    fake.mhz = 2000.0
    with_clocks = [msgspec.structs.replace(one, surroundings=around) for one in seen]
    resumed = Lookout(with_clocks, watch_s=0.2, clock=fake.clock, machine=fake.machine())
    (reason,) = worker(resumed, fake).disturbed
    assert "2000 MHz" in reason


def test_the_watcher_hears_of_every_phase_but_the_end(lookout: Lookout) -> None:
    heard: list[str] = []
    vigil = lookout.before(heard.append)
    for phase in (Phase.IMPORT, Phase.TIMING, Phase.DONE):
        vigil.on_phase(phase)
    vigil.on_progress("3 queries a second")
    assert heard == ["import", "timing", "3 queries a second"]


def test_energy_is_that_of_the_window_between_timing_and_done(lookout: Lookout, fake: FakeMachine) -> None:
    vigil = lookout.before(lambda text: None)
    fake.clock.advance(100)
    assert vigil.energy(8) is None
    vigil.on_phase(Phase.TIMING)
    fake.clock.advance(5)
    vigil.on_phase(Phase.DONE)
    fake.clock.advance(100)
    energy = vigil.energy(8)
    assert energy is not None
    assert (energy.window_s, energy.images) == (5.0, 8)


def test_power_is_read_at_each_tick_only_where_there_is_a_card(
    lookout: Lookout, fake: FakeMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[float] = []
    vigil = lookout.before(lambda text: None)
    vigil.tick()
    vigil.on_phase(Phase.TIMING)
    monkeypatch.setattr(lookout.meter, "sample", lambda: read.append(fake.clock.now()))
    for gpu in (False, True):
        lookout.meter.gpu = gpu
        for _ in range(20):
            fake.clock.advance(0.125)
            vigil.tick()
    assert len([moment for moment in read if moment <= fake.clock.now() - 2.5]) == 3
    assert len(read) == 3 + 20


def test_the_worker_on_a_card_is_no_stranger_to_it(
    lookout: Lookout, fake: FakeMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    figures = ("sm_clock_hz", "memory_clock_hz", "temperature_celsius", "power_watts", "power_limit_watts")
    seen = Reading(index=0, throttle_reasons=[], strangers=1, utilisation=0.5, absent={}, **dict.fromkeys(figures, 1.0))
    monkeypatch.setattr(lookout.monitor, "read", lambda own=(): [seen])
    vigil = lookout.before(lambda text: None)
    vigil.on_phase(Phase.TIMING)
    vigil.tick()
    vigil.on_phase(Phase.DONE)
    around = vigil.end()
    assert [gpu.strangers for gpu in around.before.gpus] == [1]
    assert [(gpu.strangers, gpu.absent["strangers"]) for gpu in around.gpus] == [(None, OWN_ON_CARD)]


def test_idle_power_that_nothing_tells_is_null_at_once(lookout: Lookout, fake: FakeMachine) -> None:
    if lookout.meter.gpu:
        pytest.skip("there is a card here")
    began = fake.clock.now()
    idle = lookout.idle()
    if idle.cpu_package_watts is not None:
        pytest.skip("RAPL is readable here")
    assert fake.clock.now() - began < 0.5
    assert set(idle.absent) == {"gpu_watts", "cpu_package_watts"}
