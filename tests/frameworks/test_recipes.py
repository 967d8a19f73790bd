"""Recipes have the same names everywhere, and report each setting with its reason and each unavailable one."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from frameworks import process
from frameworks.api import FRAMEWORKS, IMPLEMENTATIONS, THIRD_PARTY, Program, load
from frameworks.architectures import network
from frameworks.blueprint import Activation, Conv, Dense, GlobalAveragePool, Network
from frameworks.errors import MissingFramework, UnknownName, Unsupported
from frameworks.recipes import DEVICES, RECIPES
from frameworks.task import Batch
from tests.frameworks.programs import prepare, step

COMPILERS = {"pytorch": "inductor", "tensorflow": "xla", "jax": "xla"}
LOWERINGS = ("depthwise=shifted", "pointwise=product", "unpadded=cropped", "strided=columns", "pools=shifted")
BUILT = network("xception", "narrow", resolution=75)
TINY = Network("tiny", "default", None, (9, 9, 3), (
    Conv("conv", 8, (3, 3), bias=True), Activation("relu"), GlobalAveragePool("pool"), Dense("logits", 5),
))  # fmt: skip
BATCH = np.random.default_rng(0).uniform(-1, 1, (1, 75, 75, 3)).astype(np.float32)


def stepped(framework: str, recipe: str) -> tuple[Program, NDArray[np.floating[Any]]]:
    """A program that has taken one step, and its logits."""
    program = prepare(framework, BUILT, recipe)
    return program, step(program, BATCH)


@pytest.mark.parametrize("framework", [*FRAMEWORKS, *THIRD_PARTY])
def test_every_framework_has_every_recipe_with_reasons(framework: str) -> None:
    for name in RECIPES:
        for device in DEVICES:
            recipe = IMPLEMENTATIONS[framework].recipe(name, device)
            assert recipe.name == name
            assert all(setting and reason for setting, reason in recipe.settings)


@pytest.mark.slow
@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_tuned_computes_what_default_computes_and_says_that_batch_norm_is_folded(framework: str) -> None:
    (default, expected), (tuned, logits) = (stepped(framework, name) for name in ("default", "tuned"))
    settings = tuned.readings().settings
    assert (default.readings().settings["batch_norm_folded"], settings["batch_norm_folded"]) == (False, True)
    assert settings["output_device"] == "cpu"
    assert tuned.device_memory() is None
    assert np.max(np.abs(logits - expected)) < 1e-5 * np.max(np.abs(expected))


@pytest.mark.parametrize("choice", LOWERINGS)
@pytest.mark.parametrize(
    ("model", "variant", "resolution"),
    [
        ("xception", "narrow", 128),
        pytest.param("inception_v3", "narrow", 75, marks=pytest.mark.slow),
        pytest.param("inception_v3", "narrow+border_included", 75, marks=pytest.mark.slow),
    ],
)
def test_every_lowering_in_jax_computes_the_same(
    choice: str, model: str, variant: str, resolution: int
) -> None:
    """128 px has pools with an odd padded cell; Inception V3 has average pools that exclude or include their border."""
    built = network(model, variant, resolution=resolution)
    batch = np.random.default_rng(0).uniform(-1, 1, (1, *built.input_shape)).astype(np.float32)
    logits = []
    for recipe in ("default", f"default+{choice}"):
        logits.append(step(prepare("jax", built, recipe), batch))
    assert np.max(np.abs(logits[1] - logits[0])) < 1e-5 * np.max(np.abs(logits[0]))


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_gpu_that_is_not_there_is_unsupported_with_the_reason(framework: str) -> None:
    runtime = load(framework)
    if "cuda" in runtime.devices():
        pytest.skip("this machine has a GPU")
    with pytest.raises(Unsupported, match=f"{framework}: no usable CUDA device"):
        runtime.touch("cuda")


def test_torch_compile_without_a_compiler_runs_eagerly_and_reports_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    program = prepare("pytorch", BUILT, "compiled")
    (said,) = program.substitutions
    assert (said.wanted, said.ran) == ("torch.compile", "eager")
    assert "C++ compiler, no-such-compiler was not found" in said.why
    assert program.readings().settings["compiler"] == "none"


def test_torch_compile_without_python_h_runs_eagerly_and_reports_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "sh")
    monkeypatch.setattr("sysconfig.get_path", lambda name: "/nowhere")
    (said,) = prepare("pytorch", BUILT, "compiled").substitutions
    assert "Python.h" in said.why


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_settings_that_all_frameworks_have_are_read_back_under_one_name(framework: str) -> None:
    program, _ = stepped(framework, "default")
    settings = program.readings().settings
    assert settings["layout"] == ("NCHW" if framework == "pytorch" else "NHWC")
    assert settings["tf32"] is False
    assert isinstance(settings["threads"], int)
    assert (settings["kernel_dtype"], settings["output_dtype"]) == ("float32", "float32")
    assert settings["compiler"] == ("xla" if framework == "jax" else "none")


@pytest.mark.parametrize("operation", ["product", "convolution"])
@pytest.mark.parametrize(("precision", "allowed"), [("DEFAULT", True), ("HIGH", True), ("HIGHEST", False)])
def test_tf32_in_jax_is_read_from_the_program(operation: str, precision: str, allowed: bool) -> None:
    import jax
    import jax.numpy as jnp

    from frameworks.jax.settings import precisions

    picture, kernel = jnp.ones((1, 8, 8, 3)), jnp.ones((3, 3, 3, 4))

    def product(x: jax.Array, k: jax.Array) -> jax.Array:
        return jnp.matmul(x, k[0, 0], precision=jax.lax.Precision[precision])

    def convolution(x: jax.Array, k: jax.Array) -> jax.Array:
        numbers = ("NHWC", "HWIO", "NHWC")
        asked = jax.lax.Precision[precision]
        return jax.lax.conv_general_dilated(x, k, (1, 1), "SAME", dimension_numbers=numbers, precision=asked)

    lowered = jax.jit({"product": product, "convolution": convolution}[operation]).lower(picture, kernel).as_text()
    assert (not precisions(lowered) <= {"HIGHEST"}) is allowed


@pytest.mark.slow
@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_compiled_computes_what_default_computes(framework: str) -> None:
    (_, expected), (compiled, logits) = (stepped(framework, name) for name in ("default", "compiled"))
    assert np.max(np.abs(logits - expected)) < 1e-5 * np.max(np.abs(expected))
    assert compiled.readings().settings["compiler"] == ("none" if compiled.substitutions else COMPILERS[framework])


@pytest.mark.parametrize("flags", [frozenset({"avx2"}), frozenset({"avx512_bf16"}), frozenset({"amx_bf16"})])
def test_bf16_without_a_matrix_unit_is_reported(flags: frozenset[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "cpu_flags", lambda: flags)
    for framework, recipe, library in (
        ("jax", "default", "XLA"), ("tensorflow", "default", "oneDNN"), ("tensorflow", "compiled", "XLA"),
        ("pytorch", "tuned", "oneDNN"),
    ):  # fmt: skip
        said = prepare(framework, BUILT, recipe, "bf16").substitutions
        assert [s.why for s in said] == ([] if "amx_bf16" in flags else ["this CPU has no amx_bf16"])
        assert all(s.ran.startswith(library) for s in said)
    assert prepare("jax", BUILT).substitutions == ()


def test_the_error_for_a_missing_framework_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str) -> None:
        raise ModuleNotFoundError("No module named 'torch'", name="torch")

    monkeypatch.setattr("importlib.import_module", refuse)
    with pytest.raises(MissingFramework, match=r"pytorch: module 'torch' is not installed; pip install 'xibench\[py"):
        load("pytorch")
    with pytest.raises(UnknownName, match="unknown framework 'pytroch': did you mean pytorch"):
        load("pytroch")


@pytest.mark.parametrize(("images", "halved"), [(2, True), (3, False)])
def test_tensorflow_splits_only_batches_of_even_size(images: int, halved: bool) -> None:
    batch = np.random.default_rng(0).uniform(-1, 1, (images, 75, 75, 3)).astype(np.float32)
    logits = []
    for recipe in ("default", "default+images=halved"):
        program = prepare("tensorflow", BUILT, recipe)
        logits.append(step(program, batch))
        assert program.readings().settings["halves_at_once"] is (halved and recipe != "default")
    assert np.max(np.abs(logits[1] - logits[0])) < 1e-5 * np.max(np.abs(logits[0]))


def test_vectors_are_requested_from_xla_and_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    read = [stepped("jax", recipe)[0].readings().settings for recipe in ("default", "default+vectors=512")]
    assert [settings["compiler_options"] for settings in read] == ["none", "xla_cpu_prefer_vector_width=512"]
    monkeypatch.setattr(importlib.import_module("frameworks.jax.program"), "VECTORS", "xla_no_such_option")
    with pytest.raises(Exception, match="xla_no_such_option"):  # the option reaches XLA
        stepped("jax", "default+vectors=512")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:TypedStorage is deprecated")  # PyTorch's own autotuning uses it
def test_torchinductor_options_of_tuned_on_a_gpu_compute_the_same_on_a_cpu() -> None:
    """On a CPU, CUDA graphs have no effect, but freezing and autotuning do."""
    chosen = FRAMEWORKS["pytorch"].recipe("tuned", "cuda").choices
    asked = [f"{name}={chosen[name]}" for name in ("layout", "batch_norm", "compiler", "autotuning", "graphs")]
    assert asked[2:] == ["compiler=frozen", "autotuning=on", "graphs=on"]
    (_, expected), (program, logits) = (stepped("pytorch", text) for text in ("default", "+".join(["default", *asked])))
    assert program.readings().settings["constants"] is True
    assert program.readings().settings["compile_scope"] == "forward"
    assert np.max(np.abs(logits - expected)) < 1e-5 * np.max(np.abs(expected))


@pytest.mark.parametrize(("compiler", "frozen"), [("inductor", False), ("frozen", True)])
def test_freezing_gives_onednn_packed_kernels_with_the_relu_that_follows(
    compiler: str, frozen: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch
    from torch._inductor.utils import run_and_get_code

    torch.compiler.reset()
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))  # a graph from a cache is not planned
    program = prepare("pytorch", TINY, f"tuned+compiler={compiler}")
    if program.substitutions:
        pytest.skip(program.substitutions[0].why)
    placed = program.put(Batch(np.ones((1, 9, 9, 3), np.float32)))
    with torch.inference_mode():
        _, (code,) = run_and_get_code(program.call, placed)  # type: ignore[attr-defined]
    program.synchronise(program.step(placed))
    assert ("mkldnn._convolution_pointwise" in code, "'relu'" in code) == (frozen, frozen)
    assert program.readings().settings["constants"] is frozen
    assert not program.substitutions


def test_freezing_without_effect_is_a_substitution(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    from frameworks.pytorch import program as runtime

    torch.compiler.reset()
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(runtime, "IN_DYNAMO", {})  # as in a PyTorch with another name for it
    program = prepare("pytorch", TINY, "default+compiler=frozen")
    step(program, np.ones((1, 9, 9, 3), np.float32))
    assert program.readings().settings["constants"] is False
    assert [missing.ran for missing in program.substitutions] == ["parameters as inputs"]


def test_each_batch_size_in_a_process_is_compiled_for_itself() -> None:
    import torch

    torch.compiler.reset()
    program = prepare("pytorch", TINY, "compiled")
    if program.substitutions:
        pytest.skip(program.substitutions[0].why)
    for images in (2, 3, 4):
        step(program, np.ones((images, 9, 9, 3), np.float32))
    assert program.readings().settings["compile_scope"] == "forward in 3 graphs"  # else the second is for all sizes


@pytest.mark.parametrize("value", ["separate", "merged"])
def test_branches_are_merged_where_a_recipe_says_so_and_the_setting_is_read_back(value: str) -> None:
    built = network("inception_v3", "narrow", resolution=75)
    default, program = (prepare("pytorch", built, text) for text in ("default", f"default+branches={value}"))
    expected, logits = step(default, BATCH), step(program, BATCH)
    assert program.readings().settings["branches_merged"] is (value == "merged")
    assert np.max(np.abs(logits - expected)) < 1e-5 * np.max(np.abs(expected))


@pytest.mark.slow
def test_more_than_eight_networks_are_compiled_in_one_process() -> None:
    for channels in range(8, 18):
        built = network("separable", f"channels={channels}+features=8", resolution=19)
        program = prepare("pytorch", built, "tuned")
        step(program, np.zeros((1, 19, 19, channels), np.float32))
        assert program.readings().settings["compile_scope"] == "forward", channels
