"""TF32 is on only if it is requested and the GPU has it; a request on any other device is an error."""

from __future__ import annotations

import importlib
from types import SimpleNamespace
from typing import Any

import pytest

from frameworks.api import FRAMEWORKS, HasCeilings, load
from frameworks.architectures import network
from frameworks.errors import UnknownName, Unsupported
from tests.frameworks.programs import prepare

BUILT = network("xception", "narrow+dense", resolution=75)
HOPPER, TURING = (9, 0), (7, 5)


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_tf32_on_a_cpu_is_unsupported_and_says_what_to_do(framework: str) -> None:
    implementation = load(framework)
    assert isinstance(implementation, HasCeilings)
    expected = f"^{framework}: this device has no TF32; expected an NVIDIA GPU of compute capability 8.0 .*; use fp32$"
    with pytest.raises(Unsupported, match=expected):
        prepare(framework, BUILT, precision="tf32")
    with pytest.raises(Unsupported, match=expected):
        implementation.matmul(8, "tf32", "cpu")


@pytest.mark.parametrize("framework", [*FRAMEWORKS, "reference"])
def test_an_unknown_precision_is_refused_with_those_that_there_are(framework: str) -> None:
    package = importlib.import_module(f"frameworks.{framework}")
    with pytest.raises(UnknownName, match=r"unknown precision 'fp16': did you mean .*bf16"):
        package.build(BUILT, precision="fp16")


def test_pytorch_switches_tf32_on_for_tf32_and_off_for_anything_else(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    from frameworks.pytorch import program

    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: HOPPER)
    try:
        for precision in ("tf32", "fp32", "tf32", "bf16", "tf32", "fp64"):
            program.set_matmul_precision(precision, "cuda")
            on = precision == "tf32"
            assert torch.backends.cuda.matmul.allow_tf32 is on
            assert torch.backends.cudnn.allow_tf32 is on
            assert torch.get_float32_matmul_precision() == ("high" if on else "highest")
    finally:
        program.set_matmul_precision("fp32", "cpu")


def test_tensorflow_switches_tf32_on_for_tf32_and_off_for_anything_else(monkeypatch: pytest.MonkeyPatch) -> None:
    import tensorflow as tf

    from frameworks.tensorflow import program

    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [kind])
    monkeypatch.setattr(tf.config.experimental, "get_device_details", lambda _: {"compute_capability": HOPPER})
    try:
        for precision in ("tf32", "fp32", "tf32", "bf16"):
            program.set_matmul_precision(precision, "cuda")
            assert tf.config.experimental.tensor_float_32_execution_enabled() is (precision == "tf32")
    finally:
        program.set_matmul_precision("fp32", "cpu")


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_gpu_before_ampere_has_no_tf32(framework: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ask = switch(framework, monkeypatch, TURING)
    ask("fp32")
    with pytest.raises(Unsupported, match=f"^{framework}: a GPU of compute capability 7.5 has no TF32; expected"):
        ask("tf32")


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_gpu_since_ampere_has_tf32(framework: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for capability in ((8, 0), (8, 6), HOPPER, (12, 0)):
        switch(framework, monkeypatch, capability)("tf32")
    if framework != "jax":
        switch(framework, monkeypatch, HOPPER)("fp32")


@pytest.mark.parametrize(
    "lowering",
    [
        {},
        {"pointwise": "product", "strided": "columns"},
        {"depthwise": "shifted", "pointwise": "product", "unpadded": "cropped", "pools": "shifted"},
    ],
)
def test_jax_asks_for_tf32_in_every_matmul_for_tf32_and_in_none_for_fp32(lowering: dict[str, Any]) -> None:
    import jax

    from frameworks.jax import build
    from frameworks.jax.layers import ConvLowering
    from frameworks.jax.model import DTYPES
    from frameworks.jax.settings import precisions

    for precision, asked in (("tf32", {"DEFAULT"}), ("fp32", {"HIGHEST"}), ("bf16", {"HIGHEST"})):
        model = build(BUILT, precision=precision, lowering=ConvLowering(**lowering))  # type: ignore[arg-type]
        images = jax.ShapeDtypeStruct((1, 75, 75, 3), DTYPES[precision])
        assert precisions(jax.jit(model).lower(images).as_text()) == asked


def switch(framework: str, monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int]) -> Any:
    """The function with which a framework selects a precision's matmuls, on a GPU of this compute capability."""
    if framework == "pytorch":
        import torch

        from frameworks.pytorch import program as of_pytorch

        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: capability)
        return lambda precision: of_pytorch.set_matmul_precision(precision, "cuda")
    if framework == "tensorflow":
        import tensorflow as tf

        from frameworks.tensorflow import program as of_tensorflow

        monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [kind])
        monkeypatch.setattr(tf.config.experimental, "get_device_details", lambda _: {"compute_capability": capability})
        return lambda precision: of_tensorflow.set_matmul_precision(precision, "cuda")
    from frameworks.jax import program as of_jax

    named = SimpleNamespace(compute_capability="{}.{}".format(*capability))
    monkeypatch.setattr(of_jax, "jax_device", lambda _: named)
    return lambda precision: of_jax.require_precision(precision, "cuda")
