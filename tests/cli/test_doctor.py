from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from tests.builders import ENVIRONMENT
from tests.cli.command import xibench, xibench_process
from xibench.analysis import doctor
from xibench.analysis.doctor import condition_facts
from xibench.analysis.findings import (
    disturbance_findings,
    framework_findings,
    machine_findings,
    temporary_folder_findings,
)
from xibench.measure.conditions import Conditions as Now
from xibench.measure.conditions import GpuConditions
from xibench.record.schema import Conditions, Gpu
from xibench.workers.messages import Probe

GPU = Gpu(name="ACME card", memory_bytes=2**34, driver="1", power_limit_watts=None)
CARD = GpuConditions(
    index=0, sm_clock_hz=1.98e9, memory_clock_hz=2.619e9, throttle_reasons=[], temperature_celsius=41.0,
    power_watts=75.2, power_limit_watts=700.0, foreign_processes=0, absent={},
)  # fmt: skip
QUIET = Now(
    taken_utc="2025-01-02T03:04:05+00:00", load_1m=0.1, others_share=0.01, steal_share=0.0, cpu_hz=2.6e9,
    governor="performance", throttle_count=0, gpus=[CARD], absent={},
)  # fmt: skip


def test_every_framework_is_probed_in_its_own_interpreter_and_every_finding_has_a_remedy(doctor_report: Any) -> None:
    found = doctor_report
    assert [f["name"] for f in found["frameworks"]] == ["pytorch", "tensorflow", "jax"]
    assert all("cpu" in f["devices"] for f in found["frameworks"] if f["problem"] is None)
    assert all(finding["what"] and finding["effect"] and finding["cure"] for finding in found["findings"])
    assert {"python", "CPU", "load average, 1 min", "photographs"} <= {fact["name"] for fact in found["facts"]}


def test_a_fully_equipped_machine_has_no_findings() -> None:
    whole = msgspec.structs.replace(ENVIRONMENT, cpu_flags=["amx_bf16"], gpus=[GPU])
    assert list(machine_findings(whole, None, free_bytes=1 << 40)) == []
    assert list(disturbance_findings(QUIET)) == []


@pytest.mark.parametrize(
    ("environment", "inductor", "free_bytes", "words"),
    [
        ({}, "no Python.h (apt x)", 1 << 40, ["no Python.h (apt x)", "compiled", "eagerly"]),
        ({"cpu_flags": ["avx2"]}, None, 1 << 40, ["amx_bf16", "emulated", "bf16"]),
        ({"gpus": [], "absent": {"gpus": "NVML is not there"}}, None, 1 << 40, ["NVML is not there", "driver"]),
        ({}, None, 100 << 20, ["100 MiB free", "full", "free at least 1024 MiB"]),
    ],
)
def test_a_missing_capability_is_a_finding_with_effect_and_remedy(
    environment: dict[str, object], inductor: str | None, free_bytes: int, words: list[str]
) -> None:
    whole = msgspec.structs.replace(ENVIRONMENT, **{"cpu_flags": ["avx512_bf16"], "gpus": [GPU], **environment})
    (finding,) = machine_findings(whole, inductor, free_bytes)
    assert all(word in f"{finding.what} {finding.effect} {finding.cure}" for word in words), finding


def test_a_folder_that_cannot_have_compiled_programs_is_a_finding(tmp_path: Path) -> None:
    awkward, plain = str(tmp_path / "a b"), str(tmp_path)
    assert list(temporary_folder_findings(plain, plain)) == []
    (elsewhere,) = temporary_folder_findings(awkward, plain)
    assert elsewhere.what == (
        f"compiled programs cannot be built in {awkward}: its path has a space, a quotation mark or a backslash"
    )
    assert elsewhere.effect.startswith(f"a run puts them into {plain};")
    assert "TMPDIR" in elsewhere.cure
    (nowhere,) = temporary_folder_findings(awkward, awkward)
    assert "eagerly" in nowhere.effect


@pytest.mark.slow
def test_doctor_examines_the_folder_for_temporary_files(tmp_path: Path) -> None:
    (tmp_path / "a b").mkdir()
    report = json.loads(xibench_process("doctor", "--json", cwd=tmp_path, TMPDIR=str(tmp_path / "a b")).stdout)
    (found,) = [finding for finding in report["findings"] if "compiled programs" in finding["what"]]
    assert str(tmp_path / "a b") in found["what"]


@pytest.mark.parametrize(
    ("now", "words"),
    [
        ({"others_share": 0.31}, ["other programs take 31.0%", "limit 5.0%", "marked as disturbed", "stop them"]),
        ({"steal_share": 0.12}, ["the hypervisor takes 12.0%", "limit 2.0%", "marked as disturbed"]),
        ({"governor": "powersave"}, ["governor powersave", "cpupower"]),
        ({"gpus": [replace(CARD, foreign_processes=2)]}, ["card 0 is used by other programs", "foreign processes: 2"]),
        ({"gpus": [replace(CARD, throttle_reasons=["HwThermalSlowdown"])]}, ["throttled, HwThermalSlowdown", "cool"]),
    ],
)
def test_conditions_beyond_the_limits_of_a_run_are_findings(now: dict[str, Any], words: list[str]) -> None:
    (finding,) = disturbance_findings(replace(QUIET, **now))
    assert all(word in f"{finding.what} {finding.effect} {finding.cure}" for word in words), finding


def test_current_conditions_are_shown(doctor_report: Any) -> None:
    shown = {fact["name"] for fact in doctor_report["facts"]}
    assert {"others' load", "steal", "CPU clock", "governor", "throttle events since boot"} <= shown
    recorded = {field.name for field in msgspec.structs.fields(Conditions)}
    assert set(doctor_report["conditions"]) == recorded


def test_a_gpu_is_shown_with_its_clocks_temperature_power_and_foreign_processes() -> None:
    (card,) = [fact for fact in condition_facts(replace(QUIET, gpus=[CARD])) if fact.name == "card 0"]
    assert card.value == (
        "SM 1.98 GHz, memory 2.62 GHz, 41 °C, 75 of 700 W, throttled by nothing, foreign processes: 0"
    )


def test_the_remedy_for_a_missing_framework_is_the_install_command(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(framework: str) -> Probe:
        return Probe(framework=framework, versions={"torch": None}, devices=[], problem="pytorch: not installed")

    monkeypatch.setattr("xibench.workers.probe.probe", absent)
    (finding,) = framework_findings(doctor.ask_framework("pytorch"), has_gpu=False)
    assert finding.what == "pytorch: not installed"
    assert "unsupported" in finding.effect
    assert finding.cure == "pip install 'xibench[pytorch]'"


def test_a_framework_that_does_not_see_the_gpu_is_a_finding() -> None:
    state = doctor.FrameworkState(
        name="jax", interpreter="python", versions={"jax": "1"}, devices=["cpu"], recipes={}, problem=None
    )
    (finding,) = framework_findings(state, has_gpu=True)
    assert "sees no GPU" in finding.what
    assert framework_findings(state, has_gpu=False) == []


@pytest.mark.slow
def test_a_missing_compiler_for_torch_compile_is_reported_as_the_recipe_reports_it(tmp_path: Path) -> None:
    done = xibench("doctor", "--json", cwd=tmp_path, CXX="no-such-compiler")
    whats = [finding["what"] for finding in json.loads(done.stdout)["findings"]]
    assert "TorchInductor needs a C++ compiler, no-such-compiler was not found (apt install g++)" in whats


def test_what_a_reader_wants_first_is_a_page_and_the_rest_is_an_option(
    doctor_report: Any, doctor_output: Callable[..., str]
) -> None:
    shown, detailed = doctor_output(), doctor_output("--details")
    assert shown.splitlines()[-1] == detailed.splitlines()[-1] == doctor_report["conclusion"]
    for output in (shown, detailed):
        assert all(framework["name"] in output for framework in doctor_report["frameworks"])
        assert all(fact["name"] in output for fact in doctor_report["facts"])
    assert "Recipes:" not in shown
    assert "Fields that stay empty here" not in shown
    count = sum(len(group["fields"]) for group in doctor_report["empty"])
    assert f"Fields of a record that stay empty here: {count}; --details lists them" in shown


def test_recipes_are_shown_with_their_settings_and_reasons(
    doctor_report: Any, doctor_output: Callable[..., str]
) -> None:
    shown = " ".join(doctor_output("--details").split())  # a long reason is wrapped
    working = [framework for framework in doctor_report["frameworks"] if framework["problem"] is None]
    assert working
    for framework in working:
        assert list(framework["recipes"]) == ["default", "compiled", "tuned"]
        assert f"Recipes: {framework['name']} on {framework['devices'][-1]}" in shown
        settings = [setting for recipe in framework["recipes"].values() for setting in recipe]
        assert all(name in shown and why in shown for name, why in settings)


def test_fields_that_stay_empty_are_shown(doctor_report: Any, doctor_output: Callable[..., str]) -> None:
    groups = doctor_report["empty"]
    assert all(group["fields"] and group["why"] and group["filled_by"] for group in groups)
    assert not groups or "Fields that stay empty here" in doctor_output("--details")


def test_the_report_ends_with_whether_the_machine_is_fit_to_measure(doctor_report: Any) -> None:
    works = doctor.FrameworkState(
        name="jax", interpreter="python", versions={}, devices=["cpu"], recipes={}, problem=None
    )
    broken = replace(works, devices=[], problem="no jax")
    busy = list(disturbance_findings(replace(QUIET, others_share=0.5)))
    assert doctor.conclusion([works, broken], []) == (
        True, "Fit to measure: jax works here, on cpu, and nothing disturbs now.",
    )  # fmt: skip
    fit, sentence = doctor.conclusion([works], busy)
    assert not fit
    assert "50.0%" in sentence
    assert "stop them, or wait" in sentence
    assert doctor.conclusion([broken], [])[0] is False
    disturbing = any("of the usable cores' time" in finding["what"] for finding in doctor_report["findings"])
    assert doctor_report["fit"] is not disturbing
    assert doctor_report["conclusion"].endswith(".")
