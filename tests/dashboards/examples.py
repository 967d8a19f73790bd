"""Run files built from schema objects, with everything that pages show: results, refused cases, substitutions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np

from xibench.record.schema import (
    FORMAT_VERSION,
    Attempt,
    Calibration,
    Case,
    ClockProperties,
    Compile,
    Conditions,
    Copy,
    Costs,
    Energy,
    Environment,
    Gpu,
    GpuConditions,
    Header,
    Idle,
    InputImages,
    Matmul,
    Measured,
    Memory,
    Process,
    Queries,
    RateTrial,
    Record,
    SamplingConfig,
    Server,
    Status,
    Steps,
    Substitution,
    Surroundings,
)

STEP_S = {"pytorch": 0.62, "tensorflow": 0.81, "jax": 2.4}
FASTER = {"default": 1.0, "compiled": 0.7, "tuned": 0.45}
LIGHTER = {"xception": 1.0, "inception_v3": 0.61}
MACS = {"xception": 8_357_403_496, "inception_v3": 5_713_216_096, "separable": 193_689_496}
VERSIONS = {
    "pytorch": {"torch": "2.13.0+cpu"}, "tensorflow": {"tensorflow": "2.21.0"},
    "jax": {"jax": "0.10.2", "jaxlib": "0.10.2", "flax": "0.12.8"},
}
PRODUCTS = {"pytorch": 1.31e12, "tensorflow": 1.18e12, "jax": 0.96e12}
COPIES = {"pytorch": 41e9, "tensorflow": 36e9, "jax": 38e9}
NO_CARD = "no NVIDIA device: NVML is not installed"
NO_RAPL = "RAPL is not readable: permission denied"
BUSY = "others took 31 % of the usable cores while it ran (limit 5 %)"


def environment(**changes: object) -> Environment:
    fields: dict[str, object] = {
        "machine": "example", "cpu_model": "Example CPU 9000 @ 2.60GHz", "cpu_flags": ["avx2", "avx512f"],
        "cores_physical": 2, "cores_logical": 4, "cores_usable": 2, "memory_bytes": 8 * 2**30, "os": "Debian 12",
        "kernel": "Linux 6.1.0", "python": "3.12.4", "packages": {"numpy": "2.3.1", "torch": "2.13.0+cpu", "ray": None},
        "interpreters": {"pytorch": "parent", "tensorflow": "parent", "jax": ".venvs/jax"},
        "git_commit": "0123456789abcdef0123456789abcdef01234567", "git_dirty": True, "gpus": [],
        "cache_bytes": 32 * 2**20, "absent": {"gpus": "NVML found no device"},
    }
    return Environment(**(fields | changes))  # type: ignore[arg-type]


def header(plan: Sequence[Case], run_id: str = "a78e7ac2bf5648e5984d4cf8b3bea3d8", **changes: object) -> Header:
    fields: dict[str, object] = {
        "format_version": FORMAT_VERSION, "xibench": "0.2.0", "run_id": run_id,
        "created_utc": "2026-01-01T12:00:00+00:00",
        "preset": "quick", "sampling": SamplingConfig(),
        "command": "xibench run --preset quick --framework pytorch,tensorflow,jax --recipe default,compiled,tuned",
        "images": InputImages(source="sample", files=["china.jpg", "flower.jpg"], digest="ab" * 32,
                             preparation="resized to the network's input, bilinear, scaled to -1..1"),
        "weights_digest": None, "environment": environment(), "environment_hash": "e" * 16, "plan": list(plan),
    }
    return Header(**(fields | changes))  # type: ignore[arg-type]


def process(case: Case, steps: Sequence[float], **changes: object) -> Process:
    peak = {"pytorch": 410, "tensorflow": 620, "jax": 530}.get(case.framework, 300) * 2**20
    typical = steps[0] if steps else 0.5
    fields: dict[str, object] = {
        "order": 0, "started_utc": "2026-01-01T12:00:05Z",
        "versions": {"python": "3.12.4"} | VERSIONS.get(case.framework, {}), "device_name": "cpu", "import_s": 1.4,
        "build_s": 0.6, "compile_s": None if case.framework == "pytorch" else 3.2,
        "first_step_s": 2.2 * typical,
        "measured": _measured(case, steps, changes),
        "clock": ClockProperties(name="perf_counter", resolution_s=1e-9, read_s=6e-8, loop_overhead_s=1.4e-7),
        "energy": energy(case, steps),
        "memory": Memory(
            host_baseline_bytes=230 * 2**20, host_peak_bytes=230 * 2**20 + peak, host_method="VmHWM, reset",
            compiled_temporary_bytes=210 * 2**20 if case.framework == "jax" else None,
        ),
        "settings": {
            "layout": "NCHW" if case.framework == "pytorch" else "NHWC", "threads": 2, "output_dtype": "float32",
            "batch_norm_folded": case.recipe == "tuned", "output_device": "cpu", "compilation_cache": "off",
            "float32_matmul_precision": "highest, in every layer", "tf32": None,
        },
        "substitutions": [], "output_mean": 0.01, "absent": {"tf32": "the case runs on the CPU"},
    }
    return Process(**(fields | changes))  # type: ignore[arg-type]


def _measured(case: Case, steps: Sequence[float], changes: dict[str, object]) -> Measured:
    """Return the samples of a process of the case's scenario; fields of the samples are removed from `changes`."""
    if case.scenario == "compile":
        return Compile()
    typical = steps[0] if steps else 0.5
    sampled = Steps(
        warmup_s=[1.12 * typical, 1.03 * typical], warmup_stopped_by="no trend", steps_s=list(steps),
        stopped_by="max_steps 200", images=case.batch * len(steps), input_buffers=4,
    )  # fmt: skip
    fields = msgspec.structs.asdict(sampled) | _of_samples(changes)
    if case.scenario == "server":
        return Server(**({"bound_s": 0.1, "highest_rate_hz": None, "trials": []} | fields))
    return Queries(**fields) if case.scenario == "single-stream" else Steps(**fields)


def _of_samples(changes: dict[str, object]) -> dict[str, object]:
    """Remove the fields of the samples from `changes` and return them."""
    return {name: changes.pop(name) for name in list(changes) if name in Server.__struct_fields__}


def energy(case: Case, steps: Sequence[float], watts: float | None = None, card: float | None = None) -> Energy:
    """Return energy over the timed steps, from the power of the CPU packages and of the GPU in watts; None: unknown."""
    window = float(sum(steps))
    absent = {} if watts else {"cpu_package_joules": NO_RAPL}
    if card is None:
        absent |= {"gpu_counter_joules": NO_CARD, "gpu_integrated_joules": NO_CARD}
    return Energy(
        window_s=window, gpu_counter_joules=card and card * window,
        gpu_integrated_joules=card and 1.01 * card * window, gpu_power_samples=round(10 * window) if card else 0,
        cpu_package_joules=watts and watts * window, absent=absent,
    )  # fmt: skip


def conditions(**changes: object) -> Conditions:
    fields: dict[str, object] = {
        "taken_utc": "2026-01-01T12:00:04+00:00", "load_1m": 1.31, "others_share": 0.01, "steal_share": 0.0,
        "cpu_hz": 2.6e9, "governor": None, "throttle_count": None, "gpus": [],
        "absent": {"governor": "this kernel has no cpufreq", "throttle_count": "this kernel has no thermal_throttle"},
    }
    return Conditions(**(fields | changes))  # type: ignore[arg-type]


def surroundings(disturbed: Sequence[str] = (), **changes: object) -> Surroundings:
    fields: dict[str, object] = {
        "before": conditions(), "after": conditions(load_1m=2.04, cpu_hz=2.58e9), "wall_s": 14.2,
        "others_share": 0.31 if disturbed else 0.01, "steal_share": 0.004, "disturbed": list(disturbed),
    }
    return Surroundings(**(fields | changes))  # type: ignore[arg-type]


def attempt(case: Case, made: Process | None, number: int = 0, **changes: object) -> Attempt:
    fields: dict[str, object] = {
        "case": case, "number": number, "order": number, "status": "ok", "costs": costs(case),
        "environment": "e" * 16, "surroundings": surroundings(), "process": made,
    }
    return Attempt(**(fields | changes))  # type: ignore[arg-type]


def steps_of(case: Case, processes: int = 1, n: int = 30) -> list[list[float]]:
    """Return plausible step times, seeded by the name of the case; processes differ by a few percent."""
    rng = np.random.default_rng(sum(case.key.encode()))
    overhead = 0.35 if case.batch > 1 else 0.5
    size = overhead + (1 - overhead) * case.batch / 8
    middle = STEP_S[case.framework] * FASTER[case.recipe] * LIGHTER[case.model] * size
    middle *= 0.7 if case.precision == "bf16" else 1
    shift = 1 + (0.02 * rng.standard_normal(processes) if processes > 1 else np.zeros(1))
    noise = (1 + 0.012 * np.abs(rng.standard_normal((processes, n)))) * np.linspace(1, 1.01, n)
    return [[float(s) for s in row] for row in middle * shift[:, None] * noise]


def ok(case: Case, steps: Sequence[float] | None = None, **changes: object) -> Record:
    """Return a record with one process, by default of 30 plausible steps."""
    return Record(case=case, attempts=[attempt(case, process(case, steps or steps_of(case)[0], **changes))])


def several(case: Case, *steps: Sequence[float], **changes: object) -> Record:
    """Return a record with a process for each sequence of steps, by default three with 30 plausible steps each."""
    rng = np.random.default_rng(len(case.key))
    found = [
        process(case, s, **({"first_step_s": 2.2 * (s[0] if s else 0.5) * float(1 + 0.1 * rng.random())} | changes))
        for s in steps or steps_of(case, 3)
    ]
    return Record(case=case, attempts=[attempt(case, p, number) for number, p in enumerate(found)])


def refused(case: Case, status: Status, reason: str, log: str | None = None) -> Record:
    return Record(case=case, attempts=[attempt(case, None, status=status, reason=reason, log=log)])


def costs(case: Case) -> Costs:
    macs = MACS[case.model] * case.batch
    moved = 90_000_000 + 170_000_000 * case.batch
    peak = max(PRODUCTS.values()) * (1.6 if case.precision == "bf16" else 1)
    attainable = 1.12 * max(2 * macs / peak, moved / max(COPIES.values()))
    return Costs(
        parameters_trainable=22_855_952, parameters_total=22_910_480, macs=macs, activations=10**7, bytes_moved=moved,
        elementwise=10**8, attainable_s=attainable, attainable_as_written_s=1.6 * attainable,
    )


def calibration(device: str = "cpu", idle_watts: float | None = None, card_watts: float | None = None) -> Calibration:
    absent = {} if idle_watts else {"cpu_package_watts": NO_RAPL}
    absent |= {} if card_watts else {"gpu_watts": NO_CARD}
    products = [Matmul(framework=f, precision="fp32", n=2048, flops_per_s=rate) for f, rate in PRODUCTS.items()]
    products += [
        Matmul(framework=f, precision="bf16", n=2048, flops_per_s=1.6 * rate) for f, rate in PRODUCTS.items()
        if f != "jax"
    ]
    none = Matmul(framework="jax", precision="bf16", n=None, flops_per_s=None, reason="no bf16 product on this CPU")
    return Calibration(
        environment="e" * 16, device=device, taken_utc="2026-01-01T12:00:02+00:00", matmuls=[*products, none],
        copies=[Copy(framework=f, size_bytes=2**28, bytes_per_s=rate) for f, rate in COPIES.items()],
        idle=Idle(window_s=1.0, gpu_watts=card_watts, cpu_package_watts=idle_watts, absent=absent),
    )  # fmt: skip


def matrix(**changes: object) -> list[Case]:
    """Three frameworks, two networks, three recipes."""
    return [
        Case(framework=f, model=m, recipe=r, **changes)  # type: ignore[arg-type]
        for m in LIGHTER for r in FASTER for f in STEP_S
    ]


def varied() -> tuple[Header, list[Record]]:
    """All combinations in fp32, three of them refused and one not started, and a bf16 case with a substitution."""
    cases = matrix()
    bf16 = Case(framework="tensorflow", model="xception", recipe="tuned", precision="bf16")
    refusals: dict[int, tuple[Status, str]] = {
        3: ("unsupported", "pytorch: no C++ compiler for inductor; apt install g++"),
        5: ("timeout", "stopped after 600 s during compile"),
        11: ("out_of_memory", "killed by the kernel while it built the network"),
    }
    records = [refused(c, *refusals[i]) if i in refusals else ok(c) for i, c in enumerate(cases)]
    instead = Substitution(wanted="bf16 matrix units (AMX)", why="this CPU has no AMX", ran="bf16 emulated in float32")
    records.append(ok(bf16, substitutions=[instead]))
    missed = Case(framework="jax", model="inception_v3", recipe="tuned", precision="bf16")
    return header([*cases, bf16, missed]), records


def thorough() -> tuple[Header, list[Record]]:
    """Three processes per case, every scenario, CPU energy; some are disturbed, superseded, failed or unsteady."""
    cases = [c for c in matrix() if c.recipe != "compiled"]
    records = [_powered(several(c), watts) for c, watts in zip(cases, (41, 44, 38, 47, 45, 40, 42, 43, 39, 44, 46, 41),
                                                               strict=True)]
    records[0] = disturb(records[0], 1)
    records[1] = repeat(records[1], 0)
    records[2] = fail(records[2])
    records[3] = change(records[3], 2, warmup_stopped_by="max_warmup_steps 50")
    odd = records[4].attempts[1].process
    assert odd
    records[4] = change(records[4], 1, settings=odd.settings | {"threads": 1})
    singles = [Case(framework=f, model="xception", scenario="single-stream", batch=1) for f in STEP_S]
    records += [several(c, *steps_of(c, 3, n)) for c, n in zip(singles, (150, 126, 20), strict=True)]
    records += [_served(Case(framework=f, model="xception", scenario="server", batch=1)) for f in STEP_S]
    compiled = [Case(framework=f, model="xception", scenario="compile", recipe="tuned") for f in STEP_S]
    for number, case in enumerate(compiled):
        values = [None if case.framework == "pytorch" else 3.1 + 0.4 * number + 0.2 * i for i in range(5)]
        base = several(case, [], [], [], [], [])
        records.append(msgspec.structs.replace(base, attempts=[
            msgspec.structs.replace(a, process=msgspec.structs.replace(a.process, compile_s=v))
            for a, v in zip(base.attempts, values, strict=True) if a.process
        ]))
    sampling = SamplingConfig(processes=3, max_steps=200, repeats=1)
    return header([r.case for r in records], "b" * 32, preset="nightly", sampling=sampling), records


def sweep() -> tuple[Header, list[Record]]:
    """Batches that double until memory runs out, in two frameworks and recipes."""
    records = []
    for framework, recipe, fits in (
        ("pytorch", "default", 64), ("pytorch", "tuned", 128), ("tensorflow", "default", 64), ("jax", "tuned", 256),
    ):
        for batch in (1, 2, 4, 8, 16, 32, 64, 128, 256):
            case = Case(framework=framework, model="xception", recipe=recipe, batch=batch)
            if batch > fits:
                reason = "resident set reached 7.2 GiB, the limit" if batch == 2 * fits else (
                    f"not tried: batch {2 * fits} had run out of memory"
                )
                records.append(refused(case, "out_of_memory", reason))
                continue
            memory = Memory(host_baseline_bytes=2**28, host_peak_bytes=2**28 + (300 + 48 * batch) * 2**20,
                            host_method="VmHWM")
            rate = 17 * (1 - np.exp(-(batch + 1) / 9)) * STEP_S["pytorch"] / STEP_S[framework] / FASTER[recipe]
            noise = np.random.default_rng(batch).normal(1, 0.01, (2, 12))
            found = [[float(s) for s in batch / rate * row] for row in noise]
            records.append(several(case, *found, memory=memory))
    sampling = SamplingConfig(processes=2, sweep=True)
    return header([r.case for r in records], "c" * 32, preset=None, sampling=sampling), records


def card() -> tuple[Header, list[Record]]:
    """One case on an NVIDIA GPU: device memory, device time, energy from the counter, a throttled process."""
    case = Case(framework="pytorch", model="xception", device="cuda", batch=32)
    steps = [[0.031 + 0.0001 * (i % 3) for i in range(40)] for _ in range(3)]
    memory = Memory(
        host_baseline_bytes=2**30, host_peak_bytes=2**30 + 2**28, host_method="VmHWM",
        device_peak_allocated_bytes=700 * 2**20, device_peak_reserved_bytes=900 * 2**20,
        device_process_bytes=1300 * 2**20,
    )
    record = several(case, *steps, memory=memory, energy=energy(case, steps[0], card=240.0),
                     device_steps_s=[0.98 * s for s in steps[0]])
    gpu = GpuConditions(
        index=0, sm_clock_hz=1.41e9, memory_clock_hz=1.2e9, throttle_reasons=[], temperature_celsius=52.0,
        power_watts=61.0, power_limit_watts=250.0, foreign_processes=0,
    )
    hot = msgspec.structs.replace(gpu, sm_clock_hz=1.1e9, throttle_reasons=["sw_thermal_slowdown"],
                                  temperature_celsius=84.0)
    around = [surroundings(before=conditions(gpus=[gpu]), after=conditions(gpus=[g])) for g in (gpu, gpu, hot)]
    around[2] = msgspec.structs.replace(around[2], disturbed=["card 0 was throttled: sw_thermal_slowdown"])
    attempts = [msgspec.structs.replace(a, surroundings=s) for a, s in zip(record.attempts, around, strict=True)]
    machine = environment(gpus=[Gpu(name="Example GPU", memory_bytes=16 * 2**30, driver="600.1",
                                    power_limit_watts=250.0)])
    return header([case], "d" * 32, environment=machine), [msgspec.structs.replace(record, attempts=attempts)]


def without_ceilings(record: Record) -> Record:
    """Return the record of a run without ceilings."""
    plain = msgspec.structs.replace(
        record.costs, attainable_s=None, attainable_as_written_s=None,
        absent={"attainable_s": "ceilings were switched off"},
    )
    attempts = [msgspec.structs.replace(a, costs=plain) for a in record.attempts]
    return msgspec.structs.replace(record, attempts=attempts)


def disturb(record: Record, number: int, reason: str = BUSY) -> Record:
    """Return the record with a process that is disturbed but counts."""
    return _with(record, number, surroundings=surroundings([reason]))


def repeat(record: Record, number: int, reason: str = BUSY) -> Record:
    """Return the record with a process that was disturbed, superseded and repeated."""
    aside = msgspec.structs.replace(record.attempts[number], surroundings=surroundings([reason]), superseded=True)
    return msgspec.structs.replace(record, attempts=[aside, *record.attempts])


def fail(record: Record, reason: str = "worker exited with code 139") -> Record:
    """Return the record with a last process that failed."""
    return _with(record, -1, process=None, status="failed", reason=reason)


def change(record: Record, number: int, **changes: object) -> Record:
    """Return the record with other samples of a process."""
    made = record.attempts[number].process
    assert made
    measured = msgspec.structs.replace(made.measured, **_of_samples(changes))
    return _with(record, number, process=msgspec.structs.replace(made, measured=measured, **changes))


def _with(record: Record, number: int, **changes: object) -> Record:
    attempts = list(record.attempts)
    attempts[number] = msgspec.structs.replace(attempts[number], **changes)
    return msgspec.structs.replace(record, attempts=attempts)


def _powered(record: Record, watts: float) -> Record:
    for number, a in enumerate(record.attempts):
        assert a.process
        record = change(record, number, energy=energy(record.case, a.process.steps_s, watts))
    return record


def _served(case: Case) -> Record:
    """Return a record with three processes that each searched for the highest rate by bisection."""
    alone = steps_of(case)[0][0]
    rng = np.random.default_rng(len(case.key))
    record = several(case, *steps_of(case, 3))
    for number in range(3):
        most = (0.62 + 0.02 * number) / alone
        trials = []
        for share in (0.25, 0.5, 1.0, 0.75, 0.875, 0.94, 0.97):
            rate = share * 1.3 * most
            p99 = alone * (1.2 + 0.5 / max(1.02 - rate * alone, 0.02))
            latencies = [float(v) for v in rng.uniform(alone, p99, 400)]
            trials.append(RateTrial(rate_hz=rate, latencies_s=latencies, p99_s=p99, within=p99 <= 3 * alone))
        kept = [t.rate_hz for t in trials if t.within]
        record = change(record, number, bound_s=3 * alone, highest_rate_hz=max(kept), trials=trials)
    return record


def write(path: Path, head: Header, records: Sequence[Record], *calibrations: Calibration) -> Path:
    """Write a run file with the attempts in the order of the records."""
    path.parent.mkdir(parents=True, exist_ok=True)
    attempts = [a for record in records for a in record.attempts]
    lines = [head, *calibrations, *(msgspec.structs.replace(a, order=i) for i, a in enumerate(attempts))]
    path.write_bytes(b"".join(msgspec.json.encode(line) + b"\n" for line in lines))
    return path
