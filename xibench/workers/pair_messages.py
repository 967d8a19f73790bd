"""What `xibench ab` and the two workers of a pair tell each other, one JSON line each."""

from __future__ import annotations

from typing import Literal

import msgspec

from xibench.record.schema import Case, Setting


class PairRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker of a pair is to prepare, once it is told to."""

    case: Case
    batch_file: str  # .npy, float32, (batch, height, width, 3)
    weights: str | int  # a safetensors file, or the seed
    slowdown: float  # each step is followed by a busy wait of this share of its own length


class Prepare(msgspec.Struct, frozen=True, tag="prepare", tag_field="type"):
    """Build, compile and warm up; answered by Ready."""

    warmup_budget_s: float
    core: int  # on which the main thread begins


class Burst(msgspec.Struct, frozen=True, tag="burst", tag_field="type"):
    """Time steps for so long, and at least so many; answered by Steps."""

    seconds: float
    least: int
    core: int  # on which the main thread begins


class Finish(msgspec.Struct, frozen=True, tag="finish", tag_field="type"):
    """Say what was measured and end; answered by Report."""


Order = Prepare | Burst | Finish


class Imported(msgspec.Struct, frozen=True, tag="imported", tag_field="type"):
    """The framework is there and its device touched. From here on the worker rests unless it is told to work."""


class Ready(msgspec.Struct, frozen=True, tag="ready", tag_field="type"):
    """Built, compiled, warm."""

    first_step_s: float
    warmup_s: list[float]
    warmup_stopped_by: str


class Steps(msgspec.Struct, frozen=True, tag="steps", tag_field="type"):
    """The timed steps of one burst, in seconds."""

    steps_s: list[float]


class Report(msgspec.Struct, frozen=True, tag="report", tag_field="type"):
    """What the framework says of itself at the end."""

    versions: dict[str, str]
    settings: dict[str, Setting]
    output_mean: float


class Trouble(msgspec.Struct, frozen=True, tag="trouble", tag_field="type"):
    """The worker cannot go on, and knows why."""

    status: Literal["out_of_memory", "failed", "unsupported"]
    reason: str


PairAnswer = Imported | Ready | Steps | Report | Trouble
