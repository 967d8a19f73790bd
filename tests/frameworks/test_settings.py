"""The manifest: every setting is read back under one name, and what cannot be read says why."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from frameworks.api import FRAMEWORKS, Program, synchronised_step
from frameworks.architectures import network
from frameworks.blueprint import parameters
from frameworks.manifest import (
    MANIFEST,
    NO_GRAPHS_ON_CPU,
    NO_PREALLOCATION,
    Absent,
    Reading,
    collect,
    nothing_compiled,
    usable_amx,
)
from frameworks.task import Batch
from tests.frameworks.programs import prepare, step
from xibench.record.schema import Memory, Steps

BUILT = network("xception", "narrow", resolution=71)
BATCH = np.random.default_rng(0).uniform(-1, 1, (2, 71, 71, 3)).astype(np.float32)
RESIDENT_BYTES = 4 * sum(int(np.prod(p.shape)) for p in parameters(BUILT)) + BATCH.nbytes
LOGITS_BYTES = 4 * 2 * 1000


def stepped(framework: str, recipe: str = "default") -> Program:
    program = prepare(framework, BUILT, recipe)
    step(program, BATCH)
    return program


def unread(program: Program) -> set[str]:
    """What a program has no figure for."""
    readings = program.readings()
    memory = {f"compiled_{name}": value for name, value in _fields(readings.compiled).items()}
    figures = {**readings.settings, **memory, "device_steps_s": program.device_step_s()}
    return {name for name, value in figures.items() if value is None}


def _fields(memory: Any) -> dict[str, int | None]:
    return {name: getattr(memory, name) for name in type(memory).__slots__}


@pytest.mark.parametrize("recipe", ["default", pytest.param("tuned", marks=pytest.mark.slow)])
@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_every_setting_of_the_manifest_has_a_value_or_a_reason(framework: str, recipe: str) -> None:
    program = stepped(framework, recipe)
    assert not set(MANIFEST) - set(program.readings().settings)
    assert set(program.readings().absent) == unread(program)
    assert all(program.readings().absent.values())


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_before_a_step_nothing_is_assumed(framework: str) -> None:
    program = prepare(framework, BUILT)
    assert set(program.readings().absent) == unread(program)
    assert program.readings().absent["output_device"] == "no step has been synchronised yet"
    assert program.readings().absent["layout"] == "no batch has been put on the device yet"


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_on_a_cpu_the_output_is_not_copied_and_gpu_settings_have_a_reason(framework: str) -> None:
    program = stepped(framework)
    settings, absent = program.readings().settings, program.readings().absent
    assert (settings["output_device"], settings["results_copied_to_host"]) == ("cpu", False)
    assert absent["graphs"] == NO_GRAPHS_ON_CPU.why
    assert absent["preallocation"] == NO_PREALLOCATION.why
    assert "device_steps_s" in absent


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_the_scope_of_a_compiled_graph_is_read_back(framework: str) -> None:
    assert stepped(framework).readings().settings["compile_scope"] == ("none" if framework == "pytorch" else "forward")


def test_pytorchs_settings_follow_its_switches() -> None:
    import torch

    program = stepped("pytorch")
    threads = torch.get_num_threads()
    try:
        torch.set_float32_matmul_precision("high")
        torch.set_num_threads(threads + 1)
        torch.backends.mkldnn.set_flags(False)
        settings = program.readings().settings
    finally:
        torch.backends.mkldnn.set_flags(True)
        torch.set_float32_matmul_precision("highest")
        torch.set_num_threads(threads)
    assert (settings["matmul_precision"], settings["tf32"]) == ("high", True)
    assert (settings["onednn"], settings["threads"]) == (False, threads + 1)
    assert (program.readings().settings["matmul_precision"], program.readings().settings["onednn"]) == ("highest", True)


def test_tensorflows_settings_follow_its_switches() -> None:
    import tensorflow as tf

    program = stepped("tensorflow")
    try:
        tf.config.experimental.enable_tensor_float_32_execution(True)
        assert program.readings().settings["tf32"] is True
    finally:
        tf.config.experimental.enable_tensor_float_32_execution(False)
    assert program.readings().settings["tf32"] is False


def test_jaxs_precision_and_donation_are_read_from_the_program() -> None:
    import jax
    import jax.numpy as jnp

    from frameworks.jax import settings

    def twice(x: jax.Array) -> jax.Array:
        asked = (jax.lax.Precision.HIGHEST, jax.lax.Precision.DEFAULT)
        return jnp.matmul(jnp.matmul(x, x, precision=asked[0]), x, precision=asked[1])

    square = jnp.ones((4, 4))
    kept, donated = (jax.jit(twice, donate_argnums=given).lower(square).as_text() for given in ((), (0,)))
    assert settings.precisions(kept) == {"HIGHEST", "DEFAULT"}
    assert (settings._donates(kept), settings._donates(donated)) == (False, True)


@pytest.mark.slow
def test_a_compilation_cache_that_provided_a_program_is_warm(tmp_path: Path) -> None:
    import jax

    options = {
        "jax_compilation_cache_dir": str(tmp_path),
        "jax_persistent_cache_min_compile_time_secs": 0.0,
        "jax_persistent_cache_min_entry_size_bytes": -1,
    }
    before = {name: getattr(jax.config, name) for name in options}
    assert stepped("jax").readings().settings["compilation_cache"] == "off"
    try:
        for name, value in options.items():
            jax.config.update(name, value)
        jax.clear_caches()
        cold = stepped("jax", "tuned").readings().settings["compilation_cache"]
        jax.clear_caches()
        warm = stepped("jax", "tuned").readings().settings["compilation_cache"]
    finally:
        for name, value in before.items():
            jax.config.update(name, value)
        jax.experimental.compilation_cache.compilation_cache.reset_cache()
    assert (cold, warm) == ("cold", "warm")


@pytest.mark.slow
@pytest.mark.parametrize(("framework", "recipe"), [("jax", "default"), ("tensorflow", "compiled")])
def test_xla_plans_the_parameters_and_the_batch_as_arguments_the_logits_as_output_and_some_scratch(
    framework: str, recipe: str
) -> None:
    program = stepped(framework, recipe)
    planned = program.readings().compiled
    assert (planned.argument_bytes, planned.output_bytes) == (RESIDENT_BYTES, LOGITS_BYTES)
    assert planned.temporary_bytes is not None
    assert planned.temporary_bytes > BATCH.nbytes
    assert planned.code_bytes is None
    assert "size of" in program.readings().absent["compiled_code_bytes"]


@pytest.mark.parametrize("framework", ["pytorch", "tensorflow"])
def test_an_uncompiled_program_has_no_compiled_memory_and_a_reason(framework: str) -> None:
    absent = stepped(framework).readings().absent
    assert {absent[name] for name in nothing_compiled()} == {"nothing is compiled"}
    assert absent["compilation_cache"] == "nothing is compiled"


@pytest.mark.slow
def test_torch_compile_reports_its_graphs_cache_and_scratch_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    torch.compiler.reset()  # another test may have compiled for another size: a second one is compiled for all sizes
    cold = stepped("pytorch", "compiled")
    if cold.substitutions:
        pytest.skip(cold.substitutions[0].why)
    settings, planned = cold.readings().settings, cold.readings().compiled
    torch.compiler.reset()
    warm = stepped("pytorch", "compiled")
    assert (settings["compiler"], settings["compile_scope"], settings["autotuning"]) == ("inductor", "forward", False)
    assert (planned.argument_bytes, planned.output_bytes) == (RESIDENT_BYTES, LOGITS_BYTES)
    assert planned.temporary_bytes is not None
    assert planned.temporary_bytes > BATCH.nbytes
    assert (settings["compilation_cache"], warm.readings().settings["compilation_cache"]) == ("cold", "warm")
    assert "disk cache" in warm.readings().absent["compiled_temporary_bytes"]


def test_scratch_memory_of_torch_compile_is_the_peak_of_live_buffers_without_outputs() -> None:
    from torch._inductor import memory
    from torch._inductor.memory import BufferInfo
    from torch._inductor.virtualized import V

    from frameworks.pytorch import settings

    kept, first, second, last = (BufferInfo(None, size, size, *span) for size, span in (  # type: ignore[arg-type]
        (1000, (0, -1)), (10, (0, 1)), (20, (1, 2)), (25, (2, 2))
    ))  # fmt: skip
    timeline: tuple[list[BufferInfo], dict[Any, Any], dict[Any, Any]] = ([kept, first, second, last], {}, {})
    constants = {"_frozen_param3": None, "constant0": None}
    with pytest.MonkeyPatch.context() as patch, V.set_graph_handler(SimpleNamespace(constants=constants)):  # type: ignore[arg-type]
        patch.setattr(memory, "compute_memory_timeline", lambda *_: timeline)
        patch.setattr(memory, "reorder_for_peak_memory", lambda nodes, *_: nodes)
        patch.setattr(settings, "_planned", [])
        settings._observe_schedules.__wrapped__()
        schedule: Any = memory.reorder_for_peak_memory
        assert schedule([None] * 3, {}, {}, set(), set()) == [None] * 3
        assert settings._planned == [settings.PlannedGraph(scratch_bytes=45, frozen_parameters=1)]


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_query_takes_images_and_returns_logits_on_the_host(framework: str) -> None:
    program = stepped(framework)
    expected = step(program, BATCH)
    logits: NDArray[Any] = program.query(Batch(BATCH))["logits"]
    assert isinstance(logits, np.ndarray)
    assert logits.shape == (2, 1000)
    assert np.allclose(logits, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.gpu
def test_cuda_events_time_a_step_and_stay_below_the_hosts_time() -> None:
    import time

    import torch

    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    program = prepare("pytorch", BUILT, device="cuda")
    batch = program.put(Batch(BATCH))
    synchronised_step(program, batch)
    began = time.perf_counter()
    synchronised_step(program, batch)
    host_s = time.perf_counter() - began
    device_s = program.device_step_s()
    assert device_s is not None
    assert 0 < device_s <= host_s
    assert program.readings().settings["output_device"] == "cuda"
    assert set(program.readings().absent) == unread(program)


def test_amx_is_false_without_the_unit_and_otherwise_unknown() -> None:
    assert usable_amx(frozenset({"avx2"}), "XLA") is False
    with_unit, unknown = usable_amx(frozenset({"amx_tile"}), "XLA"), usable_amx(frozenset(), "XLA")
    assert with_unit == Absent("the CPU has AMX, but XLA does not report whether it uses it")
    assert unknown == Absent("the CPU's feature flags cannot be read")


def test_a_reading_is_either_a_value_or_a_reason() -> None:
    settings: dict[str, Reading] = {"threads": 2, "onednn": False, "graphs": Absent("no GPU")}
    compiled: dict[str, int | Absent] = {"compiled_output_bytes": 8, "compiled_code_bytes": Absent("not reported")}
    readings = collect(settings, compiled, Absent("no clock"))
    assert readings.settings == {"threads": 2, "onednn": False, "graphs": None}
    assert (readings.compiled.output_bytes, readings.compiled.code_bytes) == (8, None)
    assert readings.absent == {
        "graphs": "no GPU", "compiled_code_bytes": "not reported", "device_steps_s": "no clock",
    }  # fmt: skip


def test_reasons_have_the_names_of_a_record() -> None:
    assert set(nothing_compiled()) <= set(Memory.__struct_fields__)
    assert "device_steps_s" in Steps.__struct_fields__
    assert msgspec.json.decode(msgspec.json.encode(dict(MANIFEST)), type=dict[str, str]) == MANIFEST


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_network_without_batch_norm_has_a_reason_for_not_folding_it(framework: str) -> None:
    built = network("separable", "channels=8+features=8", resolution=5)
    program = prepare(framework, built)
    step(program, np.zeros((1, 5, 5, 8), np.float32))
    assert program.readings().settings["batch_norm_folded"] is None
    assert program.readings().absent["batch_norm_folded"] == "the network has no batch norm"
