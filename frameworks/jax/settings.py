"""Settings read back from JAX, under the names of frameworks.manifest, and figures of compiled programs.

XLA reports few settings itself. Most are read from the program as JAX lowered it (StableHLO) and as XLA compiled it.
"""

from __future__ import annotations

import os
import re
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Final

import jax
import numpy as np

from frameworks.jax.layers import ConvLowering
from frameworks.manifest import (
    NO_BATCH_NORM,
    NO_GRAPHS_ON_CPU,
    NO_PREALLOCATION,
    NOT_ON_GPU,
    NOT_PUT,
    NOT_STEPPED,
    Absent,
    Reading,
    Substitution,
    nothing_compiled,
    usable_amx,
)
from frameworks.process import arithmetic, cpu_flags, memory_kept

if TYPE_CHECKING:
    from frameworks.jax.program import JaxProgram

NOT_AHEAD: Final = Absent("the step was not compiled ahead")
NOT_OURS: Final = Absent("the implementation is not xibench's own")
NO_EVENTS: Final = Absent("JAX has no events on the device's clock")
ONE_POOL: Final = Absent("XLA runs operations and their parts in one pool of threads")
BY_RULE: Final = Absent("XLA picks its kernels by rule on a CPU")
NO_CODE_SIZE: Final = Absent("XLA does not tell the size of its code on a CPU")
JIT_OFF: Final = Substitution(
    "jax.jit", "jax_disable_jit switches it off; unset JAX_DISABLE_JIT", "one operation after another"
)
CACHE_HIT: Final = "/jax/compilation_cache/cache_hits"

_hits: list[str] = []


def readings(program: JaxProgram) -> dict[str, Reading]:
    """Every setting of the manifest, and those that only JAX has."""
    leaves = {jax.tree_util.keystr(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(program.state)}
    on_gpu = program.device.platform != "cpu"
    asked = _requested_precisions(program)
    output = program.output
    platform = "" if output is None else next(iter(output.devices())).platform
    return {
        "layout": program.layout_put or NOT_PUT,
        "compiler": "none" if jit_is_off() else "xla",
        "compile_scope": "forward" if program.stablehlo else "none" if jit_is_off() else NOT_AHEAD,
        "batch_norm_folded": not any("variance" in name for name in leaves) if program.normalised else NO_BATCH_NORM,
        "kernel_dtype": next(str(leaf.dtype) for name, leaf in leaves.items() if "kernel" in name),
        "output_dtype": NOT_STEPPED if output is None else str(output.dtype),
        "output_device": NOT_STEPPED if output is None else "cpu" if platform == "cpu" else "cuda",
        "results_copied_to_host": NOT_STEPPED if output is None else platform != program.device.platform,
        "tf32": not asked <= {"HIGHEST"} if asked else NOT_AHEAD,
        "matmul_precision": ", ".join(sorted(asked)).lower() or NOT_AHEAD,
        "autotuning": _autotuning() if on_gpu else BY_RULE,
        "graphs": _graphs(program) if on_gpu else NO_GRAPHS_ON_CPU,
        "onednn": NOT_ON_GPU if on_gpu else _onednn(program),
        "amx": NOT_ON_GPU if on_gpu else usable_amx(cpu_flags(), "XLA"),
        "threads": _threads("tf_XLAEigen") or Absent("XLA's threads cannot be counted here"),
        "interop_threads": ONE_POOL,
        "memory_kept": memory_kept(),
        **arithmetic(lambda left, right: np.asarray(_multiply(*jax.device_put((left, right), program.device)))),
        "donated_buffers": _donates(program.stablehlo) if program.stablehlo else NOT_AHEAD,
        "compilation_cache": program.cache or NOT_AHEAD,
        "preallocation": program.preallocated if on_gpu else NO_PREALLOCATION,
        **{
            f"{field.name}_form": getattr(program.lowering, field.name) if program.lowering else NOT_OURS
            for field in fields(ConvLowering)
        },
        "compiler_options": ", ".join(f"{k}={v}" for k, v in program.options.items()) or "none",
        "x64": bool(jax.config.jax_enable_x64),  # type: ignore[attr-defined]
    }


def jit_is_off() -> bool:
    """Whether jax.jit has no effect in this process, so that every operation is a program of its own."""
    return bool(jax.config.jax_disable_jit)  # type: ignore[attr-defined]


@jax.jit
def _multiply(left: jax.Array, right: jax.Array) -> jax.Array:
    return left * right


def compiled_readings(program: JaxProgram) -> dict[str, int | Absent]:
    """XLA's buffer assignment for a step."""
    if not program.stablehlo:
        return dict.fromkeys(nothing_compiled(), NOT_AHEAD)
    plan = program.call.memory_analysis()
    if plan is None:
        return dict.fromkeys(nothing_compiled(), Absent("XLA has no memory analysis for this device"))
    return {
        "compiled_temporary_bytes": plan.temp_size_in_bytes,
        "compiled_argument_bytes": plan.argument_size_in_bytes,
        "compiled_output_bytes": plan.output_size_in_bytes,
        "compiled_code_bytes": plan.generated_code_size_in_bytes or NO_CODE_SIZE,
    }


def precisions(program: str) -> set[str]:
    """The precisions that a StableHLO program requests, over all matmuls and convolutions.

    A matmul has the attribute `precision = [DEFAULT, DEFAULT]`, a convolution `#stablehlo<precision DEFAULT>`.
    """
    return set(re.findall(r"\b(?:DEFAULT|HIGH|HIGHEST)\b", " ".join(re.findall(r"precision [^\]>]*[\]>]", program))))


def _requested_precisions(program: JaxProgram) -> set[str]:
    """The precisions of a program's matmuls; JAX's default for a third-party one that is not compiled ahead."""
    if program.stablehlo or program.lowering is not None:
        return precisions(program.stablehlo)
    default = jax.config.jax_default_matmul_precision  # type: ignore[attr-defined]
    return {default.upper()} if default else {"DEFAULT"}


def cache_hits() -> int:
    """Number of programs that JAX's compilation cache has provided to this process since the first call."""
    if not _hits:
        _hits.append("listening")
        jax.monitoring.register_event_listener(_on_event)
    return len(_hits) - 1


def cache_state(hits_before: int) -> str:
    """State of the compilation cache: off, warm if it has provided a program since `hits_before`, or cold."""
    config = jax.config
    if not (config.jax_enable_compilation_cache and config.jax_compilation_cache_dir):  # type: ignore[attr-defined]
        return "off"
    return "warm" if cache_hits() > hits_before else "cold"


def _on_event(event: str, **details: str | int) -> None:
    if event == CACHE_HIT:
        _hits.append(event)


def _autotuning() -> Reading:
    level = re.search(r"--xla_gpu_autotune_level=(\d)", os.environ.get("XLA_FLAGS", ""))
    if level:
        return level[1] != "0"
    return Absent("XLA_FLAGS does not set xla_gpu_autotune_level, and XLA does not tell its own default")


def _graphs(program: JaxProgram) -> Reading:
    if program.stablehlo and "command_buffer" in program.call.as_text():
        return True
    return Absent("the compiled program names no command buffer, and XLA does not tell whether it makes any later")


def _onednn(program: JaxProgram) -> Reading:
    return "__onednn$" in program.call.as_text() if program.stablehlo else NOT_AHEAD


def _donates(program: str) -> bool:
    return "jax.buffer_donor" in program or "tf.aliasing_output" in program


def _threads(name: str) -> int | None:
    """Number of this process's threads of a name (Linux), since XLA does not report its own; None if unknown."""
    try:
        names = [(task / "comm").read_text(errors="replace").strip() for task in Path("/proc/self/task").iterdir()]
    except OSError:
        return None
    return names.count(name) or None
