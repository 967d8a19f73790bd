"""Small valid records for tests: each takes what a test is about and fills in the rest."""

from __future__ import annotations

from collections.abc import Sequence

from xibench.record.environment import fingerprint
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
)

ENVIRONMENT = Environment(
    machine="acme-cpu-2c", cpu_model="ACME CPU", cpu_flags=["avx2"], cores_physical=2, cores_logical=2, cores_usable=2,
    memory_bytes=2**33, os="ACME OS 1", kernel="ACME 1.0", python="CPython 3.11.0", packages={"torch": "2.13.0"},
    interpreters={"pytorch": "parent"}, git_commit=None, git_dirty=None, gpus=[],
    absent={"git_commit": "no checkout", "git_dirty": "no checkout", "gpus": "none"},
)  # fmt: skip
COSTS = Costs(parameters_trainable=1, parameters_total=2, macs=300, activations=4, bytes_moved=5)


def small_case(framework: str = "pytorch", model: str = "xception", batch: int = 1, images: str = "noise") -> Case:
    """The narrow variant at the least resolution of either network."""
    return Case(framework=framework, model=model, variant="narrow", batch=batch, resolution=75, images=images)


def header(plan: Sequence[Case], rule: Rule | None = None, run_id: str = "0123456789abcdef") -> Header:
    return Header(
        format_version=FORMAT_VERSION, xibench="0.1.0", run_id=run_id, created_utc="2025-01-02T03:04:05+00:00",
        preset=None, command="xibench run", rule=rule or Rule(),
        pictures=Pictures(source="noise", files=[], digest="0", preparation="none"),
        weights_digest=None, environment=ENVIRONMENT, environment_hash=fingerprint(ENVIRONMENT), plan=list(plan),
    )  # fmt: skip


def process(steps_s: Sequence[float] = (0.1, 0.2, 0.3), order: int = 0) -> Process:
    return Process(
        order=order, started_utc="2025-01-02T03:04:06+00:00", versions={"python": "3.11.0", "torch": "2.13.0"},
        device_name="ACME CPU", import_s=1.0, build_s=0.5, compile_s=None, first_step_s=0.9, warmup_s=[0.4],
        steps_s=list(steps_s), stopped_by="max_steps 3", clock="fake clock",
        memory=Memory(host_baseline_bytes=100, host_peak_bytes=350, host_method="test"),
        settings={"threads": 2}, substitutions=[], output_mean=0.25, absent={"compile_s": "nothing is compiled"},
    )  # fmt: skip


def record(case: Case, steps_s: Sequence[float] = (0.1, 0.2, 0.3)) -> Record:
    return Record(
        case=case, status="ok", costs=COSTS, environment=fingerprint(ENVIRONMENT), processes=[process(steps_s)]
    )


def failure(case: Case, reason: str = "the worker exited with code 3", log: str | None = None) -> Record:
    return Record(
        case=case, status="failed", reason=reason, log=log, costs=COSTS, environment=fingerprint(ENVIRONMENT)
    )
