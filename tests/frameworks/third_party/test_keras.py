"""keras.applications on each backend, in separate processes, with our weights and our measuring protocol."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from frameworks.api import THIRD_PARTY
from frameworks.architectures import MODELS
from frameworks.third_party.keras_layers import covers
from tests.cli.command import error_of, xibench
from xibench.analysis.checks import relative_error
from xibench.analysis.verify_workers import Workers
from xibench.workers.messages import ForwardPass

KERAS = tuple(name for name in THIRD_PARTY if name.startswith("keras"))
BRIEF = ("--resolution", "75", "--images", "noise", "--no-ceilings", "--repeats", "0", "--max-warmup-steps", "1",
         "--min-steps", "2", "--budget", "0.1", "--batch", "1", "--device", "cpu", "--json")  # fmt: skip


@pytest.fixture(scope="module")
def workers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workers]:
    with Workers(("pytorch", *KERAS), tmp_path_factory.mktemp("third_party")) as started:
        yield started
        assert not started.missing


@pytest.mark.parametrize("name", KERAS)
def test_the_descriptor_names_the_networks_that_keras_has(name: str) -> None:
    assert THIRD_PARTY[name].networks == {
        model: tuple(variant for variant in known.variants if covers(model, variant))
        for model, known in MODELS.items()
        if covers(model, "default")
    }


@pytest.mark.slow
@pytest.mark.parametrize("model", ["xception", "inception_v3"])
def test_keras_computes_our_network_with_our_weights(model: str, workers: Workers) -> None:
    job = ForwardPass(model=model, resolution=75, precision="fp32", recipe="default")
    arrays = workers.ask(("pytorch", *KERAS), job)
    for name in KERAS:
        assert relative_error(arrays[name]["head"], arrays["pytorch"]["head"]) < 1e-5, name


@pytest.mark.slow
def test_the_other_recipes_compute_the_same(workers: Workers) -> None:
    right = workers.ask(("pytorch",), ForwardPass(model="xception", resolution=75, precision="fp32", recipe="default"))
    for recipe in ("compiled", "tuned"):
        arrays = workers.ask(KERAS, ForwardPass(model="xception", resolution=75, precision="fp32", recipe=recipe))
        for name in KERAS:
            assert relative_error(arrays[name]["head"], right["pytorch"]["head"]) < 1e-5, (name, recipe)


@pytest.mark.slow
def test_keras_is_measured_like_our_implementations_with_its_settings_read_back(tmp_path: Path) -> None:
    done = xibench("run", "-f", ",".join(KERAS), "-m", "xception", *BRIEF, cwd=tmp_path)
    records = {r["case"]["framework"]: r for r in json.loads(done.stdout)["records"]}
    assert {r["status"] for r in records.values()} == {"ok"}
    read = {name: records[name]["settings"] for name in KERAS}
    assert [read[name]["compiler"] for name in KERAS] == ["none", "none", "xla"]
    assert {read[name]["batch_norm_folded"] for name in KERAS} == {False}
    assert {read[name]["layout"] for name in KERAS} == {"NHWC"}
    assert {read[name]["kernel_dtype"] for name in KERAS} == {"float32"}
    assert {read[name]["tf32"] for name in KERAS} == {False}  # JAX's own default would be TF32 on a GPU
    means = [records[name]["output_mean"] for name in KERAS if "output_mean" in records[name]]
    assert np.ptp(means or [0.0]) < 1e-4


@pytest.mark.parametrize("name", KERAS)
def test_what_keras_does_not_have_is_refused_with_what_it_has(name: str, tmp_path: Path) -> None:
    xception = ("run", "-f", name, "-m", "xception", *BRIEF)
    line = error_of(*xception, "--precision", "tf32", cwd=tmp_path, code=2)
    assert f"{name}: a CPU has no TF32; expected an NVIDIA GPU" in line
    line = error_of(*xception, "--variant", "jft", cwd=tmp_path, code=2)
    assert f"{name} has no xception, jft; expected one of xception (default), " in line
