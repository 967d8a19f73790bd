"""TF32 is on where it was asked for on a GPU that has it, off everywhere else, and never just called so."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from frameworks.architectures import network
from frameworks.errors import Unsupported
from frameworks.runtime import FRAMEWORKS, load
from frameworks.weights import initial

BUILT = network("xception", "narrow+dense", resolution=75)
HOPPER, TURING = (9, 0), (7, 5)


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_tf32_on_a_cpu_is_unsupported_and_says_what_to_do(framework: str) -> None:
    runtime = load(framework)
    expected = f"^{framework}: this device has no TF32; expected an NVIDIA GPU of compute capability 8.0 .*; use fp32$"
    with pytest.raises(Unsupported, match=expected):
        runtime.prepare(BUILT, initial(BUILT), "default", "tf32", "cpu")
    with pytest.raises(Unsupported, match=expected):
        runtime.product(8, "tf32", "cpu")


def test_pytorch_switches_tf32_on_for_tf32_and_off_for_anything_else(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    from frameworks.pytorch import recipes

    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: HOPPER)
    try:
        for precision in ("tf32", "fp32", "tf32", "bf16", "tf32", "fp64"):
            recipes.set_products(precision, "cuda")
            on = precision == "tf32"
            assert torch.backends.cuda.matmul.allow_tf32 is on
            assert torch.backends.cudnn.allow_tf32 is on
            assert torch.get_float32_matmul_precision() == ("high" if on else "highest")
    finally:
        recipes.set_products("fp32", "cpu")


def test_tensorflow_switches_tf32_on_for_tf32_and_off_for_anything_else(monkeypatch: pytest.MonkeyPatch) -> None:
    import tensorflow as tf

    from frameworks.tensorflow import recipes

    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [kind])
    monkeypatch.setattr(tf.config.experimental, "get_device_details", lambda _: {"compute_capability": HOPPER})
    try:
        for precision in ("tf32", "fp32", "tf32", "bf16"):
            recipes.set_products(precision, "cuda")
            assert tf.config.experimental.tensor_float_32_execution_enabled() is (precision == "tf32")
    finally:
        recipes.set_products("fp32", "cpu")


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
    "forms",
    [
        {},
        {"pointwise": "product", "strided": "columns"},
        {"depthwise": "shifted", "pointwise": "product", "unpadded": "cropped", "pools": "shifted"},
    ],
)
def test_jax_asks_for_tf32_in_every_product_of_a_network_for_tf32_and_in_none_for_fp32(forms: dict[str, Any]) -> None:
    import jax

    from frameworks.jax import Forms, build
    from frameworks.jax.model import DTYPES
    from frameworks.jax.settings import allows_tf32, precisions

    for precision, asked in (("tf32", {"DEFAULT"}), ("fp32", {"HIGHEST"}), ("bf16", {"HIGHEST"})):
        model = build(BUILT, precision=precision, forms=Forms(**forms))  # type: ignore[arg-type]
        images = jax.ShapeDtypeStruct((1, 75, 75, 3), DTYPES[precision])
        program = jax.jit(model).lower(images).as_text()
        assert precisions(program) == asked
        assert allows_tf32(program) is (precision == "tf32")


def switch(framework: str, monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int]) -> Any:
    """A framework's way to ask for a precision's products, on a GPU of this capability."""
    if framework == "pytorch":
        import torch

        from frameworks.pytorch import recipes as of_pytorch

        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: capability)
        return lambda precision: of_pytorch.set_products(precision, "cuda")
    if framework == "tensorflow":
        import tensorflow as tf

        from frameworks.tensorflow import recipes as of_tensorflow

        monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [kind])
        monkeypatch.setattr(tf.config.experimental, "get_device_details", lambda _: {"compute_capability": capability})
        return lambda precision: of_tensorflow.set_products(precision, "cuda")
    from frameworks.jax import recipes as of_jax

    named = SimpleNamespace(compute_capability="{}.{}".format(*capability))
    monkeypatch.setattr(of_jax, "jax_device", lambda _: named)
    return lambda precision: of_jax.require_products(precision, "cuda")
