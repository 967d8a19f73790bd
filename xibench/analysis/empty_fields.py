"""Which fields of a record stay null on this machine, why, and what would fill them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from xibench.measure.conditions import Conditions
    from xibench.measure.nvml import Monitor

CARD: Final = "an NVIDIA card with its driver; in a container, one that is started with the card and with NVML"
BARE_METAL: Final = "the machine itself instead of a virtual one"
READABLE_PROC: Final = "a /proc that this user can read"
NEWER_CARD: Final = "a card and a driver that tell it"

GPU_CONDITIONS: Final = (
    "sm_clock_hz", "memory_clock_hz", "throttle_reasons", "temperature_celsius", "power_watts", "power_limit_watts",
    "foreign_processes",
)  # fmt: skip
"""The fields of `xibench.record.schema.GpuConditions` that a card may not tell."""

FILLED_BY: Final = {
    "load_1m": READABLE_PROC,
    "others_share": READABLE_PROC,
    "steal_share": READABLE_PROC,
    "cpu_hz": f"{BARE_METAL}, or a kernel whose /proc/cpuinfo tells the clock",
    "governor": f"{BARE_METAL}: cpufreq is there",
    "throttle_count": f"{BARE_METAL}, with a processor whose thermal events the kernel counts, such as Intel's",
    "gpu_counter_joules": "an NVIDIA card with an energy counter (Volta or newer) and its driver",
    "gpu_integrated_joules": "an NVIDIA card that tells its power, and its driver",
    "gpu_watts": "an NVIDIA card that tells its power, and its driver",
    "cpu_package_joules": f"{BARE_METAL}, and leave to read /sys/class/powercap/intel-rapl:*/energy_uj",
    "cpu_package_watts": f"{BARE_METAL}, and leave to read /sys/class/powercap/intel-rapl:*/energy_uj",
    "device_peak_allocated_bytes": "a framework that sees a GPU",
    "device_peak_reserved_bytes": "a framework that sees a GPU",
    "device_process_bytes": CARD,
    "device_steps_s": "PyTorch on a GPU: its steps are timed by CUDA events, too",
} | dict.fromkeys(GPU_CONDITIONS, NEWER_CARD)
"""What would fill a field of a record, whatever the reason that it is null for."""


class EmptyFields(msgspec.Struct, frozen=True, kw_only=True):
    """Fields that every record of this machine will have as null, for one reason."""

    fields: list[str]
    why: str
    filled_by: str


def empty_fields(conditions: Conditions, monitor: Monitor, devices: Iterable[str]) -> list[EmptyFields]:
    """All of them, grouped by reason and cure.

    conditions: as read just now. devices: that any framework sees.
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
    """All of a card's fields where there is none, else what the cards do not tell."""
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
