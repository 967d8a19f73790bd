"""How each scenario times a compiled subject. Knows no framework by name, only the protocol.

offline        whole batches on the device, one after another
single-stream  one image at a time: on the device, through the network, its logits back on the host
server         such queries arrive by chance; the highest rate at which the 99th percentile of latency keeps a bound
compile        the first step and nothing after it
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from statistics import median
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from frameworks.cost import ITEM_BYTES
from frameworks.runtime import DeviceMemory, Subject
from xibench.measure.caches import buffers_needed, last_level_cache_bytes
from xibench.measure.clock import Clock
from xibench.measure.loop import measure, timed
from xibench.measure.memory import HighWaterMark, HostPeak
from xibench.measure.phase import Phase
from xibench.measure.server import highest_rate, poisson_arrivals, serve
from xibench.measure.statistics import samples_needed
from xibench.measure.stopping import Limits, StoppingRule, rule_of
from xibench.measure.warmup import Warmup, WarmupLimits
from xibench.record.schema import Case, RateTrial, Rule, Server

GPU_CACHE_BYTES: Final = 128 * 2**20
"""No NVIDIA GPU has a larger L2 cache: 50 MB on an H200, 126 MB on a B200."""
BOUND_QUERIES: Final = 5.0  # the bound on latency, in medians of a query alone, unless the case has one
LOWEST_LOAD: Final = 0.2  # share of the rate at which queries alone follow one another
RATE_TRIALS: Final = 6
QUERIES: Final = samples_needed(0.99)  # in each trial: the fewest that a 99th percentile takes
NO_STEP: Final = "scenario compile times no step"
IN_QUERY: Final = "a query is more than what the device does"

Logits = NDArray[np.floating[Any]]


@dataclass(frozen=True, slots=True)
class Peaks:
    """High-water marks without the copies of the batch that were made for rotation."""

    host: HostPeak
    device: DeviceMemory | None


@dataclass(frozen=True, slots=True)
class Timed:
    """What a scenario has taken. absent: why a field that is None is."""

    first_step_s: float
    warmup_s: list[float]
    warmup_stopped_by: str
    steps_s: list[float]
    device_steps_s: list[float] | None
    stopped_by: str
    input_buffers: int
    peaks: Peaks
    logits: Logits
    output: Any  # of the last step, as the subject has it: the device has finished it
    server: Server | None = None
    absent: dict[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Stand:
    """What every scenario works on: a compiled subject, its batch on the host and on the device, and the clock."""

    case: Case
    rule: Rule
    subject: Subject
    images: NDArray[np.float32]
    placed: Any
    mark: HighWaterMark
    clock: Clock
    on_phase: Callable[[Phase], None]
    on_progress: Callable[[str], None]  # free text for people
    order: int  # position of the process in the run: trials of two processes draw different arrivals


def run(stand: Stand) -> Timed:
    """The case's scenario from its first step to its last. Raises what the subject raises."""
    match stand.case.scenario:
        case "offline":
            return _offline(stand)
        case "single-stream":
            return _queries(stand)
        case "server":
            return _server(stand)
        case "compile":
            return _compile(stand)


def _offline(stand: Stand) -> Timed:
    subject = stand.subject
    copied = stand.images.size * ITEM_BYTES[stand.case.precision]
    on_host, on_device = (copied, 0) if stand.case.device == "cpu" else (0, copied)
    rotation = _Rotation(stand, stand.placed, lambda: subject.put(stand.images), on_host, on_device)
    samples = measure(
        lambda number: subject.step(rotation.input(number)), subject.synchronise, _warmup(stand.rule),
        _stopping(stand.rule, stand.rule.half_width), stand.clock, rotation.on_phase, subject.device_step_s,
    )  # fmt: skip
    return Timed(
        samples.first_step_s, samples.warmup_s, samples.warmup_stopped_by, samples.steps_s, samples.device_steps_s,
        samples.stopped_by, rotation.count, rotation.peaks(), subject.fetch(samples.output), samples.output,
    )  # fmt: skip


def _queries(stand: Stand) -> Timed:
    subject = stand.subject
    rotation = _Rotation(stand, stand.images, lambda: np.array(stand.images), stand.images.nbytes, 0)
    samples = measure(
        lambda number: subject.query(rotation.input(number)), lambda _: None, _warmup(stand.rule),
        _stopping(stand.rule, half_width=None), stand.clock, rotation.on_phase,
    )  # fmt: skip
    return Timed(
        samples.first_step_s, samples.warmup_s, samples.warmup_stopped_by, samples.steps_s, None, samples.stopped_by,
        rotation.count, rotation.peaks(), samples.output, _finished(stand), absent={"device_steps_s": IN_QUERY},
    )  # fmt: skip


def _server(stand: Stand) -> Timed:
    alone = _queries(stand)
    return replace(alone, server=_search(stand, median(alone.steps_s)))


def _search(stand: Stand, alone_s: float) -> Server:
    """Bisects the rate of arrivals; the fastest one tried is that at which queries alone follow one another."""
    bound_s = stand.case.latency_bound_s or BOUND_QUERIES * alone_s
    trials: list[RateTrial] = []

    def keeps_bound(rate_hz: float) -> bool:
        stand.on_progress(f"{rate_hz:.3g} queries a second")
        rng = np.random.default_rng([stand.case.seed, stand.order, len(trials)])
        latencies_s = serve(lambda _: _ask(stand), poisson_arrivals(rate_hz, QUERIES, rng), stand.clock)
        p99_s = float(np.quantile(latencies_s, 0.99))
        trials.append(RateTrial(rate_hz=rate_hz, latencies_s=latencies_s, p99_s=p99_s, within=p99_s <= bound_s))
        return trials[-1].within

    highest_hz = highest_rate(keeps_bound, LOWEST_LOAD / alone_s, 1 / alone_s, RATE_TRIALS)
    return Server(bound_s=bound_s, highest_rate_hz=highest_hz, trials=trials)


def _ask(stand: Stand) -> None:
    stand.subject.query(stand.images)


def _compile(stand: Stand) -> Timed:
    stand.on_phase(Phase.FIRST_STEP)
    subject = stand.subject
    first_step_s, output = timed(lambda _: subject.step(stand.placed), 0, subject.synchronise, stand.clock)
    peaks = Peaks(stand.mark.read(), subject.device_memory())
    return Timed(
        first_step_s, [], NO_STEP, [], None, NO_STEP, 1, peaks, subject.fetch(output), output,
        absent={"device_steps_s": NO_STEP},
    )  # fmt: skip


class _Rotation:
    """Copies of the input, made once the first step is over, and the high-water marks with and without them.

    The copies are resident from the warm-up on, so that what later peaks are above them is the network's.
    """

    def __init__(
        self, stand: Stand, first: Any, another: Callable[[], Any], host_bytes: int, device_bytes: int
    ) -> None:
        self._stand = stand
        self._inputs = [first]
        self._another = another
        self._bytes = (host_bytes, device_bytes)  # of one copy
        self._before: Peaks | None = None
        on_card = stand.case.device != "cpu" and stand.case.scenario == "offline"
        cache_bytes = GPU_CACHE_BYTES if on_card else last_level_cache_bytes()
        self.count = buffers_needed(max(host_bytes, device_bytes), cache_bytes)

    def input(self, number: int) -> Any:
        """What step `number` takes."""
        return self._inputs[number % len(self._inputs)]

    def on_phase(self, phase: Phase) -> None:
        """Passes the phase on; makes the copies before the warm-up."""
        if phase is Phase.WARM_UP:
            self._before = self._now()
            self._inputs += [self._another() for _ in range(self.count - 1)]
        self._stand.on_phase(phase)

    def peaks(self) -> Peaks:
        """The marks until now, less the copies."""
        now, before = self._now(), self._before
        assert before is not None
        host_bytes, device_bytes = (size * (self.count - 1) for size in self._bytes)
        host = HostPeak(_less(now.host.peak_bytes, host_bytes, before.host.peak_bytes), now.host.absent)
        if now.device is None or before.device is None:
            return Peaks(host, now.device)
        allocated, reserved = (
            _less(getattr(now.device, name), device_bytes, getattr(before.device, name))
            for name in ("peak_allocated_bytes", "peak_reserved_bytes")
        )
        return Peaks(host, DeviceMemory(allocated, reserved))

    def _now(self) -> Peaks:
        return Peaks(self._stand.mark.read(), self._stand.subject.device_memory())


def _less(peak: int | None, copies: int, before: int | None) -> int | None:
    """The mark without the copies, but never below what it was before there were any."""
    if peak is None:
        return None
    return max(peak - copies, before or 0)


def _finished(stand: Stand) -> Any:
    """An output on the device that has been computed: what the loop's own overhead is measured with."""
    output = stand.subject.step(stand.placed)
    stand.subject.synchronise(output)
    return output


def _warmup(rule: Rule) -> StoppingRule:
    return Warmup(WarmupLimits(rule.warmup_steps, rule.max_warmup_steps, rule.warmup_budget_s))


def _stopping(rule: Rule, half_width: float | None) -> StoppingRule:
    """half_width: None for queries, whose percentiles take a number of them however sure the median is."""
    return rule_of(Limits(rule.min_steps, rule.max_steps, rule.budget_s, half_width))
