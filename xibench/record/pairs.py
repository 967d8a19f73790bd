"""The lines of a file of pairs, which `xibench ab` writes: a header, then one line per pair of processes.

The rules of run files apply: JSON lines, SI units in the names of fields, raw samples, a reason for every null.

Format history
  1  first format (files that were written before `core`, `surroundings`, `warmup_stopped_by`, `procedure`, `pictures`
     and `weights_digest` were there have null)
  2  Renamed as in format 4 of run files: `set_aside` to `superseded`, `pictures` to `images`, `strangers` to
     `foreign_processes`; and `least_`, `most_` to `min_`, `max_`. Version 1 is migrated (`pair_store`). Files from
     before `--sides` and `--metric` lack `sides`, `metrics`, `start_s`, `build_s`, `compile_s` and `peak_bytes`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from xibench.record.schema import Case, Environment, InputImages, Precision, Setting, Substitution, Surroundings

PAIRS_VERSION: Final = 2
SAME_OUTPUT: Final[Mapping[Precision, float]] = {"fp64": 1e-9, "fp32": 1e-4, "tf32": 5e-3, "bf16": 2e-2}
"""Relative RMS difference of the logits up to which two frameworks compute the same network, by precision.

Each is above what was measured between correct implementations. In bf16 they differ by as much as the smallest
seeded mistake, a wrong epsilon of batch norm, changes the logits (0.01): that is found in fp32 (docs/decisions.md).
"""


class SideLine(msgspec.Struct, frozen=True, kw_only=True):
    """One of the two sides."""

    name: str  # as given: tree, git:REV, python:PATH, recipe:NAME, precision:NAME, framework:NAME+RECIPE
    commit: str | None  # of a side git:REV
    slowdown: float = 0.0  # artificial: a busy wait after each step, as a share of the step's duration


class Procedure(msgspec.Struct, frozen=True, kw_only=True):
    """How pairs were measured, and when a case counted as decided."""

    burst_s: float  # minimum duration of a burst's timed steps
    min_steps: int  # minimum number of timed steps in a burst
    pair_s: float  # approximate duration of a pair's timed steps, both sides together
    min_bursts: int  # per side
    max_bursts: int
    warmup_budget_s: float  # per side
    budget_s: float | None  # of the whole comparison; null: none
    min_pairs: int  # per case
    max_pairs: int
    repeats: int  # disturbed pairs of a case that are repeated at most
    seed: int  # of the order of cases and bursts


class PairsHeader(msgspec.Struct, frozen=True, kw_only=True, tag="pairs_header", tag_field="type"):
    """First line of a file of pairs."""

    pairs_version: int
    xibench: str
    created_utc: str
    command: str
    base: SideLine
    new: SideLine
    sides: list[SideLine] = []  # all of them if there are more than two, base and new first
    metrics: tuple[str, ...] = ("step",)  # that get a verdict (`pair_metrics`)
    threshold: float  # a change within this share is the same
    environment: Environment
    plan: list[Case]
    procedure: Procedure | None = None
    images: InputImages | None = None
    weights_digest: str | None = None  # null where weights are seeded


class PairSide(msgspec.Struct, frozen=True, kw_only=True):
    """One of a pair's two processes."""

    versions: dict[str, str]
    settings: dict[str, Setting]  # read back from the framework
    substitutions: list[Substitution] = []  # what ran instead of what was requested
    start_s: float | None = None  # from the start of the process until the framework is imported
    build_s: float | None = None  # building the network and moving it and the batch to the device
    compile_s: float | None = None  # null: the framework compiles in the first step, or an older file
    first_step_s: float
    warmup_s: list[float]
    warmup_stopped_by: str | None = None  # `no trend`, or the limit that cut the warm-up off
    bursts_s: list[list[float]]  # the timed steps of each burst, in the order taken
    peak_bytes: int | None = None  # as in run files: of the host above the import, on a GPU what was allocated there
    output_mean: float  # mean of the logits: the output was consumed


class Pair(msgspec.Struct, frozen=True, kw_only=True, tag="pair", tag_field="type"):
    """One fresh process of either side, alternating in short bursts; the sampling unit of `ab`."""

    case: Case  # the base's, where sides differ in the recipe
    sides: tuple[int, int] = (0, 1)  # base and new, as positions in the header's `sides`
    number: int  # of the case's pairs of these sides, from 0
    started_utc: str
    wall_s: float  # from the start of the two processes to their end
    new_started_first: bool  # which side was started, built and warmed up first
    core: int | None = None  # on which the main threads of both began every burst
    new_first: list[bool]  # per burst, which side went first
    base: PairSide | None  # null if the pair failed
    new: PairSide | None
    output_error: float | None = None  # relative RMS difference of the sides' logits; null in older files
    log_ratio: float | None  # median over the bursts of log(median of new / median of base)
    surroundings: Surroundings | None = None  # conditions before, during and after it
    disturbed: list[str]  # what disturbed it, each with figure and limit
    superseded: bool  # disturbed and repeated: kept here, left out of the verdict
    status: str  # ok, or why there is no ratio: unsupported, out_of_memory, failed, timeout
    reason: str | None = None
    log: str | None = None
