"""Small valid records for tests. Each builder takes the fields that a test is about and fills in the others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from xibench.record.environment import fingerprint
from xibench.record.schema import (
    FORMAT_VERSION,
    Attempt,
    Calibration,
    Case,
    ClockProperties,
    Conditions,
    Copy,
    Costs,
    Energy,
    Environment,
    Header,
    Idle,
    InputImages,
    Matmul,
    Memory,
    Process,
    RateTrial,
    Record,
    SamplingConfig,
    Server,
    Steps,
    Surroundings,
)
from xibench.record.store import Run, RunFile

ENVIRONMENT = Environment(
    machine="acme-cpu-2c", cpu_model="ACME CPU", cpu_flags=["avx2"], cores_physical=2, cores_logical=2, cores_usable=2,
    memory_bytes=2**33, os="ACME OS 1", kernel="ACME 1.0", python="CPython 3.11.0", packages={"torch": "2.13.0"},
    interpreters={"pytorch": "parent"}, git_commit=None, git_dirty=None, gpus=[], cache_bytes=2**20,
    absent={"git_commit": "no checkout", "git_dirty": "no checkout", "gpus": "none"},
)  # fmt: skip
COSTS = Costs(
    parameters_trainable=1, parameters_total=2, macs=300, activations=4, bytes_moved=5, elementwise=6,
    attainable_s=0.05, attainable_as_written_s=0.08,
)  # fmt: skip
NO_CARD = "no NVIDIA device"
CONDITIONS = Conditions(
    taken_utc="2025-01-02T03:04:05+00:00", load_1m=0.5, others_share=0.01, steal_share=0.0, cpu_hz=2.5e9,
    governor="performance", throttle_count=0, gpus=[], absent={"gpus": NO_CARD},
)  # fmt: skip
ENERGY = Energy(
    window_s=0.6, gpu_counter_joules=None, gpu_integrated_joules=None, gpu_power_samples=0,
    cpu_package_joules=None,
    absent={
        "gpu_counter_joules": NO_CARD, "gpu_integrated_joules": NO_CARD, "cpu_package_joules": "RAPL is not readable",
    },
)  # fmt: skip


def small_case(framework: str = "pytorch", model: str = "xception", batch: int = 1, images: str = "noise") -> Case:
    """Return a case of a narrow network at the smallest resolution that both networks support."""
    return Case(framework=framework, model=model, variant="narrow", batch=batch, resolution=75, images=images)


def header(plan: Sequence[Case], sampling: SamplingConfig | None = None, run_id: str = "0123456789abcdef") -> Header:
    return Header(
        format_version=FORMAT_VERSION, xibench="0.1.0", run_id=run_id, created_utc="2025-01-02T03:04:05+00:00",
        preset=None, command="xibench run", sampling=sampling or SamplingConfig(),
        images=InputImages(source="noise", files=[], digest="0", preparation="none"),
        weights_digest=None, environment=ENVIRONMENT, environment_hash=fingerprint(ENVIRONMENT), plan=list(plan),
    )  # fmt: skip


def calibration(device: str = "cpu") -> Calibration:
    """Return the ceilings of one framework: 12 GFLOP/s in fp32, 6 GFLOP/s in bf16, and 1 GB/s."""
    return Calibration(
        environment=fingerprint(ENVIRONMENT), device=device, taken_utc="2025-01-02T03:04:05+00:00",
        matmuls=[
            Matmul(framework="pytorch", precision="fp32", n=1024, flops_per_s=12e9),
            Matmul(framework="pytorch", precision="bf16", n=1024, flops_per_s=6e9),
        ],
        copies=[Copy(framework="pytorch", size_bytes=2**26, bytes_per_s=1e9)],
        idle=Idle(window_s=1.0, gpu_watts=None, cpu_package_watts=None,
                  absent={"gpu_watts": NO_CARD, "cpu_package_watts": "RAPL is not readable"}),
    )  # fmt: skip


def surroundings(disturbed: Sequence[str] = (), others_share: float | None = 0.01) -> Surroundings:
    return Surroundings(
        before=CONDITIONS, after=CONDITIONS, wall_s=3.0, others_share=others_share, steal_share=0.0,
        disturbed=list(disturbed),
    )  # fmt: skip


def process(steps_s: Sequence[float] = (0.1, 0.2, 0.3), order: int = 0) -> Process:
    return Process(
        order=order, started_utc="2025-01-02T03:04:06+00:00", versions={"python": "3.11.0", "torch": "2.13.0"},
        device_name="ACME CPU", import_s=1.0, build_s=0.5, compile_s=None, first_step_s=0.9,
        measured=Steps(
            warmup_s=[0.4], warmup_stopped_by="no trend", steps_s=list(steps_s), stopped_by="max_steps 3",
            images=len(steps_s), input_buffers=1,
        ),
        clock=ClockProperties(name="fake clock", resolution_s=1e-9, read_s=5e-8, loop_overhead_s=1e-7),
        memory=Memory(host_baseline_bytes=100, host_peak_bytes=350, host_method="test"),
        energy=ENERGY, settings={"threads": 2}, substitutions=[], output_mean=0.25,
        absent={"compile_s": "nothing is compiled", "device_steps_s": "the case runs on the CPU"},
    )  # fmt: skip


def resampled(made: Process, **fields: Any) -> Process:
    """Return the process with some fields of its samples replaced."""
    return msgspec.structs.replace(made, measured=msgspec.structs.replace(made.measured, **fields))


def serving(made: Process, bound_s: float, highest_rate_hz: float | None, trials: Sequence[RateTrial]) -> Process:
    """Return the process as one of scenario server, whose queries took as long as the steps of `made`."""
    found = Server(
        **msgspec.structs.asdict(made.measured), bound_s=bound_s, highest_rate_hz=highest_rate_hz, trials=list(trials)
    )
    return msgspec.structs.replace(made, measured=found)


def attempt(
    case: Case,
    steps_s: Sequence[float] = (0.1, 0.2, 0.3),
    *,
    number: int = 0,
    order: int | None = None,
    disturbed: Sequence[str] = (),
    others_share: float | None = 0.01,
    superseded: bool = False,
    made: Process | None = None,
) -> Attempt:
    """Return a successful attempt of `made`, by default of a process with these steps."""
    order = number if order is None else order
    return Attempt(
        case=case, number=number, order=order, status="ok", costs=COSTS, environment=fingerprint(ENVIRONMENT),
        surroundings=surroundings(disturbed, others_share), process=made or process(steps_s, order),
        superseded=superseded,
    )  # fmt: skip


def record(case: Case, *steps_s: Sequence[float]) -> Record:
    """Return the record of a case with a process for each sequence of steps, by default one process."""
    return Record(case=case, attempts=[attempt(case, s, number=n) for n, s in enumerate(steps_s or [(0.1, 0.2, 0.3)])])


def measured(case: Case, *processes: Process) -> Record:
    """Return the record of a case with these processes."""
    return Record(case=case, attempts=[attempt(case, number=n, made=p) for n, p in enumerate(processes)])


def failure(case: Case, reason: str = "the worker exited with code 3", log: str | None = None) -> Record:
    failed = Attempt(
        case=case, number=0, order=0, status="failed", reason=reason, log=log, costs=COSTS,
        environment=fingerprint(ENVIRONMENT), surroundings=surroundings(),
    )  # fmt: skip
    return Record(case=case, attempts=[failed])


def run_of(*records: Record, made: Header | None = None, calibrations: Sequence[Calibration] = ()) -> Run:
    """Return a run as it is read from a file with these records, one after another."""
    attempts = tuple(attempt for one in records for attempt in one.attempts)
    return Run(made or header([one.case for one in records]), attempts, tuple(calibrations), cut_line=False)


def append(run_file: RunFile, *records: Record) -> None:
    """Append the attempts of records to a run file, numbered in the order of the file."""
    for one in records:
        for line in one.attempts:
            run_file.append(msgspec.structs.replace(line, order=len(run_file.index.attempts)))
