"""Comparison of the blueprint's FLOPs with each framework's own counter, with an explanation of every difference."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from frameworks.api import FRAMEWORKS, find
from frameworks.architectures import network
from frameworks.blueprint import Network
from frameworks.cost import cost
from xibench.analysis.counter_terms import Term, terms
from xibench.workers import session
from xibench.workers.messages import CountFlops, FlopsCounted
from xibench.workers.session import last_line, run_worker

TIME_LIMIT_S: Final = 1800.0
TOLERANCE: Final = 1e-5
"""Relative tolerance: XLA adds up the FLOPs of more than a thousand operations in float32."""


@dataclass(frozen=True, slots=True)
class CounterCheck:
    """One framework's count for one network; `flops` should equal `ours_flops` plus all `terms`.

    Attributes:
        framework: Name of the framework.
        counter: Its FLOP counter.
        ours_flops: FLOPs from the blueprint: 2 per multiply-add.
        flops: FLOPs from the counter; None if it gave none, for the reason in `problem`.
        terms: Operations that the counter is known to count differently.
        problem: Why `flops` is None.
    """

    framework: str
    counter: str
    ours_flops: int
    flops: float | None
    terms: tuple[Term, ...]
    problem: str | None = None

    @property
    def ratio(self) -> float | None:
        """The counter's FLOPs over ours; None without a count."""
        return None if self.flops is None else self.flops / self.ours_flops

    @property
    def expected_flops(self) -> int:
        """The count that the counter's rules imply: ours and all terms."""
        return self.ours_flops + sum(term.flops for term in self.terms)

    @property
    def agrees(self) -> bool | None:
        """Whether the count equals `expected_flops` within TOLERANCE; None without a count."""
        return None if self.flops is None else abs(self.flops - self.expected_flops) <= TOLERANCE * self.expected_flops

    @property
    def explanation(self) -> str | None:
        """The terms of the difference in one line; None if there is no count or no difference."""
        if self.flops is None or self.flops == self.ours_flops:
            return None
        parts = [f"{term.flops:+,} {term.what}" for term in self.terms]
        if not self.agrees:
            parts.append(f"{self.flops - self.expected_flops:+,.0f} unexplained")
        return "; ".join(parts)


def counters(
    model: str,
    variant: str = "default",
    resolution: int | None = None,
    batch: int = 1,
    frameworks: Sequence[str] = tuple(FRAMEWORKS),
) -> list[CounterCheck]:
    """Count one inference pass in fp32 with each framework's counter, each in its own process.

    Args:
        model: Name of a network or operator.
        variant: Name of its variant.
        resolution: Height and width of the input in pixels; None for the network's own.
        batch: Images in the batch.
        frameworks: Names of the frameworks to ask.

    Raises:
        UnknownName: The model or variant is not registered.
        InvalidConfiguration: The network cannot be built at the resolution.
    """
    fields = {} if resolution is None else {"resolution": resolution}
    built = network(model, variant, **fields)
    with ThreadPoolExecutor() as pool:
        answers = list(pool.map(lambda framework: _ask(framework, built, batch), frameworks))
    ours = 2 * cost(built, batch=batch).macs
    return [
        CounterCheck(name, find(name).flop_counter or "none", ours, flops, terms(name, built, batch), problem)
        for name, (flops, problem) in zip(frameworks, answers, strict=True)
    ]


def _ask(framework: str, built: Network, batch: int) -> tuple[float | None, str | None]:
    """Return the count of a framework, or None and the reason why there is none."""
    request = CountFlops(
        framework=framework, model=built.name, variant=built.variant, resolution=built.input_shape[0], batch=batch
    )
    outcome = run_worker(
        session.worker_command(framework), session.worker_environment(), request, FlopsCounted, TIME_LIMIT_S
    )
    if outcome.result is not None:
        return outcome.result.flops, None
    if outcome.status == "unsupported":
        return None, outcome.reason
    output = f"; it printed {last_line(outcome.log)}" if outcome.log else ""
    return None, f"{framework}: {outcome.reason}{output}"
