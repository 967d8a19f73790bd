"""NVIDIA's management library (NVML): the cards, and this process on them. Works without any card."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType, TracebackType
from typing import Any, Final, TypeVar

import msgspec

Value = TypeVar("Value")

IDLE: Final = 0x1
IN_ORDER: Final = "PCI_BUS_ID"
REASONS: Final = {  # bits of nvmlClocksEventReasons (nvml.h), without the one that says that the card is idle
    0x2: "ApplicationsClocksSetting",
    0x4: "SwPowerCap",
    0x8: "HwSlowdown",
    0x10: "SyncBoost",
    0x20: "SwThermalSlowdown",
    0x40: "HwThermalSlowdown",
    0x80: "HwPowerBrakeSlowdown",
    0x100: "DisplayClockSetting",
    0x200: "BoardLimit",
    0x400: "Reliability",
}


class NoNvml(Exception):
    """There is no NVML here, or it does not answer; the message says why."""


class Gpu(msgspec.Struct, frozen=True, kw_only=True):
    """One NVIDIA device, read through NVML."""

    name: str
    memory_bytes: int
    driver: str  # version of the driver
    power_limit_watts: float | None  # null: the card does not report it


@dataclass(frozen=True, slots=True)
class Reading:
    """One card at one moment. What it does not report is None, with the reason under the field's name in `absent`."""

    index: int
    sm_clock_hz: float | None
    memory_clock_hz: float | None
    throttle_reasons: list[str] | None  # NVML's names of what holds the clocks down; idle is not among them
    temperature_celsius: float | None
    power_watts: float | None
    power_limit_watts: float | None
    foreign_processes: int | None  # processes that compute on the card and are not the run's
    absent: dict[str, str]


class Monitor:
    """The cards that CUDA may use, kept open for repeated readings. Its methods raise nothing but NoNvml.

    A context manager; `close` shuts NVML down.

    Args:
        visible: The value of CUDA_VISIBLE_DEVICES; None: the environment's. Cards that it hides are not part of the
            run: neither their energy nor the processes on them are read. Its numbers are NVML's, for workers number
            cards in PCI bus order as NVML does.
    """

    def __init__(self, visible: str | None = None) -> None:
        self.absent: str | None = None  # why there is no card to read; None where there is one
        self._nvml: ModuleType | None = None
        self._handles: dict[int, object] = {}  # by NVML's index; the reason in words where a card gave none
        try:
            self._nvml = _started()
            self._handles = _visible(self._nvml, visible)
            if not self._handles:
                raise NoNvml(_none(self._nvml))
        except NoNvml as error:
            self.absent = str(error)

    def __enter__(self) -> Monitor:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Shut NVML down; later readings say that it is closed. Closing twice does nothing."""
        if self._nvml is not None:
            _stop(self._nvml)
            self._nvml = None
            self._handles = {}
            self.absent = self.absent or "NVML was closed"

    def read(self, own: Collection[int] = ()) -> list[Reading]:
        """Read every visible card, in NVML's order; empty where there is none (`absent` says why).

        Args:
            own: Ids of the run's processes, which are not foreign.
        """
        return [_reading(self._nvml, index, handle, own) for index, handle in self._handles.items() if self._nvml]

    def power_watts(self) -> float:
        """Return the power of all visible cards in watts: instantaneous if the driver reports it, else an average.

        Raises:
            NoNvml: With the card and the reason, unless every card reports its power.
        """
        return sum(self._every(_power_watts))

    def energy_joules(self) -> float:
        """Return the energy counter of all visible cards, in joules since the driver was loaded.

        Raises:
            NoNvml: With the card and the reason, unless every card has such a counter.
        """
        return sum(self._every(_energy_joules))

    def _every(self, ask: Callable[[ModuleType, object], float]) -> list[float]:
        nvml = self._nvml
        if nvml is None or not self._handles:
            raise NoNvml(self.absent or "NVML was closed")
        values = []
        for index, handle in self._handles.items():
            try:
                values.append(_answer(nvml, handle, ask))
            except NoNvml as error:
                raise NoNvml(f"card {index}: {error}") from None
        return values


def visible_cards(
    visible: str | None, handles: Mapping[int, object], uuid: Callable[[object], str]
) -> list[int]:
    """Return the indices of the cards that CUDA may use, in NVML's order.

    Args:
        visible: CUDA_VISIBLE_DEVICES, None where it is not set: numbers or prefixes of UUIDs, up to the first that
            names no card, as CUDA reads it. Where it cannot be mapped to NVML's cards, none is hidden: parts of a card
            (MIG), and numbers where CUDA_DEVICE_ORDER is not PCI_BUS_ID, as NVML does not know CUDA's fastest card.
        handles: NVML's handles by index.
        uuid: Returns the UUID of a handle.
    """
    other_order = os.environ.get("CUDA_DEVICE_ORDER", IN_ORDER) != IN_ORDER
    if visible is None or "MIG-" in visible or (other_order and any(e.strip().isdigit() for e in visible.split(","))):
        return list(handles)
    uuids: dict[int, str] | None = None
    found = []
    for entry in visible.split(","):
        name = entry.strip()
        if name.isascii() and name.isdigit():
            index = int(name) if int(name) in handles else None
        else:
            uuids = uuids or {i: uuid(handle) for i, handle in handles.items()}
            index = next((i for i, known in uuids.items() if name and known.startswith(name)), None)
        if index is None:
            break
        found.append(index)
    return sorted(set(found))


def _visible(nvml: ModuleType, visible: str | None = None) -> dict[int, object]:
    """The handles of the cards that CUDA may use, by NVML's index; the reason in words where a card gave none."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES") if visible is None else visible
    found = {index: _handle(nvml, index) for index in range(_count(nvml))}
    return {index: found[index] for index in visible_cards(visible, found, lambda handle: _uuid(nvml, handle))}


def _none(nvml: ModuleType) -> str:
    there = _count(nvml)
    return f"no NVIDIA device: CUDA_VISIBLE_DEVICES hides {there}" if there else "no NVIDIA device: NVML lists none"


def _uuid(nvml: ModuleType, handle: object) -> str:
    try:
        return _answer(nvml, handle, lambda n, h: _text(n.nvmlDeviceGetUUID(h)))
    except NoNvml:
        return ""


def cards() -> tuple[Gpu, ...]:
    """Every card that CUDA may use, in NVML's order. Raises NoNvml with the reason."""
    with _session() as nvml:
        driver = _text(nvml.nvmlSystemGetDriverVersion())
        found = tuple(_card(nvml, handle, driver) for handle in _open_handles(nvml))
        if not found:
            raise NoNvml(_none(nvml))
        return found


def count() -> int:
    """How many cards CUDA may use; 0 without NVML."""
    try:
        with _session() as nvml:
            return len(_visible(nvml))
    except NoNvml:
        return 0


def process_bytes(pid: int) -> int:
    """Return the memory of a process on all visible cards together, in bytes.

    Raises:
        NoNvml: If there is no NVML, or it does not list the process (in a container it may not see process ids).
    """
    with _session() as nvml:
        used = [
            process.usedGpuMemory
            for handle in _open_handles(nvml)
            for process in nvml.nvmlDeviceGetComputeRunningProcesses(handle)
            if process.pid == pid
        ]
    if not used or None in used:
        raise NoNvml("NVML does not list this process; inside a container it often cannot")
    return sum(used)


@contextmanager
def _session() -> Iterator[ModuleType]:
    nvml = _started()
    try:
        yield nvml
    except nvml.NVMLError as error:
        raise NoNvml(f"no NVIDIA device: {error}") from None
    finally:
        _stop(nvml)


def _started() -> ModuleType:
    try:
        import pynvml
    except ModuleNotFoundError:
        raise NoNvml("nvidia-ml-py is not installed") from None
    nvml: ModuleType = pynvml
    try:
        nvml.nvmlInit()
    except nvml.NVMLError as error:
        raise NoNvml(f"no NVIDIA device: {error}") from None
    return nvml


def _stop(nvml: ModuleType) -> None:
    """A card that fell off the bus may fail even this; there is nothing left to give back then."""
    try:
        nvml.nvmlShutdown()
    except nvml.NVMLError:
        return


def _count(nvml: ModuleType) -> int:
    try:
        return int(nvml.nvmlDeviceGetCount())
    except nvml.NVMLError as error:
        raise NoNvml(f"no NVIDIA device: {error}") from None


def _open_handles(nvml: ModuleType) -> list[object]:
    """Of the visible cards. Raises NVML's error for a card that is lost."""
    return [nvml.nvmlDeviceGetHandleByIndex(index) for index in _visible(nvml)]


def _handle(nvml: ModuleType, index: int) -> object:
    try:
        return nvml.nvmlDeviceGetHandleByIndex(index)
    except nvml.NVMLError as error:
        return f"NVML: {error}"


def _answer(nvml: ModuleType, handle: object, ask: Callable[[ModuleType, object], Value]) -> Value:
    """What a card answers. Raises NoNvml with NVML's reason, which may be that the card is lost."""
    if isinstance(handle, str):
        raise NoNvml(handle)
    try:
        return ask(nvml, handle)
    except nvml.NVMLError as error:
        raise NoNvml(f"NVML: {error}") from None


def _reading(nvml: ModuleType, index: int, handle: object, own: Collection[int]) -> Reading:
    absent: dict[str, str] = {}

    def ask_for(field: str, ask: Callable[[ModuleType, object], Value]) -> Value | None:
        try:
            return _answer(nvml, handle, ask)
        except NoNvml as error:
            absent[field] = str(error)
            return None

    return Reading(
        index=index,
        sm_clock_hz=ask_for("sm_clock_hz", lambda n, h: _clock_hz(n, h, n.NVML_CLOCK_SM)),
        memory_clock_hz=ask_for("memory_clock_hz", lambda n, h: _clock_hz(n, h, n.NVML_CLOCK_MEM)),
        throttle_reasons=ask_for("throttle_reasons", _throttle_reasons),
        temperature_celsius=ask_for(
            "temperature_celsius", lambda n, h: float(n.nvmlDeviceGetTemperature(h, n.NVML_TEMPERATURE_GPU))
        ),
        power_watts=ask_for("power_watts", _power_watts),
        power_limit_watts=ask_for("power_limit_watts", _power_limit_watts),
        foreign_processes=ask_for("foreign_processes", lambda n, h: _foreign_processes(n, h, own)),
        absent=absent,
    )


def _card(nvml: ModuleType, handle: object, driver: str) -> Gpu:
    try:
        power_limit = _power_limit_watts(nvml, handle)
    except nvml.NVMLError:
        power_limit = None
    return Gpu(
        name=_text(nvml.nvmlDeviceGetName(handle)),
        memory_bytes=int(nvml.nvmlDeviceGetMemoryInfo(handle).total),
        driver=driver,
        power_limit_watts=power_limit,
    )


def _clock_hz(nvml: ModuleType, handle: object, kind: int) -> float:
    return float(nvml.nvmlDeviceGetClockInfo(handle, kind)) * 1e6  # NVML counts MHz


def _power_limit_watts(nvml: ModuleType, handle: object) -> float:
    return float(nvml.nvmlDeviceGetEnforcedPowerLimit(handle)) / 1000  # NVML counts milliwatts


def _energy_joules(nvml: ModuleType, handle: object) -> float:
    return float(nvml.nvmlDeviceGetTotalEnergyConsumption(handle)) / 1000  # NVML counts millijoules


def _power_watts(nvml: ModuleType, handle: object) -> float:
    """From Ampere on nvmlDeviceGetPowerUsage is the mean of the last second: the instantaneous field goes first."""
    try:
        field: Any = nvml.nvmlDeviceGetFieldValues(handle, [nvml.NVML_FI_DEV_POWER_INSTANT])[0]
        if field.nvmlReturn == nvml.NVML_SUCCESS:
            return float(field.value.uiVal) / 1000  # NVML counts milliwatts
    except (nvml.NVMLError_NotSupported, nvml.NVMLError_FunctionNotFound, nvml.NVMLError_InvalidArgument):
        pass  # an older driver
    return float(nvml.nvmlDeviceGetPowerUsage(handle)) / 1000


def _throttle_reasons(nvml: ModuleType, handle: object) -> list[str]:
    try:
        bits = int(nvml.nvmlDeviceGetCurrentClocksEventReasons(handle))
    except nvml.NVMLError_FunctionNotFound:  # drivers before 535 have it under the older name
        bits = int(nvml.nvmlDeviceGetCurrentClocksThrottleReasons(handle))
    known = [name for bit, name in REASONS.items() if bits & bit]
    unknown = bits & ~(IDLE | sum(REASONS))
    return [*known, f"unknown {unknown:#x}"] if unknown else known


def _foreign_processes(nvml: ModuleType, handle: object, own: Collection[int]) -> int:
    return len({process.pid for process in nvml.nvmlDeviceGetComputeRunningProcesses(handle)} - set(own))


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value
