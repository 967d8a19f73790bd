"""NVIDIA's management library (NVML): state of the GPUs and of processes on them. Works on machines without a GPU."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager, closing, suppress
from types import ModuleType
from typing import Any, Final, TypeVar

import msgspec

Value = TypeVar("Value")

IDLE: Final = 0x1
IN_ORDER: Final = "PCI_BUS_ID"
REASONS: Final = {  # bits of nvmlClocksEventReasons (nvml.h), without the bit for an idle GPU
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
    """NVML is missing or does not answer; the message is the reason."""


class Gpu(msgspec.Struct, frozen=True, kw_only=True):
    """One NVIDIA device, read through NVML."""

    name: str
    memory_bytes: int
    driver: str  # version
    power_limit_watts: float | None  # null: the GPU does not report it


class Reading(msgspec.Struct, frozen=True):
    """One GPU at one moment. A field that it does not report is None, with the reason under its name in `absent`."""

    index: int
    sm_clock_hz: float | None
    memory_clock_hz: float | None
    throttle_reasons: list[str] | None  # NVML's names of what limits the clock rates, without "idle"
    temperature_celsius: float | None
    power_watts: float | None
    power_limit_watts: float | None
    foreign_processes: int | None  # compute processes on the GPU that do not belong to the run
    absent: dict[str, str]


class Monitor(AbstractContextManager["Monitor"]):
    """The GPUs that CUDA may use, kept open for repeated readings. Its methods raise nothing but NoNvml.

    A context manager; `close` shuts NVML down. Creating a Monitor never fails: without a GPU, `absent` is the reason.

    Args:
        visible: The value of CUDA_VISIBLE_DEVICES; None: the environment's. GPUs that it hides are not part of the
            run: neither their energy nor the processes on them are read. Its numbers are NVML's, because workers number
            GPUs in PCI bus order as NVML does.

    Attributes:
        absent: Why there is no GPU to read; None if there is one.
        handles: NVML's handles by index; the reason as a string for a GPU without a handle.
    """

    def __init__(self, visible: str | None = None) -> None:
        self.absent: str | None = None
        self._nvml: ModuleType | None = None
        self.handles: dict[int, object] = {}
        try:
            import pynvml
        except ModuleNotFoundError:
            self.absent = "nvidia-ml-py is not installed"
            return
        nvml: ModuleType = pynvml
        try:
            nvml.nvmlInit()
            self._nvml = nvml
            found = {index: _handle(nvml, index) for index in range(nvml.nvmlDeviceGetCount())}
        except nvml.NVMLError as error:
            self.absent = f"no NVIDIA device: {error}"
            return
        visible = os.environ.get("CUDA_VISIBLE_DEVICES") if visible is None else visible
        self.handles = {i: found[i] for i in visible_cards(visible, found, lambda handle: _uuid(nvml, handle))}
        if not self.handles:
            reason = f"CUDA_VISIBLE_DEVICES hides {len(found)}" if found else "NVML lists none"
            self.absent = f"no NVIDIA device: {reason}"

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Shut NVML down; later readings fail with the reason that it is closed. Closing twice has no effect."""
        if self._nvml is None:
            return
        with suppress(self._nvml.NVMLError):  # a lost GPU may make even this fail; there is nothing left to release
            self._nvml.nvmlShutdown()
        self._nvml = None
        self.handles = {}
        self.absent = self.absent or "NVML was closed"

    def read(self, own: Collection[int] = ()) -> list[Reading]:
        """Read every visible GPU, in NVML's order; empty if there is none (`absent` is the reason).

        Args:
            own: Ids of the run's processes, which do not count as foreign.
        """
        return [_reading(self._nvml, index, handle, own) for index, handle in self.handles.items() if self._nvml]

    def power_watts(self) -> float:
        """Return the power of all visible GPUs in watts: instantaneous if the driver reports it, else an average.

        Raises:
            NoNvml: A GPU does not report its power; the message names the GPU and the reason.
        """
        return sum(self.every(_power_watts))

    def energy_joules(self) -> float:
        """Return the energy counter of all visible GPUs in joules since the driver was loaded.

        Raises:
            NoNvml: A GPU has no such counter; the message names the GPU and the reason.
        """
        return sum(self.every(_energy_joules))

    def every(self, ask: Callable[[ModuleType, object], Value]) -> list[Value]:
        """Ask every visible GPU and return the answers, in NVML's order.

        Args:
            ask: Takes the nvml module and a handle.

        Raises:
            NoNvml: There is no GPU, or one does not answer; the message names it and the reason.
        """
        if self._nvml is None or not self.handles:
            raise NoNvml(self.absent or "NVML was closed")
        values = []
        for index, handle in self.handles.items():
            try:
                values.append(_answer(self._nvml, handle, ask))
            except NoNvml as error:
                raise NoNvml(f"card {index}: {error}") from None
        return values


def cards() -> tuple[Gpu, ...]:
    """Describe every GPU that CUDA may use, in NVML's order.

    Raises:
        NoNvml: There is no such GPU, or one does not answer; the message is the reason.
    """
    with closing(Monitor()) as monitor:
        if monitor.absent is not None:
            raise NoNvml(monitor.absent)
        return tuple(monitor.every(_card))


def count() -> int:
    """Return how many GPUs CUDA may use; 0 without NVML."""
    with closing(Monitor()) as monitor:
        return len(monitor.handles)


def driver_is_loadable() -> bool:
    """Whether the CUDA driver's library can be loaded; some machines with a GPU, such as Jetson, have no NVML."""
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    return True


def process_bytes(pid: int) -> int:
    """Return the memory of a process on all visible GPUs together, in bytes.

    Raises:
        NoNvml: There is no NVML, or it does not list the process (in a container it may not see process ids).
    """
    with closing(Monitor()) as monitor:
        listed = monitor.every(lambda nvml, handle: nvml.nvmlDeviceGetComputeRunningProcesses(handle))
    used = [process.usedGpuMemory for processes in listed for process in processes if process.pid == pid]
    if not used or None in used:
        raise NoNvml("NVML does not list this process; inside a container it often cannot")
    return sum(used)


def visible_cards(
    visible: str | None, handles: Mapping[int, object], uuid: Callable[[object], str]
) -> list[int]:
    """Return the indices of the GPUs that CUDA may use, in NVML's order.

    Args:
        visible: CUDA_VISIBLE_DEVICES, None if it is not set: numbers or prefixes of UUIDs, up to the first entry that
            matches no GPU, as CUDA reads it. No GPU is hidden if the value cannot be mapped to NVML's GPUs: parts of a
            GPU (MIG), and numbers if CUDA_DEVICE_ORDER is not PCI_BUS_ID, because NVML does not know CUDA's order by
            speed.
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


def _uuid(nvml: ModuleType, handle: object) -> str:
    """Return the UUID of a GPU; empty if it does not answer."""
    try:
        return _answer(nvml, handle, lambda n, h: _text(n.nvmlDeviceGetUUID(h)))
    except NoNvml:
        return ""


def _handle(nvml: ModuleType, index: int) -> object:
    """Return NVML's handle of a GPU, or as a string the reason why there is none."""
    try:
        return nvml.nvmlDeviceGetHandleByIndex(index)
    except nvml.NVMLError as error:
        return f"NVML: {error}"


def _answer(nvml: ModuleType, handle: object, ask: Callable[[ModuleType, object], Value]) -> Value:
    """Return what a GPU answers. Raises NoNvml with NVML's reason, for instance that the GPU is lost."""
    if isinstance(handle, str):
        raise NoNvml(handle)
    try:
        return ask(nvml, handle)
    except nvml.NVMLError as error:
        raise NoNvml(f"NVML: {error}") from None


def _reading(nvml: ModuleType, index: int, handle: object, own: Collection[int]) -> Reading:
    """Read one GPU."""
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


def _card(nvml: ModuleType, handle: object) -> Gpu:
    """Describe one GPU."""
    try:
        power_limit = _power_limit_watts(nvml, handle)
    except nvml.NVMLError:
        power_limit = None
    return Gpu(
        name=_text(nvml.nvmlDeviceGetName(handle)),
        memory_bytes=int(nvml.nvmlDeviceGetMemoryInfo(handle).total),
        driver=_text(nvml.nvmlSystemGetDriverVersion()),
        power_limit_watts=power_limit,
    )


def _clock_hz(nvml: ModuleType, handle: object, kind: int) -> float:
    return float(nvml.nvmlDeviceGetClockInfo(handle, kind)) * 1e6  # NVML counts MHz


def _power_limit_watts(nvml: ModuleType, handle: object) -> float:
    return float(nvml.nvmlDeviceGetEnforcedPowerLimit(handle)) / 1000  # NVML counts milliwatts


def _energy_joules(nvml: ModuleType, handle: object) -> float:
    return float(nvml.nvmlDeviceGetTotalEnergyConsumption(handle)) / 1000  # NVML counts millijoules


def _power_watts(nvml: ModuleType, handle: object) -> float:
    """Prefer the instantaneous power: from Ampere on nvmlDeviceGetPowerUsage is the mean over the last second."""
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
    except nvml.NVMLError_FunctionNotFound:  # drivers before 535 use the older name
        bits = int(nvml.nvmlDeviceGetCurrentClocksThrottleReasons(handle))
    known = [name for bit, name in REASONS.items() if bits & bit]
    unknown = bits & ~(IDLE | sum(REASONS))
    return [*known, f"unknown {unknown:#x}"] if unknown else known


def _foreign_processes(nvml: ModuleType, handle: object, own: Collection[int]) -> int:
    return len({process.pid for process in nvml.nvmlDeviceGetComputeRunningProcesses(handle)} - set(own))


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value
