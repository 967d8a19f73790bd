"""Run files made of schema objects, with everything that a page has to show: results, refusals, substitutions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np

from xibench.record.schema import (
    FORMAT_VERSION,
    Case,
    Costs,
    Environment,
    Header,
    Memory,
    Pictures,
    Process,
    Record,
    Rule,
    Status,
    Substitution,
)

STEP_S = {"pytorch": 0.62, "tensorflow": 0.81, "jax": 2.4}
FASTER = {"default": 1.0, "compiled": 0.7, "tuned": 0.45}
LIGHTER = {"xception": 1.0, "inception_v3": 0.61}
VERSIONS = {
    "pytorch": {"torch": "2.13.0+cpu"}, "tensorflow": {"tensorflow": "2.21.0"},
    "jax": {"jax": "0.10.2", "jaxlib": "0.10.2", "flax": "0.12.8"},
}


def environment(**changes: object) -> Environment:
    fields: dict[str, object] = {
        "machine": "example", "cpu_model": "Example CPU 9000 @ 2.60GHz", "cpu_flags": ["avx2", "avx512f"],
        "cores_physical": 2, "cores_logical": 4, "cores_usable": 2, "memory_bytes": 8 * 2**30, "os": "Debian 12",
        "kernel": "Linux 6.1.0", "python": "3.12.4", "packages": {"numpy": "2.3.1", "torch": "2.13.0+cpu", "ray": None},
        "interpreters": {"pytorch": "parent", "tensorflow": "parent", "jax": ".venvs/jax"},
        "git_commit": "0123456789abcdef0123456789abcdef01234567", "git_dirty": True, "gpus": [],
        "absent": {"gpus": "NVML found no device"},
    }
    return Environment(**(fields | changes))  # type: ignore[arg-type]


def header(plan: Sequence[Case], run_id: str = "a78e7ac2bf5648e5984d4cf8b3bea3d8", **changes: object) -> Header:
    fields: dict[str, object] = {
        "format_version": FORMAT_VERSION, "xibench": "0.1.0", "run_id": run_id,
        "created_utc": "2026-01-01T12:00:00+00:00",
        "preset": "quick", "rule": Rule(),
        "command": "xibench run --preset quick --framework pytorch,tensorflow,jax --recipe default,compiled,tuned",
        "pictures": Pictures(source="sample", files=["china.jpg", "flower.jpg"], digest="ab" * 32,
                             preparation="resized to the network's input, bilinear, scaled to -1..1"),
        "weights_digest": None, "environment": environment(), "environment_hash": "e" * 16, "plan": list(plan),
    }
    return Header(**(fields | changes))  # type: ignore[arg-type]


def process(case: Case, steps: Sequence[float], **changes: object) -> Process:
    peak = {"pytorch": 410, "tensorflow": 620, "jax": 530}.get(case.framework, 300) * 2**20
    fields: dict[str, object] = {
        "order": 0, "started_utc": "2026-01-01T12:00:05Z",
        "versions": {"python": "3.12.4"} | VERSIONS.get(case.framework, {}), "device_name": "cpu", "import_s": 1.4,
        "build_s": 0.6, "compile_s": None if case.framework == "pytorch" else 3.2,
        "first_step_s": 2.2 * steps[0], "warmup_s": [1.12 * steps[0], 1.03 * steps[0]], "steps_s": list(steps),
        "stopped_by": "max_steps", "clock": "perf_counter, resolution 1e-09 s",
        "memory": Memory(
            host_baseline_bytes=230 * 2**20, host_peak_bytes=230 * 2**20 + peak, host_method="VmHWM, reset"
        ),
        "settings": {
            "layout": "NCHW" if case.framework == "pytorch" else "NHWC", "threads": 2, "output_dtype": "float32",
            "batch_norm_folded": case.recipe == "tuned", "output_device": "cpu",
            "float32_matmul_precision": "highest, in every layer",
        },
        "substitutions": [], "output_mean": 0.01, "absent": {},
    }
    return Process(**(fields | changes))  # type: ignore[arg-type]


def ok(case: Case, steps: Sequence[float] | None = None, **changes: object) -> Record:
    """A record with a result. Without `steps`, 30 plausible ones are drawn from a seed that the case's name gives."""
    if steps is None:
        rng = np.random.default_rng(sum(case.key.encode()))
        middle = STEP_S[case.framework] * FASTER[case.recipe] * LIGHTER[case.model]
        noise = (1 + 0.012 * np.abs(rng.standard_normal(30))) * np.linspace(1, 1.01, 30)
        steps = [float(s) for s in middle * noise]
    measured = process(case, steps, **changes)
    return Record(case=case, status="ok", costs=costs(case), environment="e" * 16, processes=[measured])


def refused(case: Case, status: Status, reason: str, log: str | None = None) -> Record:
    return Record(case=case, status=status, reason=reason, log=log, costs=costs(case), environment="e" * 16)


def costs(case: Case) -> Costs:
    macs = {"xception": 8_357_403_496, "inception_v3": 5_713_216_096}[case.model] * case.batch
    return Costs(
        parameters_trainable=22_855_952, parameters_total=22_910_480, macs=macs, activations=10**7, bytes_moved=10**9
    )


def matrix(**changes: object) -> list[Case]:
    """Three frameworks, two networks, three recipes."""
    return [
        Case(framework=f, model=m, recipe=r, **changes)  # type: ignore[arg-type]
        for m in LIGHTER for r in FASTER for f in STEP_S
    ]


def varied() -> tuple[Header, list[Record]]:
    """A whole matrix in fp32 with three refusals and a case that was not reached, and one substituted bf16 case."""
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


def write(path: Path, head: Header, records: Sequence[Record]) -> Path:
    """A run file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join(msgspec.json.encode(line) + b"\n" for line in (head, *records)))
    return path
