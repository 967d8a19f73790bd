"""The machine around the workers as the parent sees it: conditions, energy, and whether a worker was disturbed.

The parent process reads all of it, so the worker does nothing but its job.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Final

from msgspec.structs import replace

from xibench.measure import conditions, energy
from xibench.measure.conditions import DisturbanceLimits, HasClockRates, disturbances
from xibench.measure.loop import Clock, MonotonicClock
from xibench.measure.machine import Machine
from xibench.measure.nvml import Monitor
from xibench.measure.phase import Phase
from xibench.record.schema import Attempt, Surroundings

WATCH_S: Final = 0.2  # before and after each worker
CLOCKS_EVERY_S: Final = 1.0  # reading them costs about a millisecond of a core that the worker may need
IDLE_S: Final = 2.0
WHO_S: Final = 0.5  # over which the processes that take the cores are found, once it is known that some do
MIN_SHOWN_SHARE: Final = 0.01  # of the usable cores' time
MAX_SHOWN: Final = 3  # processes that the warning names
OWN_ON_CARD: Final = "while it runs the worker itself is on the card; see before and after"


class ConditionMonitor:
    """Reads the machine's conditions around the workers of one run. Its user closes `nvml` in the end.

    Args:
        attempts: those that the run has already; clock rates of later workers are compared with theirs.
        limits: above which a worker counts as disturbed; None for the defaults.
        watch_s: seconds over which conditions are read before and after each worker.
        clock, machine: what is read; None for this machine's own.
    """

    def __init__(
        self,
        attempts: Sequence[Attempt] = (),
        limits: DisturbanceLimits | None = None,
        watch_s: float = WATCH_S,
        clock: Clock | None = None,
        machine: Machine | None = None,
    ) -> None:
        self.clock = clock or MonotonicClock()
        self.machine = machine or Machine()
        self.nvml = Monitor()
        self.meter = energy.EnergyMeter(self.nvml, self.clock)
        self._limits = limits
        self._watch_s = watch_s
        self._earlier: list[HasClockRates] = [attempt.surroundings for attempt in attempts if attempt.surroundings]

    def read(self) -> conditions.Conditions:
        """Read the machine's conditions while the run itself is idle."""
        return conditions.read(self._watch_s, self.nvml, self.clock, self.machine)

    def busy(self, effect: str = "") -> str | None:
        """Say who takes the cores while the run is idle; None if others take no more than the limit for a figure.

        Args:
            effect: What that does to the measurement; empty: to the figures of a run.
        """
        now, limit = self.read(), (self._limits or DisturbanceLimits()).unusable_share
        taken = (now.others_share or 0.0) + (now.steal_share or 0.0)
        if taken <= limit:
            return None
        began_s, then = self.clock.now(), self.machine.others_cpu_s()
        self.clock.wait_until(began_s + WHO_S)
        later, cores_s = self.machine.others_cpu_s(), (self.clock.now() - began_s) * len(self.machine.cores)
        shares = {who: (cpu_s - then.get(who, cpu_s)) / cores_s for who, cpu_s in later.items()}
        top = sorted(((share, who) for who, share in shares.items() if share >= MIN_SHOWN_SHARE), reverse=True)
        names = [f"{name} (process {pid}) {share:.0%}" for share, (pid, name) in top[:MAX_SHOWN]]
        who_takes = ", ".join(names) or "no process that is visible here"
        effect = effect or f"figures of cases from which they take more than {limit:.0%} are not ranked"
        return f"others take {taken:.0%} of the usable cores' time ({who_takes}): {effect}; stop them, or wait"

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


class WorkerMonitor:
    """Observes one worker: reads conditions before it, follows its phases, and measures energy over its timed steps.

    Args:
        monitor: of the run.
        on_progress: called with the worker's phases and progress, as shown to users.

    Attributes:
        on_progress: the same.
        energy: over the timed steps; None before they end, and if the worker timed none.
    """

    def __init__(self, monitor: ConditionMonitor, on_progress: Callable[[str], None] = lambda text: None) -> None:
        self.on_progress = on_progress
        self.energy: energy.Energy | None = None
        self._monitor = monitor
        self._before = monitor.read()
        self._sampler = conditions.ConditionSampler(monitor.nvml, monitor.clock, monitor.machine)
        self._timing = False
        self._read_s = -math.inf  # when the clocks were read last

    def on_phase(self, phase: Phase) -> None:
        """Start the energy window at TIMING and end it at DONE; pass on every phase but DONE."""
        if phase is Phase.TIMING:
            self._monitor.meter.begin()
            self._timing = True
        elif self._timing:
            self.energy = self._monitor.meter.end()
            self._timing = False
        if phase is not Phase.DONE:
            self.on_progress(phase)

    def on_tick(self) -> None:
        """Read power at each tick if there is a GPU, and clock rates once a second."""
        if not self._timing:
            return
        due = self._monitor.clock.now() - self._read_s >= CLOCKS_EVERY_S
        if due or self._monitor.meter.gpu:
            self._monitor.meter.sample()
        if due:
            self._sampler.sample()
            self._read_s = self._monitor.clock.now()

    def end(self) -> Surroundings:
        """Read the conditions after the worker has ended, and return them with what disturbed it."""
        during = self._sampler.end()
        after = self._monitor.read()
        return Surroundings(
            before=self._before,
            after=after,
            wall_s=during.wall_s,
            others_share=during.others_share,
            steal_share=during.steal_share,
            cpu_hz=during.cpu_hz,
            gpus=[  # the worker itself was on the card meanwhile
                replace(gpu, foreign_processes=None, absent=gpu.absent | {"foreign_processes": OWN_ON_CARD})
                for gpu in during.gpus
            ],
            disturbed=self._monitor.judge(self._before, after, during),
            absent=during.absent,
        )
