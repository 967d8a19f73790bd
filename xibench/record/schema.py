"""What a result is: the types of a run file. Raw samples are the record; statistics are derived (`summary`).

A run file is JSON lines: a `Header`, then a `Record` per case as soon as it exists. SI units, named in the field.
A missing value is null, and `absent` says why under the field's name; it is never 0.

Format history
  1  first format
"""

from __future__ import annotations

from typing import Literal

import msgspec

FORMAT_VERSION = 1

Status = Literal["ok", "out_of_memory", "timeout", "failed", "unsupported"]
Setting = str | int | float | bool | None


class Case(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is run."""

    framework: str  # pytorch, tensorflow, jax
    model: str  # xception, inception_v3
    variant: str = "default"  # a named configuration of the model
    task: Literal["infer"] = "infer"
    scenario: Literal["offline"] = "offline"  # whole batches, one after another
    recipe: str = "default"  # default, compiled, tuned
    precision: str = "fp32"  # fp64, fp32, bf16
    batch: int = 8  # images per step
    resolution: int = 299  # pixels, square
    device: str = "cpu"  # cpu, cuda
    weights: str = "seed:0"  # seed:N or the path of a safetensors file
    images: str = "sample"  # sample, noise, or the folder that the photographs came from
    seed: int = 0  # of everything random in the measurement

    @property
    def key(self) -> str:
        """A short name that tells this case from every other."""
        return "/".join(
            (self.framework, self.model, self.variant, self.task, self.scenario, self.recipe, self.precision,
             f"b{self.batch}", f"{self.resolution}px", self.device)
        )


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """When a process has warmed up, and when it has measured enough."""

    warmup_steps: int = 2  # discarded steps after the first one
    min_steps: int = 5  # timed steps, whatever they take
    max_steps: int = 200  # timed steps at most
    budget_s: float = 10.0  # no step starts after this time, once min_steps are done
    time_limit_s: float = 600.0  # wall time of the whole worker; then it is killed


class Substitution(msgspec.Struct, frozen=True, kw_only=True):
    """What a recipe or precision wanted, why the machine could not give it, and what ran instead."""

    wanted: str
    why: str
    ran: str


class Memory(msgspec.Struct, frozen=True, kw_only=True):
    """Peak memory of one process, in bytes, while it built, compiled and stepped the network."""

    host_baseline_bytes: int | None  # resident set after importing the framework and touching the device
    host_peak_bytes: int | None  # high-water mark of the resident set since then
    host_method: str  # how the high-water mark was read
    device_peak_allocated_bytes: int | None = None  # framework's own counter; null on a CPU
    device_peak_reserved_bytes: int | None = None  # framework's own counter; null on a CPU
    device_process_bytes: int | None = None  # NVML's figure for the worker; null without NVML


class Process(msgspec.Struct, frozen=True, kw_only=True):
    """What one fresh worker process measured."""

    order: int  # position of this process in the run, from 0
    started_utc: str  # ISO 8601
    versions: dict[str, str]  # python and the framework's distributions, as the worker saw them
    device_name: str  # as the framework names it
    import_s: float  # importing the framework and touching the device
    build_s: float  # building the network, its weights and the batch on the device
    compile_s: float | None  # compiling ahead of the first step; null where the first step includes it
    first_step_s: float  # the first step, synchronised
    warmup_s: list[float]  # discarded steps, kept for the reader
    steps_s: list[float]  # every timed step, synchronised
    stopped_by: str  # which rule ended the sampling
    clock: str  # name and resolution of the clock
    memory: Memory
    settings: dict[str, Setting]  # read back from the framework
    substitutions: list[Substitution]  # what could not be had, and what ran instead
    output_mean: float  # mean of the logits: the output was consumed
    absent: dict[str, str] = {}  # field -> why it is null


class Costs(msgspec.Struct, frozen=True, kw_only=True):
    """From the blueprint, for one step of the case's batch."""

    parameters_trainable: int
    parameters_total: int
    macs: int  # multiply-adds of convolutions and dense layers; 2 FLOPs each
    activations: int  # outputs of convolutions and dense layers
    bytes_moved: int  # inputs, outputs and parameters of every layer, once each


class Record(msgspec.Struct, frozen=True, kw_only=True, tag="record", tag_field="type"):
    """One case and what became of it."""

    case: Case
    status: Status
    reason: str | None = None  # one line; null when ok
    log: str | None = None  # last output of a worker that did not end well
    costs: Costs
    environment: str  # hash of the header's environment
    processes: list[Process] = []  # empty unless ok


class Gpu(msgspec.Struct, frozen=True, kw_only=True):
    """One NVIDIA device, read through NVML."""

    name: str
    memory_bytes: int
    driver: str
    power_limit_watts: float | None


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
    absent: dict[str, str] = {}  # field -> why it is null or empty


class Pictures(msgspec.Struct, frozen=True, kw_only=True):
    """The photographs of a run: decoded once, the same for every framework."""

    source: str  # sample, noise, or a folder
    files: list[str]  # names, in the order used
    digest: str  # sha256 over the files' bytes
    preparation: str  # how a photograph becomes a network's input


class Header(msgspec.Struct, frozen=True, kw_only=True, tag="header", tag_field="type"):
    """First line of a run file."""

    format_version: int
    xibench: str  # version of the program
    run_id: str
    created_utc: str
    preset: str | None
    command: str  # what was typed
    rule: Rule
    pictures: Pictures
    weights_digest: str | None  # sha256 over the bytes of the cases' weights file; null where weights are seeded
    environment: Environment
    environment_hash: str
    plan: list[Case]
