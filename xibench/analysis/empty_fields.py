"""Fields of a record that stay null on this machine, with the reason and what is needed to fill them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from xibench.measure.conditions import Conditions
    from xibench.measure.nvml import Monitor

CARD: Final = "an NVIDIA GPU with its driver; a container must be started with access to the GPU and NVML"
BARE_METAL: Final = "a physical machine instead of a virtual one"
READABLE_PROC: Final = "a /proc that this user can read"
NEWER_CARD: Final = "a GPU and driver that report it"

GPU_CONDITIONS: Final = (
    "sm_clock_hz", "memory_clock_hz", "throttle_reasons", "temperature_celsius", "power_watts", "power_limit_watts",
    "foreign_processes",
)  # fmt: skip
"""Fields of `xibench.record.schema.GpuConditions` that some GPUs do not report."""

FILLED_BY: Final = {
    "load_1m": READABLE_PROC,
    "others_share": READABLE_PROC,
    "steal_share": READABLE_PROC,
    "cpu_hz": f"{BARE_METAL}, or a kernel whose /proc/cpuinfo reports the clock",
    "governor": f"{BARE_METAL}, which has cpufreq",
    "throttle_count": f"{BARE_METAL}, with a processor whose thermal events the kernel counts, such as Intel's",
    "gpu_counter_joules": "an NVIDIA GPU with an energy counter (Volta or newer) and its driver",
    "gpu_integrated_joules": "an NVIDIA GPU that reports its power, and its driver",
    "gpu_watts": "an NVIDIA GPU that reports its power, and its driver",
    "cpu_package_joules": f"{BARE_METAL}, and permission to read /sys/class/powercap/intel-rapl:*/energy_uj",
    "cpu_package_watts": f"{BARE_METAL}, and permission to read /sys/class/powercap/intel-rapl:*/energy_uj",
    "device_peak_allocated_bytes": "a framework that sees a GPU",
    "device_peak_reserved_bytes": "a framework that sees a GPU",
    "device_process_bytes": CARD,
    "device_steps_s": "PyTorch on a GPU, where steps are also timed with CUDA events",
} | dict.fromkeys(GPU_CONDITIONS, NEWER_CARD)
"""Field of a record -> what is needed to fill it."""


class EmptyFields(msgspec.Struct, frozen=True, kw_only=True):
    """Fields that are null in every record of this machine for the same reason."""

    fields: list[str]
    why: str  # the reason
    filled_by: str  # what is needed to fill them


def empty_fields(conditions: Conditions, monitor: Monitor, devices: Iterable[str]) -> list[EmptyFields]:
    """Find the fields of a record that stay null on this machine.

    Args:
        conditions: The machine's current conditions.
        monitor: Access to NVML.
        devices: Devices that any framework sees: `cpu`, `cuda`.

    Returns:
        The fields, grouped by the reason and by what is needed to fill them.
    """
    missing = [
        *((field, why) for field, why in conditions.absent.items() if field in FILLED_BY),
        *_cards(conditions),
        *_device(monitor, devices),
        *_energy(monitor),
    ]
    groups: dict[tuple[str, str], list[str]] = {}
    for field, why in missing:
        cure = CARD if not conditions.gpus and field in GPU_CONDITIONS else FILLED_BY[field]
        groups.setdefault((why, cure), []).append(field)
    return [EmptyFields(fields=fields, why=why, filled_by=cure) for (why, cure), fields in groups.items()]


def _cards(conditions: Conditions) -> list[tuple[str, str]]:
    """Return all GPU fields if there is no GPU, otherwise those that a GPU does not report, each with its reason."""
    if not conditions.gpus:
        return [(field, conditions.absent["gpus"]) for field in GPU_CONDITIONS]
    return [
        (field, f"card {gpu.index}: {why}")
        for gpu in conditions.gpus
        for field, why in gpu.absent.items()
        if field in FILLED_BY
    ]


def _device(monitor: Monitor, devices: Iterable[str]) -> list[tuple[str, str]]:
    missing = []
    if "cuda" not in set(devices):
        fields = ("device_peak_allocated_bytes", "device_peak_reserved_bytes", "device_steps_s")
        missing += [(field, "no framework sees a GPU") for field in fields]
    if monitor.absent is not None:
        missing.append(("device_process_bytes", monitor.absent))
    return missing


def _energy(monitor: Monitor) -> list[tuple[str, str]]:
    from xibench.measure.energy import Rapl
    from xibench.measure.nvml import NoNvml

    missing = []
    for fields, ask in (
        (("gpu_counter_joules",), monitor.energy_joules),
        (("gpu_integrated_joules", "gpu_watts"), monitor.power_watts),
    ):
        try:
            ask()
        except NoNvml as error:
            missing += [(field, str(error)) for field in fields]
    rapl, absent = Rapl(), dict[str, str]()
    rapl.begin()
    if rapl.joules(absent) is None:
        missing += [(field, absent["cpu_package_joules"]) for field in ("cpu_package_joules", "cpu_package_watts")]
    return missing
