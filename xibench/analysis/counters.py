"""FLOPs from the blueprint against each framework's own counter, and what explains a difference.

`python -m xibench.analysis.counters FRAMEWORK MODEL VARIANT RESOLUTION BATCH` asks one framework, in a process of its
own, and prints its answer as one line of JSON after whatever the framework prints.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

import msgspec

from frameworks.architectures import network
from frameworks.blueprint import Network
from frameworks.cost import cost
from frameworks.errors import MissingFramework
from frameworks.runtime import FRAMEWORKS, load
from frameworks.weights import initial
from xibench.analysis.counter_terms import Term, terms
from xibench.workers import interpreters

PATIENCE_S: Final = 300.0
TOLERANCE: Final = 1e-5
"""Of the counted FLOPs: XLA adds them up in float32, over a thousand operations."""
COUNTERS: Final = {
    "pytorch": "torch.utils.flop_counter.FlopCounterMode",
    "tensorflow": "tf.compat.v1.profiler, float_operation",
    "jax": "jax.stages.Lowered.cost_analysis",
}


class Counted(msgspec.Struct, frozen=True):
    """A framework's answer. problem: None, or why there is no figure."""

    flops: float | None = None
    problem: str | None = None


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
        CounterCheck(name, COUNTERS[name], ours, answer.flops, terms(name, built, batch), answer.problem)
        for name, answer in zip(frameworks, answers, strict=True)
    ]


def _ask(framework: str, built: Network, batch: int) -> Counted:
    arguments = (framework, built.name, built.variant, str(built.input_shape[0]), str(batch))
    try:
        done = interpreters.ask(framework, "xibench.analysis.counters", *arguments, patience_s=PATIENCE_S)
        return msgspec.json.decode(interpreters.last_line(done), type=Counted)
    except subprocess.TimeoutExpired:
        return Counted(problem=f"{framework}: counting took longer than {PATIENCE_S:.0f} s")
    except msgspec.MsgspecError:
        last = (done.stderr.strip().splitlines() or ["nothing"])[-1]
        return Counted(problem=f"{framework}: the counter's process ended with code {done.returncode}, saying {last}")
    except OSError as error:
        return Counted(problem=f"{framework}: its interpreter cannot be started: {error.strerror}")


def answer(framework: str, built: Network, batch: int) -> Counted:
    """Imports the framework here and counts."""
    try:
        flops = load(framework).count_flops(built, initial(built), batch)
    except MissingFramework as error:
        return Counted(problem=str(error))
    except Exception as error:  # counters are private corners of the frameworks: whatever they raise is the answer
        return Counted(problem=" ".join(f"{framework}: {type(error).__name__}: {error}".split()))
    return Counted(flops) if flops is not None else Counted(problem=f"{framework} has no counter")


if __name__ == "__main__":
    name, model, variant, resolution, batch = sys.argv[1:]
    found = answer(name, network(model, variant, resolution=int(resolution)), int(batch))
    sys.stdout.write("\n" + msgspec.json.encode(found).decode() + "\n")
    sys.stdout.flush()
    os._exit(0)  # some frameworks crash while the interpreter shuts down
