"""The parent's view of the machine around its workers: conditions, energy, and whether a worker was disturbed.

All of it is read in the parent's process, so that the worker does nothing but its work.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Final, Self

from msgspec.structs import replace

from xibench.measure import conditions, energy
from xibench.measure.clock import Clock, MonotonicClock
from xibench.measure.conditions import DisturbanceLimits, HasClockRates, disturbances
from xibench.measure.machine import Machine
from xibench.measure.nvml import Monitor
from xibench.measure.phase import Phase
from xibench.record.schema import Attempt, Surroundings

WATCH_S: Final = 0.2  # before and after each worker
CLOCKS_EVERY_S: Final = 1.0  # reading them costs about a millisecond of a core that the worker may need
IDLE_S: Final = 2.0
OWN_ON_CARD: Final = "while it runs the worker itself is on the card; see before and after"


class ConditionMonitor:
    """Reads the machine's conditions around the workers of one run. A context manager; `close` shuts NVML down."""

    def __init__(
        self,
        attempts: Sequence[Attempt] = (),
        limits: DisturbanceLimits | None = None,
        watch_s: float = WATCH_S,
        clock: Clock | None = None,
        machine: Machine | None = None,
    ) -> None:
        """attempts: those that the run has already; the clock rates of later ones are compared with theirs."""
        self.clock = clock or MonotonicClock()
        self.machine = machine or Machine()
        self.nvml = Monitor()
        self.meter = energy.EnergyMeter(self.nvml, self.clock)
        self._limits = limits
        self._watch_s = watch_s
        self._earlier: list[HasClockRates] = [attempt.surroundings for attempt in attempts if attempt.surroundings]

    def watch_worker(self, on_progress: Callable[[str], None] = lambda text: None) -> WorkerMonitor:
        """Reads the conditions before a worker and returns its observer.

        Args:
            on_progress: called with the worker's phases and progress, in words for people.
        """
        return WorkerMonitor(self, self.read(), on_progress)

    def read(self) -> conditions.Conditions:
        """The machine now, while nothing of the run works."""
        return conditions.read(self._watch_s, self.nvml, self.clock, self.machine)

    def judge(
        self, before: conditions.Conditions, after: conditions.Conditions, during: conditions.During
    ) -> list[str]:
        """Return what disturbed a worker, a phrase each, and remember its clock rates for later comparisons."""
        found = disturbances(before, after, during, self._earlier, self._limits)
        self._earlier.append(during)
        return found

    def idle(self) -> energy.Idle:
        """Measure idle power; takes two seconds if there is any source to read it from."""
        at_once = energy.idle(self.meter, self.clock, energy.COUNTER_PERIOD_S)
        readable = self.meter.gpu or at_once.cpu_package_watts is not None
        return energy.idle(self.meter, self.clock, IDLE_S) if readable else at_once

    def close(self) -> None:
        """Shut NVML down."""
        self.nvml.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class WorkerMonitor:
    """The observer of one worker: follows its phases, measures energy over its timed steps and reads the clocks."""

    def __init__(
        self, monitor: ConditionMonitor, before: conditions.Conditions, on_progress: Callable[[str], None]
    ) -> None:
        self._monitor = monitor
        self._before = before
        self._on_progress = on_progress
        self._watch = conditions.ConditionSampler(monitor.nvml, monitor.clock, monitor.machine)
        self._timing = False
        self._read_s = -math.inf  # when the clocks were read last
        self._energy: energy.Energy | None = None

    def on_phase(self, phase: Phase) -> None:
        """Opens the window for energy at TIMING and closes it at DONE; every phase but DONE is passed on."""
        if phase is Phase.TIMING:
            self._monitor.meter.begin()
            self._timing = True
        elif self._timing:
            self._energy = self._monitor.meter.end()
            self._timing = False
        if phase is not Phase.DONE:
            self._on_progress(phase)

    def on_progress(self, text: str) -> None:
        """Passes it on."""
        self._on_progress(text)

    def on_tick(self) -> None:
        """Reads power at each tick where there is a card, and the clocks once a second."""
        if not self._timing:
            return
        due = self._monitor.clock.now() - self._read_s >= CLOCKS_EVERY_S
        if due or self._monitor.meter.gpu:
            self._monitor.meter.sample()
        if due:
            self._watch.sample()
            self._read_s = self._monitor.clock.now()

    @property
    def energy(self) -> energy.Energy | None:
        """Energy over the timed steps; None if the worker timed none."""
        return self._energy

    def end(self) -> Surroundings:
        """Reads the conditions after the worker, which has ended, and says whether it was disturbed."""
        during = self._watch.end()
        after = self._monitor.read()
        return Surroundings(
            before=self._before,
            after=after,
            wall_s=during.wall_s,
            others_share=during.others_share,
            steal_share=during.steal_share,
            cpu_hz=during.cpu_hz,
            gpus=[_without_foreign_processes(gpu) for gpu in during.gpus],
            disturbed=self._monitor.judge(self._before, after, during),
            absent=during.absent,
        )


def _without_foreign_processes(gpu: conditions.GpuConditions) -> conditions.GpuConditions:
    return replace(gpu, foreign_processes=None, absent=gpu.absent | {"foreign_processes": OWN_ON_CARD})
