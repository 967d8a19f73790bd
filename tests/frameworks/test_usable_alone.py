"""Each framework's module works without the instrument, with what people do to modules of that framework."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from frameworks.architectures import network
from frameworks.blueprint import parameters
from frameworks.recipes import Precision
from frameworks.weights import initial, save

SIZE = 75
MODELS = ("xception", "inception_v3", "resnet50")  # of whose weights none depends on the size of the picture
BATCH = np.random.default_rng(0).uniform(-1, 1, (2, SIZE, SIZE, 3)).astype(np.float32)
NCHW = np.ascontiguousarray(BATCH.transpose(0, 3, 1, 2))


def close(left: Any, right: Any) -> bool:
    left, right = np.asarray(left), np.asarray(right)
    return bool(np.max(np.abs(left - right)) <= 1e-5 * np.max(np.abs(right)))


@pytest.mark.parametrize("model", MODELS)
def test_names_are_the_same_everywhere(model: str) -> None:
    from flax import nnx

    from frameworks import jax as ours_jax
    from frameworks import pytorch, tensorflow

    names = {p.name for p in parameters(network(model, "narrow"))}
    assert set(pytorch.build(model, variant="narrow").state_dict()) == names
    state = nnx.state(ours_jax.build(model, variant="narrow"), nnx.Any(nnx.Param, nnx.BatchStat))
    assert {".".join(map(str, path)) for path, _ in nnx.to_flat_state(state)} == names
    built = tensorflow.build(model, variant="narrow")
    assert len(built.variables) == len(names)
    assert set(built.weights()) == names


@pytest.mark.parametrize("framework", ["pytorch", "tensorflow", "jax"])
def test_weights_come_out_as_they_went_in(framework: str, tmp_path: Path) -> None:
    import importlib

    built = network("xception", "narrow")
    weights = initial(built, 5)
    save(tmp_path / "w.safetensors", built, weights)
    model = importlib.import_module(f"frameworks.{framework}").build(
        "xception", variant="narrow", weights=tmp_path / "w.safetensors"
    )
    out = model.weights()
    assert all(np.array_equal(out[name], weights[name]) for name in weights)


@pytest.mark.parametrize("model", MODELS)
def test_pytorch_modules_can_be_exported_and_keep_their_result(model: str) -> None:
    import torch

    from frameworks.pytorch import build

    module = build(model, variant="narrow")
    x = torch.from_numpy(NCHW)
    with torch.no_grad():
        expected = module(x)
        exported = torch.export.export(module, (x,)).module()
        assert close(exported(x), expected)


@pytest.mark.parametrize("model", MODELS)
def test_pytorch_modules_can_be_traced_by_torch_compile_as_one_graph(model: str) -> None:
    """backend="eager" runs all of torch.compile's capture without generating C++; fullgraph refuses any break."""
    import torch

    from frameworks.pytorch import build

    module = build(model, variant="narrow")
    x = torch.from_numpy(NCHW)
    with torch.no_grad():
        assert close(torch.compile(module, backend="eager", fullgraph=True)(x), module(x))


def test_pytorch_gradients_reach_every_parameter_in_training() -> None:
    import torch

    from frameworks.pytorch import build

    module = build("inception_v3", variant="narrow").train()
    module(torch.from_numpy(NCHW)).sum().backward()
    assert all(p.grad is not None for p in module.parameters())


@pytest.mark.parametrize("model", MODELS)
def test_tensorflow_modules_can_be_saved_and_loaded_as_a_saved_model(model: str, tmp_path: Path) -> None:
    import tensorflow as tf

    from frameworks.tensorflow import build

    module = build(model, variant="narrow")
    function = tf.function(module)
    signature = function.get_concrete_function(tf.TensorSpec((None, SIZE, SIZE, 3), tf.float32))
    tf.saved_model.save(module, str(tmp_path), signatures=signature)
    loaded = tf.saved_model.load(str(tmp_path)).signatures["serving_default"]
    (output,) = loaded(tf.constant(BATCH)).values()
    assert close(output, function(tf.constant(BATCH)))


def test_tensorflow_modules_compile_with_xla() -> None:
    import tensorflow as tf

    from frameworks.tensorflow import build

    module = build("xception", variant="narrow")
    x = tf.constant(BATCH)
    assert close(tf.function(module, jit_compile=True)(x), module(x))


def test_tensorflow_gradients_reach_every_trainable_variable() -> None:
    import tensorflow as tf

    from frameworks.tensorflow import build

    module = build("inception_v3", variant="narrow")
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(module(tf.constant(BATCH), training=True))
    assert all(gradient is not None for gradient in tape.gradient(loss, module.trainable_variables))
    assert not any(v.name.startswith(("mean", "variance")) for v in module.trainable_variables)


@pytest.mark.parametrize("model", MODELS)
def test_jax_modules_can_be_split_merged_and_jitted(model: str) -> None:
    import jax
    import jax.numpy as jnp
    from flax import nnx

    from frameworks.jax import build

    module = build(model, variant="narrow")
    graph, state = nnx.split(module)
    x = jnp.asarray(BATCH)
    jitted = jax.jit(lambda state, x: nnx.merge(graph, state)(x))
    assert close(jitted(state, x), nnx.jit(module)(x))


def test_jax_training_changes_running_statistics_and_draws_another_mask_each_time() -> None:
    import jax.numpy as jnp
    from flax import nnx

    from frameworks.jax import build

    module = build("xception", variant="narrow")
    before = module.weights()["block1.conv1.bn.mean"]
    x = jnp.asarray(BATCH)
    module.train()
    first, second = (nnx.jit(lambda m, x: m(x))(module, x) for _ in range(2))
    assert not close(first, second)
    assert not np.array_equal(module.weights()["block1.conv1.bn.mean"], before)
    module.eval()
    assert close(module(x), module(x))


@pytest.mark.parametrize("precision", ["fp64", "fp32", "bf16"])
def test_every_precision_gives_the_same_answer_to_its_own_accuracy(precision: Precision) -> None:
    from tests.frameworks.programs import prepare, step

    built = network("xception", "narrow", resolution=SIZE)
    weights = initial(built)
    error, dtype = {"fp64": (1e-5, "float64"), "fp32": (1e-5, "float32"), "bf16": (0.1, "bfloat16")}[precision]
    reference: np.ndarray | None = None
    for framework in ("pytorch", "tensorflow", "jax"):
        reference = step(prepare(framework, built, weights=weights), BATCH) if reference is None else reference
        program = prepare(framework, built, precision=precision, weights=weights)
        logits = step(program, BATCH)
        assert np.max(np.abs(logits - reference)) < error * np.max(np.abs(reference))
        assert program.readings().settings["output_dtype"] == dtype
