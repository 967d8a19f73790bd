"""FLOPs from the blueprint against each framework's own counter, and what explains a difference."""

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
from xibench.workers import interpreters
from xibench.workers.messages import CountFlops, FlopsCounted
from xibench.workers.session import last_line, run_worker

TIME_LIMIT_S: Final = 1800.0
TOLERANCE: Final = 1e-5
"""Of the counted FLOPs: XLA adds them up in float32, over a thousand operations."""


@dataclass(frozen=True, slots=True)
class CounterCheck:
    """One framework's counter on one network: `flops` should be `ours_flops` and all `terms`.

    ours_flops: 2 per multiply-add. flops: None where there is none, and `problem` says why.
    """

    framework: str
    counter: str
    ours_flops: int
    flops: float | None
    terms: tuple[Term, ...]
    problem: str | None = None

    @property
    def ratio(self) -> float | None:
        """Theirs / ours."""
        return None if self.flops is None else self.flops / self.ours_flops

    @property
    def expected_flops(self) -> int:
        """What the counter should have, by its rules."""
        return self.ours_flops + sum(term.flops for term in self.terms)

    @property
    def agrees(self) -> bool | None:
        """Whether it has that; None without a figure."""
        return None if self.flops is None else abs(self.flops - self.expected_flops) <= TOLERANCE * self.expected_flops

    @property
    def explanation(self) -> str | None:
        """The difference in one line; None where there is no figure, or no difference."""
        if self.flops is None or self.flops == self.ours_flops:
            return None
        said = [f"{term.flops:+,} {term.what}" for term in self.terms]
        return "; ".join(said if self.agrees else [*said, f"{self.flops - self.expected_flops:+,.0f} unexplained"])


def counters(
    model: str,
    variant: str = "default",
    resolution: int | None = None,
    batch: int = 1,
    frameworks: Sequence[str] = tuple(FRAMEWORKS),
) -> list[CounterCheck]:
    """One inference pass in fp32, counted by each framework in a process of its own.

    resolution: None for the network's own. Raises UnknownName or InvalidConfiguration for a network that cannot be.
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
    """FLOPs, or why there is no figure."""
    request = CountFlops(
        framework=framework, model=built.name, variant=built.variant, resolution=built.input_shape[0], batch=batch
    )
    outcome = run_worker(
        interpreters.worker_command(framework), interpreters.environment(), request, FlopsCounted, TIME_LIMIT_S
    )
    if outcome.result is not None:
        return outcome.result.flops, None
    if outcome.status == "unsupported":
        return None, outcome.reason
    said = f"; it printed {last_line(outcome.log)}" if outcome.log else ""
    return None, f"{framework}: {outcome.reason}{said}"
