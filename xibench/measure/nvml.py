"""What NVIDIA's management library says about the cards and about this process on them. Works without any card."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType


class NoNvml(Exception):
    """There is no NVML here, or it does not answer; the message says why."""


@dataclass(frozen=True, slots=True)
class Card:
    """One NVIDIA device."""

    name: str
    memory_bytes: int
    driver: str
    power_limit_watts: float | None  # None: the card does not tell


def cards() -> tuple[Card, ...]:
    """Every card of the machine, in NVML's order. Raises NoNvml with the reason."""
    with _session() as nvml:
        driver = _text(nvml.nvmlSystemGetDriverVersion())
        return tuple(_card(nvml, handle, driver) for handle in _handles(nvml))


def count() -> int:
    """How many cards there are; 0 without NVML."""
    try:
        with _session() as nvml:
            return int(nvml.nvmlDeviceGetCount())
    except NoNvml:
        return 0


def process_bytes(pid: int) -> int:
    """Memory that a process holds on all cards together, in bytes.

    Raises NoNvml if there is none, or if it does not list the process (in a container it may not see process ids).
    """
    with _session() as nvml:
        used = [
            process.usedGpuMemory
            for handle in _handles(nvml)
            for process in nvml.nvmlDeviceGetComputeRunningProcesses(handle)
            if process.pid == pid
        ]
    if not used or None in used:
        raise NoNvml("NVML does not list this process; inside a container it often cannot")
    return sum(used)


@contextmanager
def _session() -> Iterator[ModuleType]:
    try:
        import pynvml
    except ModuleNotFoundError:
        raise NoNvml("nvidia-ml-py is not installed") from None
    try:
        pynvml.nvmlInit()
        try:
            yield pynvml
        finally:
            pynvml.nvmlShutdown()
    except pynvml.NVMLError as error:
        raise NoNvml(f"no NVIDIA device: {error}") from None


def _handles(nvml: ModuleType) -> list[object]:
    return [nvml.nvmlDeviceGetHandleByIndex(index) for index in range(nvml.nvmlDeviceGetCount())]


def _card(nvml: ModuleType, handle: object, driver: str) -> Card:
    return Card(
        name=_text(nvml.nvmlDeviceGetName(handle)),
        memory_bytes=int(nvml.nvmlDeviceGetMemoryInfo(handle).total),
        driver=driver,
        power_limit_watts=_power_limit(nvml, handle),
    )


def _power_limit(nvml: ModuleType, handle: object) -> float | None:
    try:
        return float(nvml.nvmlDeviceGetEnforcedPowerLimit(handle)) / 1000  # NVML counts milliwatts
    except nvml.NVMLError:
        return None


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value
