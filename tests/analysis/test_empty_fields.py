from __future__ import annotations

import itertools

import msgspec
from msgspec.structs import replace

from tests.cli.test_doctor import CARD, QUIET
from xibench.analysis.empty_fields import BARE_METAL, FILLED_BY, GPU_CONDITIONS, EmptyFields, empty_fields
from xibench.measure.conditions import GpuConditions as MeasuredGpu
from xibench.measure.nvml import Monitor, NoNvml
from xibench.record.schema import Conditions, Energy, GpuConditions, Idle, Memory, Process, Steps

NO_CARD = "no NVIDIA device"


class NoCards(Monitor):
    """The monitor of a machine without NVML."""

    def __init__(self) -> None:
        self.absent = NO_CARD

    def power_watts(self) -> float:
        raise NoNvml(NO_CARD)

    def energy_joules(self) -> float:
        raise NoNvml(NO_CARD)


class OldCard(Monitor):
    """A card that reports its power and has no energy counter."""

    def __init__(self) -> None:
        self.absent = None

    def power_watts(self) -> float:
        return 75.0

    def energy_joules(self) -> float:
        raise NoNvml("card 0: Not Supported")


def by_field(found: list[EmptyFields]) -> dict[str, EmptyFields]:
    return {field: group for group in found for field in group.fields}


def test_without_a_card_all_gpu_fields_are_listed_with_what_is_needed_to_fill_them() -> None:
    without = replace(QUIET, gpus=[], absent={"gpus": NO_CARD})
    found = by_field(empty_fields(without, NoCards(), ["cpu"]))
    energy = {"gpu_counter_joules", "gpu_integrated_joules", "gpu_watts"}
    memory = {"device_peak_allocated_bytes", "device_peak_reserved_bytes", "device_process_bytes"}
    expected = {*GPU_CONDITIONS, *energy, *memory, "device_steps_s"}
    assert expected <= set(found)
    assert all(found[field].why in (NO_CARD, "no framework sees a GPU") for field in expected)
    assert all("GPU" in found[field].filled_by or "NVIDIA" in found[field].filled_by for field in expected)


def test_fields_that_a_virtual_machine_does_not_have_require_a_physical_one() -> None:
    virtual = replace(QUIET, cpu_hz=None, governor=None, absent={"cpu_hz": "no cpu MHz", "governor": "no cpufreq here"})
    found = by_field(empty_fields(virtual, OldCard(), ["cuda"]))
    assert found["governor"].why == "no cpufreq here"
    assert BARE_METAL in found["governor"].filled_by
    assert BARE_METAL in found["cpu_hz"].filled_by


def test_only_fields_that_this_card_does_not_report_are_listed() -> None:
    silent = replace(CARD, power_limit_watts=None, absent={"power_limit_watts": "Not Supported"})
    found = by_field(empty_fields(replace(QUIET, gpus=[silent]), OldCard(), ["cpu", "cuda"]))
    assert found["power_limit_watts"].why == "card 0: Not Supported"
    assert found["gpu_counter_joules"].why == "card 0: Not Supported"
    assert not {"sm_clock_hz", "gpu_integrated_joules", "device_steps_s", "device_process_bytes"} & set(found)


def test_every_listed_name_is_a_field_of_a_record() -> None:
    types = (Conditions, GpuConditions, Energy, Idle, Memory, Process, Steps)
    known = set(itertools.chain.from_iterable((f.name for f in msgspec.structs.fields(one)) for one in types))
    assert set(FILLED_BY) <= known
    assert set(GPU_CONDITIONS) == {f.name for f in msgspec.structs.fields(MeasuredGpu)} - {"index", "absent"}
