"""Each framework's module works without the instrument, with what people do to modules of that framework."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from frameworks.architectures import network
from frameworks.blueprint import parameters
from frameworks.errors import InvalidRequest
from frameworks.recipes import Precision
from frameworks.weights import initial, save

SIZE = 96
MODELS = (
    "xception",
    pytest.param("inception_v3", marks=pytest.mark.slow),
    pytest.param("resnet50", marks=pytest.mark.slow),
)
"""Networks of whose weights none depends on the size of the image."""
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
def test_pytorch_modules_can_be_exported_saved_and_loaded_with_any_batch(model: str, tmp_path: Path) -> None:
    import torch

    from frameworks.pytorch import build

    module = build(model, variant="narrow")
    x = torch.from_numpy(NCHW)
    exported = torch.export.export(module, (x,), dynamic_shapes=({0: torch.export.Dim("batch")},))
    torch.export.save(exported, tmp_path / "model.pt2")
    loaded = torch.export.load(tmp_path / "model.pt2").module()
    with torch.no_grad():
        expected = module(x)
        assert close(loaded(x), expected)
        assert close(loaded(x[:1]), expected[:1])


def test_a_pytorch_state_dict_carries_all_weights_into_another_module(tmp_path: Path) -> None:
    import torch

    from frameworks.pytorch import build

    module, other = (build("inception_v3", variant="narrow", weights=seed) for seed in (1, 2))
    torch.save(module.state_dict(), tmp_path / "weights.pt")
    x = torch.from_numpy(NCHW)
    with torch.no_grad():
        assert not close(other(x), module(x))
        other.load_state_dict(torch.load(tmp_path / "weights.pt", weights_only=True))
        assert np.array_equal(other(x), module(x))


@pytest.mark.parametrize("model", MODELS)
def test_pytorch_modules_can_be_traced_by_torch_compile_as_one_graph(model: str) -> None:
    """backend="eager" runs all of torch.compile's capture without generating C++; fullgraph refuses any break."""
    import torch

    from frameworks.pytorch import build

    torch.compiler.reset()  # another test of this process may have switched compilation off for the same code
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


@pytest.mark.parametrize(
    ("model", "variant", "size"),
    [
        ("xception", "narrow", SIZE),
        pytest.param("inception_v3", "narrow+auxiliary", SIZE, marks=pytest.mark.slow),
        pytest.param("resnet50", "narrow", SIZE, marks=pytest.mark.slow),
        pytest.param("vgg16", "narrow", 224, marks=pytest.mark.slow),
    ],
)  # fmt: skip
def test_a_saved_tensorflow_module_is_callable_after_loading(
    model: str, variant: str, size: int, tmp_path: Path
) -> None:
    import tensorflow as tf

    from frameworks.tensorflow import build

    module = build(model, variant=variant)
    images = tf.constant(np.random.default_rng(0).uniform(-1, 1, (2, size, size, 3)), tf.float32)
    tf.saved_model.save(module, str(tmp_path))
    loaded = tf.saved_model.load(str(tmp_path))
    expected = module(images)
    assert close(loaded(images), expected)
    assert close(loaded(images[:1]), expected[:1])  # any batch
    (served,) = loaded.signatures["serving_default"](images=images).values()
    assert close(served, expected)
    if model != "vgg16":  # whose dense layer takes the cells of one size only
        assert close(loaded(images[:, 8:, 8:]), module(images[:, 8:, 8:]))


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fp64", "bf16"])
def test_a_tensorflow_module_is_saved_in_its_own_precision(precision: Precision, tmp_path: Path) -> None:
    import tensorflow as tf

    from frameworks.tensorflow import build

    module = build("xception", variant="narrow", precision=precision)
    tf.saved_model.save(module, str(tmp_path))
    images = tf.constant(BATCH, module.dtype)
    found, expected = (tf.cast(f(images), tf.float64) for f in (tf.saved_model.load(str(tmp_path)), module))
    tolerance = {"fp64": 1e-12, "bf16": 0.05}[precision]
    assert np.max(np.abs(found - expected)) <= tolerance * np.max(np.abs(expected))


@pytest.mark.slow
def test_a_copy_of_a_tensorflow_module_is_saved_with_its_own_weights(tmp_path: Path) -> None:
    import copy

    import tensorflow as tf

    from frameworks.tensorflow import build

    module = build("xception", variant="narrow")
    tf.saved_model.save(module, str(tmp_path / "module"))
    copied = copy.deepcopy(module)
    copied.head.predictions.bias.assign_add(tf.ones(1000))
    tf.saved_model.save(copied, str(tmp_path / "copy"))
    first, second = (tf.saved_model.load(str(tmp_path / name))(tf.constant(BATCH)) for name in ("module", "copy"))
    assert close(second, first + 1)


@pytest.mark.slow
def test_a_tensorflow_checkpoint_holds_the_variables_and_nothing_else(tmp_path: Path) -> None:
    import tensorflow as tf

    from frameworks.tensorflow import build

    module, other = (build("xception", variant="narrow", weights=seed) for seed in (1, 2))
    tf.saved_model.save(module, str(tmp_path / "saved"))
    path = tf.train.Checkpoint(model=module).save(str(tmp_path / "checkpoint"))
    names = [name for name, _ in tf.train.list_variables(path) if name.startswith("model")]
    assert len(names) == len(module.variables)
    tf.train.Checkpoint(model=other).read(path).assert_existing_objects_matched()
    assert np.array_equal(other(tf.constant(BATCH)), module(tf.constant(BATCH)))


def test_a_measured_step_of_tensorflow_is_one_graph_of_layers_that_is_traced_once() -> None:
    """What makes a module callable after saving is no part of what a run times."""
    from tests.frameworks.programs import prepare, step

    program: Any = prepare("tensorflow", network("xception", "narrow", resolution=SIZE))
    step(program, BATCH)
    step(program, BATCH)
    assert program.function.experimental_get_tracing_count() == 1
    kinds = {op.type for op in program.call.graph.get_operations()}
    assert "Conv2D" in kinds
    assert not {kind for kind in kinds if "Call" in kind}


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


@pytest.mark.parametrize("model", MODELS)
def test_jax_modules_can_be_exported_serialised_and_called_with_any_batch(model: str) -> None:
    import jax
    import jax.numpy as jnp
    from flax import nnx
    from jax import export

    from frameworks.jax import build

    module = build(model, variant="narrow")
    graph, state = nnx.split(module)
    images = jax.ShapeDtypeStruct(export.symbolic_shape(f"batch, {SIZE}, {SIZE}, 3"), jnp.float32)
    function = jax.jit(lambda x: nnx.merge(graph, state)(x))
    loaded = export.deserialize(export.export(function)(images).serialize())
    x = jnp.asarray(BATCH)
    expected = function(x)
    assert close(loaded.call(x), expected)
    assert close(loaded.call(x[:1]), expected[:1])


@pytest.mark.slow
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


IMPLEMENTATIONS = ("pytorch", "tensorflow", "jax", "reference")


def build(framework: str, *arguments: Any, **options: Any) -> Any:
    import importlib

    return importlib.import_module(f"frameworks.{framework}").build(*arguments, **options)


@pytest.mark.parametrize("framework", IMPLEMENTATIONS)
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "xceptoin"}, "unknown model 'xceptoin': did you mean xception"),
        ({"name": None}, "unknown model 'None'"),
        ({"name": ["xception"]}, r"unknown model '\['xception'\]'"),
        ({"variant": "narow"}, "unknown variant of xception 'narow': did you mean narrow"),
        ({"variant": None}, "unknown variant of xception 'None'"),
        ({"variant": "widht=0.5"}, "unknown configuration field of xception 'widht': did you mean width"),
        ({"variant": "width=wide"}, "width is 'wide', expected a number above 0"),
        ({"name": network("xception"), "variant": "narrow"}, "beside a blueprint, which is already xception/default"),
        ({"precision": "fp16"}, "unknown precision 'fp16': did you mean"),
        ({"precision": None}, "unknown precision 'None'"),
        ({"precision": ["fp32"]}, "unknown precision"),
        ({"weights": "missing.safetensors"}, "weights: no file at missing.safetensors; `xibench weights init MODEL`"),
        ({"weights": Path(__file__)}, "test_usable_alone.py is not a safetensors file"),
        ({"weights": -1}, "weights for xception: received -1, expected a seed .* or a mapping of NumPy arrays"),
        ({"weights": 1.5}, "weights for xception: received 1.5, expected a seed"),
        ({"weights": {}}, "'block1.conv1.conv.kernel' is missing"),
        ({"weights": {"block1.conv1.conv.kernel": "zeros"}}, "'block1.conv1.conv.kernel' has dtype"),
        ({"weights": {"block1.conv1.conv.kernel": np.zeros(3)}}, r"has shape \(3,\), expected \(3, 3, 3, 8\)"),
    ],
)
def test_a_wrong_argument_is_answered_with_what_was_received_and_expected(
    framework: str, arguments: dict[str, Any], message: str
) -> None:
    """Whatever the argument, and not with an error from inside."""
    with pytest.raises(InvalidRequest, match=message) as raised:
        build(framework, **{"name": "xception", "variant": "narrow", **arguments})
    assert "\n" not in str(raised.value)


def test_a_wrong_lowering_is_refused_when_the_model_is_built() -> None:
    from frameworks.jax.layers import ConvLowering

    wrong: Any = ConvLowering(depthwise="shited")  # type: ignore[arg-type]
    with pytest.raises(InvalidRequest, match="depthwise is 'shited', expected grouped or shifted"):
        build("jax", "xception", variant="narrow", lowering=wrong)
    with pytest.raises(InvalidRequest, match=r"lowering is 'shifted', expected a frameworks.jax.layers.ConvLowering"):
        build("jax", "xception", variant="narrow", lowering="shifted")


def test_weights_go_from_any_framework_into_any_other() -> None:
    expected = initial(network("xception", "narrow"), 4)
    weights: Any = expected
    for framework in ("jax", "tensorflow", "pytorch", "reference"):
        weights = build(framework, "xception", variant="narrow", weights=weights, precision="fp32").weights()
        assert all(np.array_equal(weights[name], array) for name, array in expected.items())


def test_weights_may_be_tensors_but_not_those_of_autograd() -> None:
    import torch

    expected = initial(network("xception", "narrow"), 4)
    tensors = {name: torch.from_numpy(array) for name, array in expected.items()}
    kept = build("tensorflow", "xception", variant="narrow", weights=tensors).weights()
    assert all(np.array_equal(kept[name], array) for name, array in expected.items())

    tensors["head.predictions.bias"] = torch.nn.Parameter(tensors["head.predictions.bias"])
    with pytest.raises(InvalidRequest, match=r"'head.predictions.bias' is a Parameter .*, expected a NumPy array"):
        build("tensorflow", "xception", variant="narrow", weights=tensors)


@pytest.mark.parametrize("framework", IMPLEMENTATIONS)
def test_a_framework_that_is_not_installed_is_named_with_the_command_that_installs_it(framework: str) -> None:
    import sys
    from unittest import mock

    from frameworks.errors import MissingFramework

    loaded = f"frameworks.{framework}.model"
    top = {"pytorch": "torch", "reference": "numpy"}.get(framework, framework)
    with mock.patch.dict(sys.modules):
        sys.modules.pop(loaded, None)
        sys.modules[top] = None  # type: ignore[assignment]  # what makes an import fail
        with pytest.raises(MissingFramework, match=rf"{framework}: module '{top}' is not installed; pip install"):
            build(framework, "xception", variant="narrow")


@pytest.mark.parametrize(
    "framework", ["pytorch", "reference", *(pytest.param(f, marks=pytest.mark.slow) for f in ("tensorflow", "jax"))]
)
def test_an_image_that_is_too_small_to_train_an_auxiliary_classifier_is_refused_and_inference_takes_it(
    framework: str,
) -> None:
    model: Any = build(framework, "inception_v3", variant="narrow+auxiliary", precision="fp32")
    images: Any = BATCH[:1]
    infer, train = model, model
    if framework == "pytorch":
        import torch

        images = torch.from_numpy(NCHW[:1])
        infer = torch.no_grad()(model)
    if framework == "jax":
        from flax import nnx

        infer = nnx.jit(model)
    if framework == "tensorflow":
        train = partial(model, training=True)
    assert np.isfinite(np.asarray(infer(images))).all()
    if framework != "tensorflow":
        model.train()
    with pytest.raises(InvalidRequest, match=r"96 x 96 px are too small for the auxiliary classifier.* is 299"):
        train(images)
