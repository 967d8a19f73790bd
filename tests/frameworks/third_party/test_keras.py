"""keras.applications on each backend, in separate processes, with our weights and our measuring protocol."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from frameworks.api import THIRD_PARTY
from tests.cli.command import xibench
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


def test_tf32_on_a_cpu_is_unsupported_with_what_to_do(tmp_path: Path) -> None:
    done = xibench("run", "-f", ",".join(KERAS), "-m", "xception", "--precision", "tf32", *BRIEF, cwd=tmp_path)
    records = json.loads(done.stdout)["records"]
    assert [r["status"] for r in records] == ["unsupported"] * len(KERAS)
    reasons = [r["reason"] for r in records]
    assert [why.partition(": ")[0] for why in reasons] == [THIRD_PARTY[name].backend for name in KERAS]
    assert all("this device has no TF32; expected an NVIDIA GPU of compute capability 8.0" in why for why in reasons)


def test_a_variant_that_keras_does_not_have_is_unsupported_in_one_line(tmp_path: Path) -> None:
    done = xibench("run", "-f", "keras-jax", "-m", "xception", "--variant", "jft", *BRIEF, cwd=tmp_path)
    (record,) = json.loads(done.stdout)["records"]
    assert record["status"] == "unsupported"
    assert "keras.applications has no xception, jft; expected the default variant of xception, " in record["reason"]
