"""The report of `xibench doctor`: frameworks, machine, conditions, problems with their cures, and empty fields.

No framework is imported here: each is probed in a short process of the interpreter that would run it.
"""

from __future__ import annotations

import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

import msgspec

from xibench.analysis.empty_fields import EmptyFields, empty_fields
from xibench.analysis.findings import (
    BF16_FLAGS,
    Finding,
    disturbance_findings,
    framework_findings,
    machine_findings,
    temporary_folder_findings,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from xibench.measure.conditions import Conditions, GpuConditions
    from xibench.record.schema import Environment

WATCH_S: Final = 0.5  # interval, in seconds, over which CPU use of other programs is measured


class FrameworkState(msgspec.Struct, frozen=True, kw_only=True):
    """One framework as probed in its own interpreter."""

    name: str
    interpreter: str  # path of the Python that its workers run in
    versions: dict[str, str | None]  # distribution -> version; null: not installed there
    devices: list[str]  # cpu, cuda
    recipes: dict[str, list[tuple[str, str]]]  # on the best device: recipe -> its settings, each with a reason
    problem: str | None  # one line; null if the framework works


class Fact(msgspec.Struct, frozen=True, kw_only=True):
    """One property of the machine, formatted for users."""

    name: str
    value: str


class DoctorReport(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that `xibench doctor` reports."""

    frameworks: list[FrameworkState]
    facts: list[Fact]
    conditions: dict[str, object]  # current conditions, in the form in which a run records them
    findings: list[Finding]
    empty: list[EmptyFields]
    fit: bool  # whether a framework works and nothing disturbs a run that starts now
    conclusion: str  # the same as a sentence, with what to do


def diagnose() -> DoctorReport:
    """Examine the frameworks and the machine. Takes WATCH_S plus the time of the slowest framework's import."""
    from frameworks.api import FRAMEWORKS
    from frameworks.process import programs_folder
    from xibench.measure import conditions
    from xibench.measure.loop import MonotonicClock
    from xibench.measure.nvml import Monitor
    from xibench.record.environment import read

    environment = read()
    with Monitor() as monitor:
        # Read the conditions before the frameworks start, because these load the machine themselves.
        now = conditions.read(WATCH_S, monitor, MonotonicClock())
        with ThreadPoolExecutor() as pool:
            states = list(pool.map(ask_framework, FRAMEWORKS))
        empty = empty_fields(now, monitor, [device for state in states for device in state.devices])
    sample_images, image_findings = _sample_images()
    disturbing = list(disturbance_findings(now))
    fit, sentence = conclusion(states, disturbing)
    toolchain = next((why for framework in FRAMEWORKS.values() if (why := framework.missing_toolchain())), None)
    return DoctorReport(
        frameworks=states,
        facts=[*_facts(environment), Fact(name="photographs", value=sample_images), *condition_facts(now)],
        conditions=msgspec.to_builtins(now),
        findings=[
            *(finding for state in states for finding in framework_findings(state, bool(environment.gpus))),
            *machine_findings(environment, toolchain, shutil.disk_usage(".").free),
            *temporary_folder_findings(tempfile.gettempdir(), programs_folder()),
            *disturbing,
            *image_findings,
        ],
        empty=empty,
        fit=fit,
        conclusion=sentence,
    )


def conclusion(states: Sequence[FrameworkState], disturbing: Sequence[Finding]) -> tuple[bool, str]:
    """Say whether this machine is fit to measure now.

    Args:
        states: The frameworks.
        disturbing: What would disturb a run that starts now.

    Returns:
        Whether it is fit, and a sentence that says so or names what to do.
    """
    from xibench.record.format import listing

    working = [state.name for state in states if state.problem is None]
    if not working:
        return False, "Not fit to measure: no framework works here; the findings above name the remedies."
    if disturbing:
        found = "; ".join(f"{finding.what}: {finding.cure}" for finding in disturbing)
        return False, f"Not fit to measure now: {found}."
    devices = sorted({device for state in states for device in state.devices})
    works = "works" if len(working) == 1 else "work"
    return True, f"Fit to measure: {listing(working)} {works} here, on {listing(devices)}, and nothing disturbs now."


def ask_framework(name: str) -> FrameworkState:
    """Probe a framework in its own interpreter for its versions, devices and recipes."""
    from xibench.workers.probe import probe
    from xibench.workers.session import interpreter

    found = probe(name)
    problem = " ".join(found.problem.split()) if found.problem else None
    return FrameworkState(
        name=name, interpreter=interpreter(name), versions=found.versions, devices=found.devices,
        recipes=found.recipes, problem=problem,
    )


def condition_facts(now: Conditions) -> list[Fact]:
    """Format the current conditions for users. Unknown values are listed with their cause by `empty_fields`."""
    from xibench.record.format import NONE, count, percent

    values = {
        "load average, 1 min": NONE if now.load_1m is None else f"{now.load_1m:.2f}",
        "others' load": f"{percent(now.others_share)} of the usable cores' time",
        "steal": f"{percent(now.steal_share)} of the usable cores' time",
        "CPU clock": count(now.cpu_hz, "Hz"),
        "governor": now.governor or NONE,
        "throttle events since boot": NONE if now.throttle_count is None else str(now.throttle_count),
    }
    return [*(Fact(name=name, value=value) for name, value in values.items()), *map(_card_fact, now.gpus)]


def _card_fact(gpu: GpuConditions) -> Fact:
    from xibench.record.format import count

    parts = [
        f"SM {count(gpu.sm_clock_hz, 'Hz')}", f"memory {count(gpu.memory_clock_hz, 'Hz')}",
        f"{_whole(gpu.temperature_celsius)} °C", f"{_whole(gpu.power_watts)} of {_whole(gpu.power_limit_watts)} W",
        f"throttled by {', '.join(gpu.throttle_reasons or ()) or 'nothing'}",
        f"foreign processes: {_whole(gpu.foreign_processes)}",
    ]  # fmt: skip
    return Fact(name=f"card {gpu.index}", value=", ".join(parts))


def _whole(value: float | None) -> str:
    from xibench.record.format import NONE

    return NONE if value is None else f"{value:.0f}"


def _facts(environment: Environment) -> list[Fact]:
    from xibench.record.format import size

    bf16 = [flag for flag in BF16_FLAGS if flag in environment.cpu_flags]
    gpus = "; ".join(f"{gpu.name}, {size(gpu.memory_bytes)}, driver {gpu.driver}" for gpu in environment.gpus)
    quota = "" if environment.cpu_quota_cores is None else f", quota {environment.cpu_quota_cores:g} cores"
    set_here = [f"{name}={value}" for name, value in (environment.variables or {}).items()]
    values = {
        "python": environment.python,
        "system": f"{environment.os}, kernel {environment.kernel}",
        "CPU": environment.processor,
        "cores": f"{environment.cores_usable} usable of {environment.cores_logical} logical{quota}",
        "bf16 on the CPU": ", ".join(bf16) or "emulated",
        "memory": size(environment.memory_bytes),
        "GPU": gpus or environment.absent.get("gpus", "none"),
        "variables": ", ".join(set_here) or "none that changes speed",
        "disk free here": size(shutil.disk_usage(".").free),
    }
    return [Fact(name=name, value=value) for name, value in values.items()]


def _sample_images() -> tuple[str, list[Finding]]:
    """Return the names of the sample images, and a finding if they are unavailable."""
    from xibench.errors import InputError
    from xibench.workers.inputs import read_images

    try:
        return ", ".join(read_images("sample", 1).files), []
    except InputError as error:
        return "none", [Finding(
            what=str(error),
            effect="`--images sample`, the default, cannot be used",
            cure="`pip install scikit-learn`, or use your own images with `--images DIR`",
        )]
