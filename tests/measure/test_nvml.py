"""GPUs seen through the real nvidia-ml-py, which loads a stand-in library that the tests compile."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from xibench.measure import nvml

Program = Callable[[str], Any]

READ = """
import msgspec
with Monitor() as monitor:
    print(json.dumps([msgspec.structs.asdict(reading) for reading in monitor.read(own=(11,))]))
"""


@pytest.mark.skipif(nvml.count() > 0, reason="there is an NVIDIA GPU")
def test_without_a_gpu_there_is_a_reason() -> None:
    with pytest.raises(nvml.NoNvml, match=r"no NVIDIA device|not installed"):
        nvml.cards()
    with nvml.Monitor() as monitor:
        assert monitor.read() == []
        assert "no NVIDIA device" in (monitor.absent or "")
        with pytest.raises(nvml.NoNvml, match="no NVIDIA device"):
            monitor.power_watts()


@pytest.mark.gpu
@pytest.mark.skipif(nvml.count() == 0, reason="there is no NVIDIA GPU")
def test_a_real_gpu_is_described() -> None:
    card = nvml.cards()[0]
    assert card.name
    assert card.memory_bytes > 2**30
    with nvml.Monitor() as monitor:
        reading = monitor.read()[0]
        assert reading.sm_clock_hz is not None
        assert reading.sm_clock_hz > 1e8
        assert monitor.power_watts() > 1


def test_gpus_are_listed_with_their_memory_and_power_limit(with_cards: Program) -> None:
    listed = with_cards("""
import msgspec
from xibench.measure import nvml
cards(whole, without(whole, "limit_mw"))
print(json.dumps([nvml.count(), *(msgspec.to_builtins(card) for card in nvml.cards())]))
""")
    count, first, second = listed
    assert count == 2
    assert first == {
        "name": "Stand-in 0", "memory_bytes": 2**34, "driver": "555.42", "power_limit_watts": 700.0,
    }  # fmt: skip
    assert second["power_limit_watts"] is None


def test_a_gpu_that_reports_everything_is_read_in_si_units(with_cards: Program) -> None:
    (reading,) = with_cards("cards(whole)" + READ)
    assert reading == {
        "index": 0, "sm_clock_hz": 1.98e9, "memory_clock_hz": 2.619e9, "throttle_reasons": [],
        "temperature_celsius": 41.0, "power_watts": 120.0, "power_limit_watts": 700.0,
        "foreign_processes": 0, "absent": {},
    }  # fmt: skip


def test_what_a_gpu_does_not_report_is_null_with_nvmls_reason(with_cards: Program) -> None:
    (reading,) = with_cards('cards({"sm_mhz": 1000})' + READ)
    assert reading["sm_clock_hz"] == 1e9
    unknown = {name for name, value in reading.items() if value is None}
    assert unknown == {
        "memory_clock_hz", "throttle_reasons", "temperature_celsius", "power_watts", "power_limit_watts",
        "foreign_processes",
    }  # fmt: skip
    assert reading["absent"] == dict.fromkeys(unknown, "NVML: Not Supported")


def test_an_older_driver_reports_average_power(with_cards: Program) -> None:
    (reading,) = with_cards('cards(without(whole, "instant_mw"))' + READ)
    assert reading["power_watts"] == 90.0


def test_throttle_reasons_have_nvmls_names_without_idle(with_cards: Program) -> None:
    (reading,) = with_cards("cards(whole | {'reasons': 0x1 | 0x4 | 0x40 | 0x8000})" + READ)
    assert reading["throttle_reasons"] == ["SwPowerCap", "HwThermalSlowdown", "unknown 0x8000"]


def test_only_processes_outside_the_run_are_foreign(with_cards: Program) -> None:
    (reading,) = with_cards("cards(whole | {'processes': 2, 'pid0': 11, 'pid1': 12})" + READ)
    assert reading["foreign_processes"] == 1


@pytest.mark.parametrize(
    ("visible", "indices"),
    [("1", [1]), ("2,0", [0, 2]), ("GPU-1", [1]), ("0,7,1", [0]), ("MIG-1/2", [0, 1, 2]), ("", []), ("-1", [])],
)
def test_gpus_that_cuda_may_not_use_are_ignored(visible: str, indices: list[int], with_cards: Program) -> None:
    program = f"""
os.environ["CUDA_VISIBLE_DEVICES"] = {visible!r}
from xibench.measure import nvml
cards(whole, whole | {{"instant_mw": 130000}}, whole | {{"instant_mw": 150000}})
with Monitor() as monitor:
    readings = monitor.read()
    power = monitor.power_watts() if readings else monitor.absent
print(json.dumps([[reading.index for reading in readings], power, nvml.count()]))
"""
    watts = [120.0, 130.0, 150.0]
    power = sum(watts[i] for i in indices) if indices else "no NVIDIA device: CUDA_VISIBLE_DEVICES hides 3"
    assert with_cards(program) == [indices, power, len(indices)]


def test_numbers_in_an_order_unknown_to_nvml_hide_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    handles = {0: "first", 1: "second"}
    uuids: dict[object, str] = {"first": "GPU-a", "second": "GPU-b"}
    monkeypatch.setenv("CUDA_DEVICE_ORDER", "FASTEST_FIRST")
    assert nvml.visible_cards("0", handles, lambda _: "") == [0, 1]
    assert nvml.visible_cards("GPU-b", handles, uuids.__getitem__) == [1]
    monkeypatch.setenv("CUDA_DEVICE_ORDER", "PCI_BUS_ID")
    assert nvml.visible_cards("0", handles, lambda _: "") == [0]


def test_the_memory_of_a_process_is_summed_over_gpus(with_cards: Program) -> None:
    program = """
from xibench.measure import nvml
cards(*[whole | {"processes": 2, "pid0": 11, "pid1": 12}] * 2)
try:
    nvml.process_bytes(99)
except NoNvml as error:
    print(json.dumps([nvml.process_bytes(11), str(error)]))
"""
    bytes_held, reason = with_cards(program)
    assert bytes_held == 2 * 2**30
    assert "does not list this process" in reason


def test_a_gpu_that_falls_off_the_bus_has_a_reason_and_the_other_one_is_still_read(with_cards: Program) -> None:
    program = """
import msgspec
cards(whole, whole)
with Monitor() as monitor:
    before = monitor.power_watts()
    cards(whole, {"lost": 1})
    after = monitor.read()
    try:
        monitor.energy_joules()
    except NoNvml as error:
        print(json.dumps([before, *map(msgspec.structs.asdict, after), str(error)]))
"""
    before, first, second, reason = with_cards(program)
    assert before == 240.0
    assert first["sm_clock_hz"] == 1.98e9
    assert second["sm_clock_hz"] is None
    assert second["absent"]["sm_clock_hz"] == "NVML: GPU is lost"
    assert reason == "card 1: NVML: GPU is lost"


def test_a_gpu_lost_before_the_monitor_opened_is_listed_with_the_reason(with_cards: Program) -> None:
    first, second = with_cards('cards({"lost": 1}, whole)' + READ)
    assert first["absent"]["power_watts"] == "NVML: GPU is lost"
    assert second["power_watts"] == 120.0


def test_listing_gpus_fails_with_a_reason_if_one_is_lost(with_cards: Program) -> None:
    program = """
from xibench.measure import nvml
cards({"lost": 1})
try:
    nvml.cards()
except NoNvml as error:
    print(json.dumps(str(error)))
"""
    assert with_cards(program) == "card 0: NVML: GPU is lost"


def test_without_a_driver_there_are_no_gpus_and_a_closed_monitor_has_a_reason(with_cards: Program) -> None:
    program = """
from xibench.measure import nvml
none = (nvml.count(), Monitor().absent)
cards(whole)
monitor = Monitor()
monitor.close()
monitor.close()
print(json.dumps([*none, monitor.read(), monitor.absent]))
"""
    assert with_cards(program) == [0, "no NVIDIA device: Driver Not Loaded", [], "NVML was closed"]
