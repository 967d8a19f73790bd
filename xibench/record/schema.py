"""What a result is: the types of a run file. Raw samples are the record; statistics are derived (`summary`).

A run file is JSON lines: a `Header`; a `Calibration` before the first case and again wherever the run is resumed in
another environment; an `Attempt` per worker process as soon as it has ended. `store.read` puts the attempts of a case
together into its `Record`. SI units, named in the field. A missing value is null, and `absent` says why under the
field's name; it is never 0.

Format history
  1  first format: a line per case, with its one process
  2  a line per worker process (`Attempt`), so that processes of several cases can be interleaved and none is ever lost;
     `Calibration` (ceilings, idle power); surroundings of each process; energy; what a compiler planned; warm-up
     that ends when it has ended; the clock's figures apart; scenarios. Format 1 is migrated on reading (`migrate`).
  3  `Process.equality`. Format 2 is migrated.
  4  What a process measured is a tagged union, `Process.measured`, so that a task or scenario with other samples is a
     new member and no further field that is null in all the others; `Process.weights_digest`; the environment's
     variables, cores and limits; `SamplingConfig.total_budget_s`; conditions and energy are the types of
     `xibench.measure`. Renamed: `set_aside` to `superseded`, `strangers` to `foreign_processes`, `pictures` to
     `images`, `products` to `matmuls`, `rule` to `sampling`. Format 3 is migrated.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from xibench.measure.conditions import Conditions as Conditions
from xibench.measure.conditions import GpuConditions as GpuConditions
from xibench.measure.energy import Energy as Energy
from xibench.measure.energy import Idle as Idle
from xibench.measure.machine import distinguishing_extension
from xibench.measure.nvml import Gpu as Gpu

FORMAT_VERSION: Final = 4
DEFAULT_SCENARIO: Final = "offline"

Status = Literal["ok", "out_of_memory", "timeout", "failed", "unsupported"]
Task = Literal["infer"]
Precision = Literal["fp64", "fp32", "tf32", "bf16"]
Device = Literal["cpu", "cuda"]
Setting = str | int | float | bool | None


class Case(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is run."""

    framework: str  # pytorch, tensorflow, jax, or a third-party implementation: frameworks.api
    model: str  # xception, inception_v3
    variant: str = "default"  # a named configuration of the model
    task: Task = "infer"
    scenario: str = DEFAULT_SCENARIO  # a name of xibench.scenarios.SCENARIOS; see docs/method.md
    recipe: str = "default"  # default, compiled, tuned; choices after a +: frameworks.recipes
    precision: Precision = "fp32"
    batch: int = 8  # images per step
    resolution: int = 299  # pixels, square
    device: Device = "cpu"
    weights: str = "seed:0"  # seed:N or the path of a safetensors file
    images: str = "sample"  # sample, noise, or a folder of images
    seed: int = 0  # of everything random in the measurement
    latency_bound_s: float | None = None  # of scenario server; null: a multiple of a query's time alone

    @property
    def key(self) -> str:
        """A short name that tells this case from every other."""
        bound = () if self.latency_bound_s is None else (f"within-{self.latency_bound_s:g}s",)
        return "/".join(
            (self.framework, self.model, self.variant, self.task, self.scenario, self.recipe, self.precision,
             f"b{self.batch}", f"{self.resolution}px", self.device, *bound)
        )


class SamplingConfig(msgspec.Struct, frozen=True, kw_only=True):
    """How long a case is sampled: its number of processes, and what ends the warm-up and the timed steps of each."""

    processes: int = 1  # fresh processes a case: the sampling unit
    repeats: int = 1  # further processes that a case may take in place of disturbed ones
    warmup_steps: int = 2  # discarded steps after the first one, at least
    max_warmup_steps: int = 50  # discarded steps at most
    warmup_budget_s: float = 10.0  # warm-up ends after this time even if steps still get faster
    min_steps: int = 5  # timed steps, whatever they take
    max_steps: int = 200  # timed steps at most
    budget_s: float = 10.0  # no step starts after this time, once min_steps are done
    half_width: float | None = 0.01  # enough once half the 95 % interval of the median is below this share of it
    time_limit_s: float = 600.0  # wall time of the whole worker; then it is killed
    total_budget_s: float | None = None  # wall time of the whole run, shared out over its processes; null: no limit
    memory_limit_bytes: int | None = None  # resident set at which a worker counts as out of memory; null: the machine's
    sweep: bool = False  # batches of one series grow until one runs out of memory; the larger ones are not tried


class Substitution(msgspec.Struct, frozen=True, kw_only=True):
    """A setting that a recipe or precision asks for and that is unavailable, and what ran instead."""

    wanted: str
    why: str
    ran: str


class ClockProperties(msgspec.Struct, frozen=True, kw_only=True):
    """The clock that timed the steps, and what timing itself costs."""

    name: str
    resolution_s: float | None  # as the platform states it
    read_s: float | None  # cost of one reading, measured in this process
    loop_overhead_s: float | None  # what the loop measures for a step that does nothing, in this process


class Memory(msgspec.Struct, frozen=True, kw_only=True):
    """Peak memory of one process, in bytes, while it built, compiled and stepped the network."""

    host_baseline_bytes: int | None  # resident set after importing the framework and touching the device
    host_peak_bytes: int | None  # high-water mark of the resident set since then
    host_method: str  # how the high-water mark was read
    device_peak_allocated_bytes: int | None = None  # framework's own counter; null on a CPU
    device_peak_reserved_bytes: int | None = None  # framework's own counter; null on a CPU
    device_process_bytes: int | None = None  # NVML's figure for the worker; null without NVML
    compiled_temporary_bytes: int | None = None  # scratch that the compiler planned; null where it does not report it
    compiled_argument_bytes: int | None = None  # parameters and batch, as the compiler laid them out
    compiled_output_bytes: int | None = None
    compiled_code_bytes: int | None = None


class Surroundings(msgspec.Struct, frozen=True, kw_only=True):
    """The machine's conditions around one worker process, and whether they disturbed it."""

    before: Conditions
    after: Conditions
    wall_s: float  # from the worker's start to its end
    others_share: float | None  # share of the usable cores' time that others took while it ran
    steal_share: float | None  # likewise, by the hypervisor
    cpu_hz: float | None = None  # median of readings while it timed its steps: an idle processor lowers its clock
    gpus: list[GpuConditions] = []  # likewise, with every throttle reason that was seen
    disturbed: list[str]  # one phrase per disturbance, with figure and limit; empty: none was seen
    absent: dict[str, str] = {}


class Equality(msgspec.Struct, frozen=True, kw_only=True):
    """How far the logits of a recipe are from float64: root mean square, relative."""

    rms_error: float
    allowed_error: float  # 3 x that of recipe `default` in the same framework and precision
    images: int  # of the batch that were compared


class RateTrial(msgspec.Struct, frozen=True, kw_only=True):
    """Queries that arrived at one rate (a Poisson process)."""

    rate_hz: float
    latencies_s: list[float]  # from a query's arrival to its logits on the host; waiting is part of it
    p99_s: float | None  # null where there were too few queries to know it
    within: bool  # whether p99 kept the bound


class Sampled(msgspec.Struct, frozen=True, kw_only=True):
    """Samples that one process took after its first step, each synchronised; and what ended each part."""

    warmup_s: list[float]  # discarded, kept for the reader
    warmup_stopped_by: str  # `no trend` where a trend test found none, else the limit that cut the warm-up off
    steps_s: list[float]  # timed, every one
    device_steps_s: list[float] | None = None  # the same on the device's own clock; null where there is none
    stopped_by: str  # which rule ended the sampling
    images: int  # computed in the timed samples
    input_buffers: int  # copies of the batch that were rotated, so that none waits in the last-level cache


class Steps(Sampled, frozen=True, kw_only=True, tag="steps", tag_field="kind"):
    """Steps of a whole batch that is on the device: scenario offline."""


class Queries(Sampled, frozen=True, kw_only=True, tag="queries", tag_field="kind"):
    """Queries of one image, from the host and back, one after another: scenario single-stream."""


class Server(Sampled, frozen=True, kw_only=True, tag="server", tag_field="kind"):
    """Scenario server: the highest sustained arrival rate with p99 latency under a limit.

    The samples are queries one after another, from whose median the search for the rate starts.
    """

    bound_s: float
    highest_rate_hz: float | None  # null: not even the lowest rate that was tried kept the bound
    trials: list[RateTrial]  # in the order tried


class Compile(msgspec.Struct, frozen=True, kw_only=True, tag="compile", tag_field="kind"):
    """Nothing after the first step: scenario compile."""


Measured = Steps | Queries | Server | Compile


class Process(msgspec.Struct, frozen=True, kw_only=True):
    """What one fresh worker process measured."""

    order: int  # position of this process among the run's, from 0
    started_utc: str  # ISO 8601
    versions: dict[str, str]  # python and the framework's distributions, as the worker saw them
    device_name: str  # as the framework names it
    import_s: float  # importing the framework and touching the device
    build_s: float  # building the network, its weights and the batch on the device
    compile_s: float | None  # compiling ahead of the first step; null where the first step includes it
    first_step_s: float  # the first step, synchronised
    measured: Measured  # the samples; what they are samples of is its kind
    clock: ClockProperties
    memory: Memory
    energy: Energy  # over the timed samples
    settings: dict[str, Setting]  # read back from the framework: frameworks.manifest.MANIFEST
    substitutions: list[Substitution]  # settings that were unavailable, and what ran instead
    output_mean: float  # mean of the logits: the output was consumed
    equality: Equality | None = None  # recipes other than `default` are timed only within what is allowed
    weights_digest: str | None = None  # sha256 of seeded weights; one process per network and run computes it
    absent: dict[str, str] = {}  # field -> why it is null; of clock, memory, settings and samples too

    @property
    def sampled(self) -> Sampled | None:
        """The samples with what ended them; None in scenario compile, which takes none."""
        return self.measured if isinstance(self.measured, Sampled) else None

    @property
    def steps_s(self) -> list[float]:
        """Every timed sample, in seconds; empty where none is taken."""
        return self.sampled.steps_s if self.sampled else []

    @property
    def warmup_s(self) -> list[float]:
        """The discarded samples, in seconds."""
        return self.sampled.warmup_s if self.sampled else []

    @property
    def images(self) -> int:
        """Images computed in the timed samples: what energy per image is divided by."""
        return self.sampled.images if self.sampled else 0


class Costs(msgspec.Struct, frozen=True, kw_only=True):
    """From the blueprint, for one step of the case's batch; attainable times also from the run's ceilings."""

    parameters_trainable: int
    parameters_total: int
    macs: int  # multiply-adds of convolutions and dense layers; 2 FLOPs each
    activations: int  # outputs of convolutions and dense layers
    bytes_moved: int  # inputs, outputs and parameters of every layer, once each
    elementwise: int | None = None  # operations outside MACs
    attainable_s: float | None = None  # roofline with element-wise layers fused into their neighbours
    attainable_as_written_s: float | None = None  # roofline with every layer reading and writing memory
    absent: dict[str, str] = {}


class Attempt(msgspec.Struct, frozen=True, kw_only=True, tag="attempt", tag_field="type"):
    """One worker process and what became of it: a line of the run file."""

    case: Case
    number: int  # which of the case's processes it is, from 0; a repetition has the number of what it repeats
    order: int  # position among all workers of the run, from 0
    status: Status
    reason: str | None = None  # one line; null when ok
    log: str | None = None  # last output of a worker that did not end well
    costs: Costs
    environment: str  # hash of the environment it ran in
    surroundings: Surroundings | None  # null where no worker was started, and in files of format 1
    process: Process | None = None  # null unless ok
    superseded: bool = False  # it was disturbed and is repeated: counts until the repetition has measured


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """One case and all its attempts, in the order of the file."""

    case: Case
    attempts: list[Attempt]  # at least one

    @property
    def processes(self) -> list[Process]:
        """The processes that count."""
        return [attempt.process for attempt in self.counted if attempt.process]

    @property
    def counted(self) -> list[Attempt]:
        """The attempts whose processes count: measured, and not repeated.

        A superseded process counts, marked as disturbed, until the process that is to take its place has measured:
        a run may be stopped before that, or that process may fail.
        """
        measured = [a for a in self.attempts if a.process is not None]
        latest = {a.number: a for a in measured}
        return [a for a in measured if not a.superseded or latest[a.number] is a]

    @property
    def superseded(self) -> list[Attempt]:
        """Attempts that were disturbed and repeated."""
        counted = {id(a) for a in self.counted}
        return [a for a in self.attempts if a.superseded and id(a) not in counted]

    @property
    def status(self) -> Status:
        """`ok` if any process counts, else how the last attempt ended."""
        return "ok" if self.counted else self.attempts[-1].status

    @property
    def reason(self) -> str | None:
        """Why there is no result, in one line; None when ok."""
        return None if self.counted else self.attempts[-1].reason

    @property
    def log(self) -> str | None:
        """Last output of the worker that ended the case without a result; None when ok."""
        return None if self.counted else self.attempts[-1].log

    @property
    def costs(self) -> Costs:
        """What one step costs."""
        return (self.counted or self.attempts)[-1].costs

    @property
    def environment(self) -> str:
        """Hash of the environment of the last attempt."""
        return (self.counted or self.attempts)[-1].environment


class Matmul(msgspec.Struct, frozen=True, kw_only=True):
    """A square matrix multiplication in one framework: 2 n^3 FLOPs."""

    framework: str
    precision: str
    n: int | None  # rows and columns of the fastest size tried; null where none could be measured
    flops_per_s: float | None  # of the fastest of its timed calls: what disturbs one makes it slower, never faster
    reason: str | None = None  # why it is null
    calls_s: list[float] = []  # every timed call at that size, in the order taken


class Copy(msgspec.Struct, frozen=True, kw_only=True):
    """A copy within the device's memory in one framework; bytes read plus bytes written."""

    framework: str
    size_bytes: int | None  # of the array that was copied; null where none could be measured
    bytes_per_s: float | None  # of the fastest of its timed copies
    reason: str | None = None
    calls_s: list[float] = []  # every timed copy, in the order taken


class Calibration(msgspec.Struct, frozen=True, kw_only=True, tag="calibration", tag_field="type"):
    """The device's ceilings and idle power, measured in the run itself."""

    environment: str  # hash of the environment
    device: str  # cpu, cuda
    taken_utc: str
    matmuls: list[Matmul]
    copies: list[Copy]
    idle: Idle

    def peak_flops_per_s(self, precision: str) -> float | None:
        """FLOP/s of the fastest matrix multiplication in this precision, in any framework; None without one."""
        best = self.best_matmul(precision)
        return best.flops_per_s if best else None

    def best_matmul(self, precision: str) -> Matmul | None:
        """The matrix multiplication that is the ceiling in this precision; None if none was measured."""
        known = [p for p in self.matmuls if p.precision == precision and p.flops_per_s]
        return max(known, key=lambda p: p.flops_per_s or 0.0, default=None)

    @property
    def bytes_per_s(self) -> float | None:
        """The fastest copy; None if none was measured."""
        return self.best_copy.bytes_per_s if self.best_copy else None

    @property
    def best_copy(self) -> Copy | None:
        """The copy that is the ceiling; None if none was measured."""
        return max((c for c in self.copies if c.bytes_per_s), key=lambda c: c.bytes_per_s or 0.0, default=None)


class Environment(msgspec.Struct, frozen=True, kw_only=True):
    """The machine and software that a run was taken on; stored once per run."""

    machine: str  # short name of this machine's kind, for file names
    cpu_model: str
    cpu_flags: list[str]  # vector and matrix extensions that bear on speed
    cores_physical: int | None
    cores_logical: int
    cores_usable: int  # after affinity
    memory_bytes: int
    os: str
    kernel: str
    python: str
    packages: dict[str, str | None]  # distribution -> version in the parent's interpreter; null: not installed
    interpreters: dict[str, str]  # framework -> "parent" or the environment its workers run in
    git_commit: str | None  # of the checkout that xibench runs from; null outside one
    git_dirty: bool | None
    gpus: list[Gpu]
    cache_bytes: int | None = None  # last-level cache of the processor that the run may use
    cpus_allowed: str | None = None  # the usable cores as the kernel lists them, `0-3,8`: affinity and cpuset
    memory_nodes: str | None = None  # likewise the NUMA nodes whose memory may be used
    cpu_quota_cores: float | None = None  # CPU seconds per second that control groups allow; null: no quota
    memory_limit_bytes: int | None = None  # the strictest memory limit of the control groups; null: none
    variables: dict[str, str] | None = None  # that affect speed: `environment.speed_variables`; null before format 4
    absent: dict[str, str] = {}  # field -> why it is null or empty

    @property
    def processor(self) -> str:
        """The processor's name, followed by its widest extension if it has no number: `AMD EPYC (AVX2)`."""
        extension = distinguishing_extension(self.cpu_model, self.cpu_flags)
        return f"{self.cpu_model} ({extension})" if extension else self.cpu_model


class InputImages(msgspec.Struct, frozen=True, kw_only=True):
    """The images of a run: decoded once, the same for every framework."""

    source: str  # sample, noise, or a folder
    files: list[str]  # names, in the order used
    digest: str  # sha256 over the files' bytes
    preparation: str  # how an image becomes a network's input


class Header(msgspec.Struct, frozen=True, kw_only=True, tag="header", tag_field="type"):
    """First line of a run file."""

    format_version: int
    xibench: str  # version of the program
    run_id: str
    created_utc: str
    preset: str | None
    command: str  # what was typed
    sampling: SamplingConfig
    images: InputImages
    weights_digest: str | None  # sha256 over the bytes of the cases' weights file; null where weights are seeded
    environment: Environment
    environment_hash: str
    plan: list[Case]
