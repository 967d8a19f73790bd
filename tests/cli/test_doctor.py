from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from tests.builders import ENVIRONMENT
from tests.cli.command import xibench
from xibench.cli import examination
from xibench.record.schema import Gpu
from xibench.run.probe import Probe

GPU = Gpu(name="ACME card", memory_bytes=2**34, driver="1", power_limit_watts=None)


def test_every_framework_is_asked_in_its_own_interpreter_and_every_lack_has_a_cure(tmp_path: Path) -> None:
    done = xibench("doctor", "--json", cwd=tmp_path)
    found = json.loads(done.stdout)
    assert [f["name"] for f in found["frameworks"]] == ["pytorch", "tensorflow", "jax"]
    assert all("cpu" in f["devices"] for f in found["frameworks"] if f["problem"] is None)
    assert all(lack["what"] and lack["effect"] and lack["cure"] for lack in found["lacks"])
    assert {"python", "CPU", "load average", "photographs"} <= {fact["name"] for fact in found["facts"]}


def test_a_machine_that_has_all_lacks_nothing() -> None:
    whole = msgspec.structs.replace(ENVIRONMENT, cpu_flags=["amx_bf16"], gpus=[GPU])
    assert examination.machine_lacks(whole, None, load=0.1, free_bytes=1 << 40) == []


@pytest.mark.parametrize(
    ("environment", "inductor", "load", "free_bytes", "words"),
    [
        ({}, "no Python.h (apt x)", 0.0, 1 << 40, ["no Python.h (apt x)", "compiled", "eagerly"]),
        ({"cpu_flags": ["avx2"]}, None, 0.0, 1 << 40, ["amx_bf16", "emulated", "bf16"]),
        ({"gpus": [], "absent": {"gpus": "NVML is not there"}}, None, 0.0, 1 << 40, ["NVML is not there", "driver"]),
        ({}, None, 1.9, 1 << 40, ["load average 1.90 on 2 cores", "wider intervals", "stop them"]),
        ({}, None, 0.0, 100 << 20, ["100 MiB free", "full", "free at least 1024 MiB"]),
    ],
)
def test_what_lacks_is_said_with_its_effect_and_cure(
    environment: dict[str, object], inductor: str | None, load: float, free_bytes: int, words: list[str]
) -> None:
    whole = msgspec.structs.replace(ENVIRONMENT, **{"cpu_flags": ["avx512_bf16"], "gpus": [GPU], **environment})
    (lack,) = examination.machine_lacks(whole, inductor, load, free_bytes)
    assert all(word in f"{lack.what} {lack.effect} {lack.cure}" for word in words), lack


def test_a_missing_framework_is_skipped_and_its_cure_is_the_install_command(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(framework: str) -> Probe:
        return Probe(framework=framework, versions={"torch": None}, devices=[], problem="pytorch: not installed")

    monkeypatch.setattr("xibench.run.probe.probe", absent)
    (lack,) = examination.framework_lacks(examination.ask_framework("pytorch"), has_gpu=False)
    assert lack.what == "pytorch: not installed"
    assert "unsupported" in lack.effect
    assert lack.cure == "pip install 'xibench[pytorch]'"


def test_a_framework_that_does_not_see_the_card_is_said() -> None:
    state = examination.FrameworkState(
        name="jax", interpreter="python", versions={"jax": "1"}, devices=["cpu"], recipes={}, problem=None
    )
    (lack,) = examination.framework_lacks(state, has_gpu=True)
    assert "sees no GPU" in lack.what
    assert examination.framework_lacks(state, has_gpu=False) == []


def test_torch_compile_that_cannot_work_is_said_as_the_recipe_itself_would_say_it(tmp_path: Path) -> None:
    done = xibench("doctor", "--json", cwd=tmp_path, CXX="no-such-compiler")
    whats = [lack["what"] for lack in json.loads(done.stdout)["lacks"]]
    assert "TorchInductor needs a C++ compiler, no-such-compiler was not found (apt install g++)" in whats


def test_recipes_are_shown_with_their_settings_and_reasons(tmp_path: Path) -> None:
    found = json.loads(xibench("doctor", "--json", cwd=tmp_path).stdout)
    shown = xibench("doctor", cwd=tmp_path).stdout
    working = [framework for framework in found["frameworks"] if framework["problem"] is None]
    assert working
    for framework in working:
        assert list(framework["recipes"]) == ["default", "compiled", "tuned"]
        assert f"Recipes: {framework['name']} on {framework['devices'][-1]}" in shown
        settings = [setting for recipe in framework["recipes"].values() for setting in recipe]
        assert all(name in shown and why in shown for name, why in settings)
