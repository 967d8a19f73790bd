"""Settings read back from PyTorch, under the names of frameworks.manifest, and figures of what was compiled."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Final

import torch

from frameworks import allocator
from frameworks.manifest import (
    NO_BATCH_NORM,
    NO_GRAPHS_ON_CPU,
    NO_PREALLOCATION,
    NOT_COMPILED,
    NOT_ON_GPU,
    NOT_PUT,
    NOT_STEPPED,
    Absent,
    Reading,
    nothing_compiled,
)

if TYPE_CHECKING:
    from frameworks.pytorch.program import PyTorchProgram

BY_RULE: Final = Absent("oneDNN picks its kernels by rule, there is nothing to switch")
NO_DONATION: Final = Absent("PyTorch has no donation of arguments")
NO_EVENTS: Final = Absent("PyTorch's events exist on a CUDA device only")


def readings(program: PyTorchProgram) -> dict[str, Reading]:
    """Every setting of the manifest, and what only PyTorch has."""
    compiled = program.compilation
    kernel = next(parameter for parameter in program.model.parameters() if parameter.ndim == 4)
    on_gpu = program.device == "cuda"
    return {
        "layout": program.layout_put or NOT_PUT,
        "compiler": "none" if compiled is None else "inductor",
        "compile_scope": "none" if compiled is None else compiled.scope,
        "batch_norm_folded": _folded(program),
        "kernel_dtype": str(kernel.dtype).removeprefix("torch."),
        **_output(program),
        "tf32": bool(torch.backends.cuda.matmul.allow_tf32 or torch.backends.cudnn.allow_tf32),
        "matmul_precision": torch.get_float32_matmul_precision(),
        "autotuning": _autotuning(program),
        "graphs": _graphs(program) if on_gpu else NO_GRAPHS_ON_CPU,
        "onednn": NOT_ON_GPU if on_gpu else _onednn(),
        "amx": NOT_ON_GPU if on_gpu else bool(torch.cpu._is_amx_tile_supported()),
        "threads": torch.get_num_threads(),
        "interop_threads": torch.get_num_interop_threads(),
        "memory_kept": allocator.kept(),
        "donated_buffers": NO_DONATION,
        "compilation_cache": NOT_COMPILED if compiled is None else compiled.cache,
        "preallocation": program.preallocated if on_gpu else NO_PREALLOCATION,
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "constants": NOT_COMPILED if compiled is None else compiled.option("freezing"),
    }


def _folded(program: PyTorchProgram) -> Reading:
    if not program.normalised:
        return NO_BATCH_NORM
    parts = [*program.model.modules(), *getattr(program.model, "layers", ())]  # Keras' layers are no modules
    return not any(type(part).__name__.startswith("BatchNorm") for part in parts)


def compiled_readings(program: PyTorchProgram) -> dict[str, int | Absent]:
    """What TorchInductor planned for a step. It takes arguments where they lie: theirs are the tensors' bytes."""
    compiled, output = program.compilation, program.output
    if compiled is None:
        return nothing_compiled()
    resident = sum(tensor.nbytes for tensor in chain(program.model.parameters(), program.model.buffers()))
    return {
        "compiled_temporary_bytes": compiled.temporary_bytes,
        "compiled_argument_bytes": resident + program.batch_bytes,
        "compiled_output_bytes": NOT_STEPPED if output is None else output.nbytes,
        "compiled_code_bytes": Absent("TorchInductor does not tell the size of its code"),
    }


def _output(program: PyTorchProgram) -> dict[str, Reading]:
    output = program.output
    if output is None:
        return dict.fromkeys(("output_dtype", "output_device", "results_copied_to_host"), NOT_STEPPED)
    return {
        "output_dtype": str(output.dtype).removeprefix("torch."),
        "output_device": output.device.type,
        "results_copied_to_host": output.device.type != program.device,
    }


def _onednn() -> bool:
    return bool(torch.backends.mkldnn.is_available() and torch.backends.mkldnn.enabled)


def _autotuning(program: PyTorchProgram) -> Reading:
    timed = program.device == "cuda" and torch.backends.cudnn.benchmark
    if program.compilation is None:
        return timed if program.device == "cuda" else BY_RULE
    return bool(timed or program.compilation.option("max_autotune"))


def _graphs(program: PyTorchProgram) -> Reading:
    return program.compilation is not None and program.compilation.option("triton.cudagraphs")
