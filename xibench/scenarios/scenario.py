"""What a scenario is: how queries arrive, stated once for the plan, the worker, the tables and the site."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Literal

from xibench.record.schema import SamplingConfig
from xibench.scenarios.prepared import PreparedCase, Timed

DEFAULT_BATCH: Final = 8  # images per step of a scenario that takes whole batches, unless a selection names others


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One way to exercise a compiled model.

    A new scenario is one module that makes an object of this type and gives it to `xibench.scenarios.register`; no
    other file changes. The parent process, which imports neither NumPy nor a framework, reads everything but `run`, so
    the module imports what `run` needs where `run` needs it, unless it is as light as `xibench.measure.loop`.
    """

    name: str  # on the command line and in a case, such as `single-stream`
    label: str  # in headings for people, such as `Single-stream`
    description: str  # one line: what is exercised and which figures that gives
    run: Callable[[PreparedCase], Timed]  # in the worker: from the first step to the last; raises what the model raises
    metrics: tuple[str, ...]  # columns of its table in their order: of `record.metrics`, or of run_tables.OWN_COLUMNS
    headline: tuple[str, ...]  # the metrics of the line that a finished process prints
    sampling: SamplingConfig = field(default_factory=SamplingConfig)  # unless a preset or the user has another
    tasks: tuple[str, ...] = ("infer",)  # what one step may compute
    sample: Literal["step", "query"] | None = "step"  # what a timed sample is; None: it times the first step alone
    single_image: bool = False  # queries are one image each, and a selection may name no other batch
    sweepable: bool = False  # batches may double from 1 until one runs out of memory
    options: tuple[str, ...] = ()  # optional fields of a case that it takes, such as `latency_bound_s`
