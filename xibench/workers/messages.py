"""What parent and worker tell each other, one JSON line each.

The request goes in on standard input, answers come out on a pipe of their own: standard output and error belong to the
libraries.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from frameworks.runtime import Precision
from xibench.measure.phase import Phase
from xibench.record.schema import Case, Copy, Process, Product, Rule


class Reference(msgspec.Struct, frozen=True, kw_only=True):
    """What a recipe's logits are held against."""

    file: str  # .npy, float64, (images, classes): of the batch's first images
    allowed: float  # root-mean-square error relative to them


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker is to measure."""

    case: Case
    rule: Rule
    batch_file: str  # .npy, float32, (batch, height, width, 3)
    order: int  # position of the process in the run, from 0
    reference: Reference | None = None  # null: nothing is held against it
    share_s: float | None = None  # of the run's total budget, from the worker's start to its last step; null: no budget


class ReferenceRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The case, of recipe `default`, for which a reference is to be computed, from which batch, into which file."""

    case: Case
    batch_file: str  # as Request has it
    file: str  # as Reference has it


class CeilingsRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Which ceilings of its device a framework is to measure."""

    framework: str
    device: str
    precisions: list[Precision]  # a matrix product in each, and one copy
    budget_s: float  # for each of them


class EnteredPhase(msgspec.Struct, frozen=True, tag="phase", tag_field="type"):
    """The worker has entered this phase."""

    phase: Phase


class Progress(msgspec.Struct, frozen=True, tag="progress", tag_field="type"):
    """What the worker does now, in words for people: the rate of arrivals that it tries, the matmul that it times."""

    text: str


class Measured(msgspec.Struct, frozen=True, tag="measured", tag_field="type"):
    """The end of a worker that measured its case."""

    process: Process


class Ceilings(msgspec.Struct, frozen=True, tag="ceilings", tag_field="type"):
    """The end of a worker that measured ceilings."""

    products: list[Product]
    copies: list[Copy]


class Referenced(msgspec.Struct, frozen=True, tag="referenced", tag_field="type"):
    """The end of a worker that computed a reference."""

    error: float  # of recipe `default`, root mean square relative to its own float64


class Refused(msgspec.Struct, frozen=True, tag="refused", tag_field="type"):
    """The end of a worker that could not measure what it was asked for, and knows why."""

    status: Literal["out_of_memory", "failed", "unsupported"]
    reason: str  # one line


Answer = EnteredPhase | Progress | Measured | Ceilings | Referenced | Refused
