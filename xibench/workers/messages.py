"""The messages between parent and worker, one JSON line each.

Requests go in on the worker's standard input, answers come out on a pipe of their own: standard output and error belong
to the libraries. Every request has exactly one answer, its result or a Failure. In between, the worker reports what it
is doing as EnteredPhase and Progress. `xibench.workers.__main__` lists the job of each request.

Nothing of `frameworks` is imported here: `xibench ab` measures other checkouts of it with these messages.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from xibench.measure.phase import Phase
from xibench.record.schema import Case, Copy, Matmul, Process, SamplingConfig, Setting, Substitution


class _Message(msgspec.Struct, frozen=True, tag_field="type"):
    """Base class: the name of the class is the tag of the message."""


# Progress of the worker.


class EnteredPhase(_Message, frozen=True, kw_only=True, tag=True):
    """The worker has entered this phase."""

    phase: Phase


class Progress(_Message, frozen=True, kw_only=True, tag=True):
    """Current activity as text for users, such as the arrival rate being tried or the matmul being timed."""

    text: str


class Failure(_Message, frozen=True, kw_only=True, tag=True):
    """The worker could not do what was requested, for a known reason."""

    status: Literal["out_of_memory", "failed", "unsupported"]
    reason: str  # one line
    missing: bool = False  # the framework is not installed


# One case of a run.


class GoldenOutputs(msgspec.Struct, frozen=True, kw_only=True):
    """The expected result of a recipe."""

    file: str  # .npz, float64: result of a step for the batch's first images, by name
    allowed: float  # root-mean-square error relative to it


class MeasureCase(_Message, frozen=True, kw_only=True, tag=True):
    """Measure a case; answered by Measured."""

    case: Case
    execution: dict[str, Any]  # frameworks.recipes.Execution of the case, parsed by the parent
    sampling: SamplingConfig
    batch_file: str  # .npy, float32, (batch, height, width, channels)
    order: int  # position of the process in the run, from 0
    golden: GoldenOutputs | None = None  # null: the result is not compared
    digest_weights: bool = False  # no process of the run has reported the digest of these seeded weights yet
    share_s: float | None = None  # of the run's total budget, from the worker's start to its last step; null: no budget


class Measured(_Message, frozen=True, kw_only=True, tag=True):
    """The case has been measured."""

    process: Process


# The equality gate.


class ComputeGoldenOutputs(_Message, frozen=True, kw_only=True, tag=True):
    """Compute a network's result in float64; answered by GoldenError."""

    case: Case  # of recipe `default`
    execution: dict[str, Any]  # as in MeasureCase
    batch_file: str  # as in MeasureCase
    file: str  # the file to write, as in GoldenOutputs


class GoldenError(_Message, frozen=True, kw_only=True, tag=True):
    """The float64 result is in its file."""

    error: float  # of recipe `default` in the case's precision, root mean square relative to it


# Ceilings.


class MeasureCeilings(_Message, frozen=True, kw_only=True, tag=True):
    """Measure the fastest matmul in each precision and the fastest copy; answered by Ceilings."""

    framework: str
    device: str
    precisions: list[str]
    budget_s: float  # for each of them


class Ceilings(_Message, frozen=True, kw_only=True, tag=True):
    """The ceilings of a device in one framework."""

    matmuls: list[Matmul]
    copies: list[Copy]


# One side of a pair of `xibench ab`: the first request is followed by Prepare, any number of Burst, and Finish.


class StartPairSide(_Message, frozen=True, kw_only=True, tag=True):
    """Import the framework; answered by Imported. Afterwards the worker is idle between requests."""

    case: Case
    batch_file: str  # as in MeasureCase
    weights: str | int  # a safetensors file, or the seed
    slowdown: float  # each step is followed by a busy wait of this share of its own length


class Imported(_Message, frozen=True, kw_only=True, tag=True):
    """The framework is imported and its device initialised."""


class Prepare(_Message, frozen=True, kw_only=True, tag=True):
    """Build, compile and warm up; answered by Ready."""

    warmup_budget_s: float
    core: int  # on which the main thread starts


class Ready(_Message, frozen=True, kw_only=True, tag=True):
    """The program is built, compiled and warmed up."""

    logits: list[float]  # of the batch's first image
    build_s: float
    compile_s: float | None  # null: compilation is part of the first step
    first_step_s: float
    warmup_s: list[float]
    warmup_stopped_by: str


class Burst(_Message, frozen=True, kw_only=True, tag=True):
    """Time steps for a duration, and at least a number of them; answered by Steps."""

    seconds: float
    min_steps: int
    core: int  # on which the main thread starts


class Steps(_Message, frozen=True, kw_only=True, tag=True):
    """The timed steps of one burst, in seconds."""

    steps_s: list[float]


class Finish(_Message, frozen=True, kw_only=True, tag=True):
    """Report what was measured; answered by PairReport."""


class PairReport(_Message, frozen=True, kw_only=True, tag=True):
    """Versions, settings and output of a side of a pair."""

    versions: dict[str, str]
    settings: dict[str, Setting]
    output_mean: float
    peak_bytes: int | None  # of the host above the import, on a GPU allocated there; null: it cannot be read
    substitutions: list[Substitution] = []  # what ran instead of what was requested; an older side does not say


# `xibench verify`.


class ForwardPass(msgspec.Struct, frozen=True, kw_only=True):
    """One forward pass, the same for every implementation that is compared."""

    model: str
    resolution: int
    precision: Literal["fp64", "fp32", "bf16"]
    variant: str = "default"
    training: bool = False
    dropout: float = 0.2
    seed: int = 0
    recipe: str | None = None  # None: the plain model, block by block; else the logits of what a recipe runs
    uncompiled: bool = False  # the recipe without its compiler, where the framework can leave that out
    mistake: str | None = None  # a name of MISTAKES
    shifted: bool = True  # weights under which no layer amplifies rounding (forward.OFFSET); False: those of a run


class RunForwardPass(_Message, frozen=True, kw_only=True, tag=True):
    """Run a forward pass; answered by PassWritten."""

    implementation: str  # a framework, or `keras` for keras.applications
    forward_pass: ForwardPass
    file: str  # .npz file to write the arrays of the pass to
    block_inputs: str | None = None  # .npz with block outputs from which each next block starts


class PassWritten(_Message, frozen=True, kw_only=True, tag=True):
    """The arrays of the pass are in their file."""


# Questions to a framework.


class CountFlops(_Message, frozen=True, kw_only=True, tag=True):
    """Count one inference pass in fp32 with the framework's own counter; answered by FlopsCounted."""

    framework: str
    model: str
    variant: str
    resolution: int
    batch: int


class FlopsCounted(_Message, frozen=True, kw_only=True, tag=True):
    """The result of the framework's counter."""

    flops: float


class ProbeFramework(_Message, frozen=True, kw_only=True, tag=True):
    """Import a framework and return its versions, devices and recipes; answered by Probe."""

    framework: str


class Probe(_Message, frozen=True, kw_only=True, tag=True):
    """One framework in its interpreter."""

    framework: str
    versions: dict[str, str | None]  # distribution -> version; null: not installed
    devices: list[str]  # cpu, cuda; empty if the framework cannot be used
    recipes: dict[str, list[tuple[str, str]]] = {}  # on the best device: name -> settings, each with its reason
    problem: str | None  # why the framework cannot be used, with the cure; null if it can


# Input images.


class WriteBatch(_Message, frozen=True, kw_only=True, tag=True):
    """Decode images into a batch file; answered by BatchWritten. Paths are bytes, as the file system has them."""

    file: bytes
    source: bytes
    batch: int
    shape: tuple[int, int, int]  # height, width, channels
    seed: int


class BatchWritten(_Message, frozen=True, kw_only=True, tag=True):
    """The batch file has been written, or one of the fields is the reason, in one line, why not."""

    input_error: bytes | None = None  # an image cannot be read
    store_error: bytes | None = None  # the file cannot be written


Request = (
    MeasureCase | ComputeGoldenOutputs | MeasureCeilings | StartPairSide | Prepare | Burst | Finish | RunForwardPass
    | CountFlops | ProbeFramework | WriteBatch
)  # fmt: skip
Result = (
    Measured | GoldenError | Ceilings | Imported | Ready | Steps | PairReport | PassWritten | FlopsCounted | Probe
    | BatchWritten
)  # fmt: skip
Answer = Result | Failure
Message = Answer | EnteredPhase | Progress
