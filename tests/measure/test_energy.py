from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.measure.fake_clock import FakeClock
from xibench.measure import nvml
from xibench.measure.energy import EnergyMeter, Rapl, idle, trapezoids
from xibench.measure.nvml import Monitor

Program = Callable[[str], Any]

no_card = pytest.mark.skipif(nvml.count() > 0, reason="there is an NVIDIA GPU")

WINDOW = """
import msgspec
from xibench.measure.energy import EnergyMeter, idle
clock, nowhere = FakeClock(10.0), Path("/nowhere")

def window(*states, seconds=1.0):
    \"\"\"Step through states of the GPUs, `seconds` apart, with a sample at each.\"\"\"
    cards(*states[0])
    with Monitor() as monitor:
        meter = EnergyMeter(monitor, clock, nowhere)
        meter.begin()
        for state in states[1:]:
            clock.advance(seconds)
            cards(*state)
            meter.sample()
        print(json.dumps(msgspec.to_builtins(meter.end())))
"""


class Zones:
    """A fake powercap folder."""

    def __init__(self, folder: Path, packages: int = 1, range_uj: int = 1_000_000) -> None:
        self.folder = folder
        for n in range(packages):
            self._zone(f"intel-rapl:{n}", f"package-{n}", range_uj)
            self._zone(f"intel-rapl:{n}:0", "core", range_uj)
        self._zone("intel-rapl:9", "psys", range_uj)

    def _zone(self, zone: str, name: str, range_uj: int) -> None:
        (self.folder / zone).mkdir()
        (self.folder / zone / "name").write_text(name + "\n")
        (self.folder / zone / "max_energy_range_uj").write_text(f"{range_uj}\n")
        (self.folder / zone / "energy_uj").write_text("500000\n")

    def counter(self, package: int, microjoules: int) -> None:
        for zone in (f"intel-rapl:{package}", f"intel-rapl:{package}:0", "intel-rapl:9"):  # the parts and the whole too
            (self.folder / zone / "energy_uj").write_text(f"{microjoules}\n")


def joules(rapl: Rapl) -> tuple[float | None, str | None]:
    absent: dict[str, str] = {}
    rapl.sample()
    return rapl.joules(absent), absent.get("cpu_package_joules")


def test_packages_are_added_and_their_parts_are_not(tmp_path: Path) -> None:
    zones = Zones(tmp_path, packages=2)
    rapl = Rapl(tmp_path)
    rapl.begin()
    zones.counter(0, 700_000)
    zones.counter(1, 900_000)
    used, reason = joules(rapl)
    assert used == pytest.approx(0.6)
    assert reason is None


@pytest.mark.parametrize(("second_uj", "expected"), [(500_400, 0.2), (70_000_000, 0.6)])
def test_dies_that_show_one_counter_are_counted_once_and_dies_with_their_own_are_added(
    tmp_path: Path, second_uj: int, expected: float
) -> None:
    zones = Zones(tmp_path, packages=2, range_uj=100_000_000)
    for die, start_uj in enumerate((500_000, second_uj)):
        (tmp_path / f"intel-rapl:{die}" / "name").write_text(f"package-0-die-{die}\n")
        zones.counter(die, start_uj)
    rapl = Rapl(tmp_path)
    rapl.begin()
    zones.counter(0, 700_000)
    zones.counter(1, second_uj + (200_000 if second_uj < 1_000_000 else 400_000))
    used, _ = joules(rapl)
    assert used == pytest.approx(expected)


def test_a_counter_that_wraps_between_two_readings_is_corrected(tmp_path: Path) -> None:
    zones = Zones(tmp_path)
    rapl = Rapl(tmp_path)
    rapl.begin()
    for microjoules in (900_000, 300_000, 800_000, 200_000):  # 0.4, 0.4 over the end, 0.5, 0.4 over the end
        zones.counter(0, microjoules)
        rapl.sample()
    used, reason = joules(rapl)
    assert used == pytest.approx(1.7)
    assert reason is None


def test_beginning_again_discards_earlier_energy(tmp_path: Path) -> None:
    zones = Zones(tmp_path)
    rapl = Rapl(tmp_path)
    rapl.begin()
    zones.counter(0, 900_000)
    rapl.sample()
    rapl.begin()
    zones.counter(0, 950_000)
    used, reason = joules(rapl)
    assert used == pytest.approx(0.05)
    assert reason is None


def test_without_rapl_there_is_a_reason(tmp_path: Path) -> None:
    rapl = Rapl(tmp_path)
    rapl.begin()
    assert joules(rapl) == (None, "the kernel shows no RAPL package; virtual machines have none")


def test_counters_readable_by_root_only_are_a_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Zones(tmp_path)

    def refused(path: Path) -> int:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("xibench.measure.energy._number", refused)
    rapl = Rapl(tmp_path)
    rapl.begin()
    assert "read by root only" in (joules(rapl)[1] or "")


def test_a_counter_that_vanishes_within_the_window_is_a_reason(tmp_path: Path) -> None:
    Zones(tmp_path)
    rapl = Rapl(tmp_path)
    rapl.begin()
    (tmp_path / "intel-rapl:0" / "energy_uj").unlink()
    value, reason = joules(rapl)
    assert value is None
    assert "RAPL does not answer" in (reason or "")


@no_card
def test_without_gpus_their_energy_is_null_and_the_packages_are_measured(tmp_path: Path) -> None:
    zones = Zones(tmp_path)
    clock = FakeClock()
    with Monitor() as monitor:
        meter = EnergyMeter(monitor, clock, tmp_path)
        meter.begin()
        clock.advance(4.0)
        zones.counter(0, 900_000)
        energy = meter.end()
    assert not meter.gpu
    assert energy.window_s == 4.0
    assert energy.cpu_package_joules == pytest.approx(0.4)
    assert (energy.gpu_counter_joules, energy.gpu_integrated_joules, energy.gpu_power_samples) == (None, None, 0)
    assert energy.absent.keys() == {"gpu_counter_joules", "gpu_integrated_joules"}
    assert "no NVIDIA device" in energy.absent["gpu_counter_joules"]


@no_card
def test_idle_power_is_energy_divided_by_the_window(tmp_path: Path) -> None:
    zones = Zones(tmp_path, range_uj=10**9)

    class Counting(FakeClock):
        def wait_until(self, moment_s: float) -> None:
            FakeClock.wait_until(self, moment_s)
            zones.counter(0, 500_000 + int(12e6 * self.time_s))  # 12 watts

    clock = Counting()
    with Monitor() as monitor:
        power = idle(EnergyMeter(monitor, clock, tmp_path), clock, window_s=2.0)
    assert power.window_s == pytest.approx(2.0)
    assert power.cpu_package_watts == pytest.approx(12.0)
    assert power.gpu_watts is None
    assert "no NVIDIA device" in power.absent["gpu_watts"]


def test_an_idle_window_of_zero_seconds_is_an_error(tmp_path: Path) -> None:
    clock = FakeClock()
    with Monitor() as monitor, pytest.raises(ValueError, match="longer than 0 s, received 0"):
        idle(EnergyMeter(monitor, clock, tmp_path), clock, 0)


def test_power_is_integrated_between_its_readings() -> None:
    assert trapezoids([(0.0, 100.0), (2.0, 300.0), (3.0, 300.0)]) == 700.0
    assert trapezoids([(0.0, 100.0)]) == 0


def test_a_gpu_with_a_counter_has_both_figures_and_they_may_disagree(with_cards: Program) -> None:
    energy = with_cards(
        WINDOW
        + """
window([whole], [whole | {"instant_mw": 320000, "energy_mj": 5250000}],
       [whole | {"instant_mw": 320000, "energy_mj": 5560000}])
"""
    )
    assert energy["window_s"] == 2.0
    assert energy["gpu_counter_joules"] == 560.0
    assert energy["gpu_integrated_joules"] == 220.0 + 320.0
    assert energy["gpu_power_samples"] == 4
    assert energy["absent"].keys() == {"cpu_package_joules"}


def test_the_energy_of_several_gpus_is_added(with_cards: Program) -> None:
    energy = with_cards(WINDOW + "window([whole, whole], [whole | {'energy_mj': 5100000}, whole])")
    assert energy["gpu_counter_joules"] == 100.0
    assert energy["gpu_integrated_joules"] == 240.0


def test_a_gpu_without_a_counter_has_only_the_integral(with_cards: Program) -> None:
    energy = with_cards(WINDOW + "old = without(whole, 'energy_mj')\nwindow([old], [old])")
    assert energy["gpu_counter_joules"] is None
    assert energy["absent"]["gpu_counter_joules"] == "card 0: NVML: Not Supported"
    assert energy["gpu_integrated_joules"] == 120.0


def test_a_gpu_that_is_lost_within_the_window_makes_both_null_with_the_reason(with_cards: Program) -> None:
    energy = with_cards(WINDOW + "window([whole], [whole], [{'lost': 1}], [{'lost': 1}])")
    assert energy["window_s"] == 3.0
    for series in ("gpu_counter_joules", "gpu_integrated_joules"):
        assert energy[series] is None
        assert energy["absent"][series] == "card 0: NVML: GPU is lost"


def test_a_gpu_that_comes_back_is_not_mistaken_for_one_that_was_never_lost(with_cards: Program) -> None:
    energy = with_cards(WINDOW + "window([whole], [{'lost': 1}], [whole | {'energy_mj': 7000}])")
    assert energy["gpu_counter_joules"] is None
    assert "went back" in energy["absent"]["gpu_counter_joules"]
    assert energy["absent"]["gpu_integrated_joules"] == "card 0: NVML: GPU is lost"


def test_a_window_shorter_than_ten_update_intervals_is_null_and_states_the_minimum(with_cards: Program) -> None:
    energy = with_cards(WINDOW + "window([whole], [whole | {'energy_mj': 5012000}], seconds=0.5)")
    assert energy["gpu_counter_joules"] is None
    assert "window of 0.50 s is short" in energy["absent"]["gpu_counter_joules"]
    assert "it takes 1 s" in energy["absent"]["gpu_integrated_joules"]


@pytest.mark.parametrize(("card", "watts"), [("whole", 0.0), ("without(whole, 'energy_mj')", 120.0)])
def test_idle_power_comes_from_the_counter_or_else_from_the_integral(
    with_cards: Program, card: str, watts: float
) -> None:
    power = with_cards(
        WINDOW
        + f"""
cards({card})
with Monitor() as monitor:
    print(json.dumps(msgspec.to_builtins(idle(EnergyMeter(monitor, clock, nowhere), clock, 2.0))))
"""
    )
    assert power["gpu_watts"] == pytest.approx(watts)  # the stand-in's counter stands still
