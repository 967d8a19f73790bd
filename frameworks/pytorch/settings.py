"""Settings read back from PyTorch, under the names of frameworks.manifest, and figures of compiled programs."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Final

import torch

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
from frameworks.process import memory_kept

if TYPE_CHECKING:
    from frameworks.pytorch.program import PyTorchProgram

BY_RULE: Final = Absent("oneDNN picks its kernels by rule, there is nothing to switch")
NO_DONATION: Final = Absent("PyTorch has no donation of arguments")
NO_EVENTS: Final = Absent("PyTorch's events exist on a CUDA device only")


def readings(program: PyTorchProgram) -> dict[str, Reading]:
    """Every setting of the manifest, and those that only PyTorch has."""
    model, compiled, output = program.model, program.compilation, program.output
    on_gpu = program.device == "cuda"
    kernel = next(parameter for parameter in model.parameters() if parameter.ndim == 4)
    parts = [*model.modules(), *getattr(model, "layers", ())]  # Keras' layers are not modules
    autotuned = on_gpu and torch.backends.cudnn.benchmark
    read: dict[str, Reading] = {
        "layout": program.layout_put or NOT_PUT,
        "compiler": "none",
        "compile_scope": "none",
        "batch_norm_folded": (
            not any(type(part).__name__.startswith("BatchNorm") for part in parts)
            if program.normalised else NO_BATCH_NORM
        ),
        "kernel_dtype": str(kernel.dtype).removeprefix("torch."),
        "output_dtype": NOT_STEPPED if output is None else str(output.dtype).removeprefix("torch."),
        "output_device": NOT_STEPPED if output is None else output.device.type,
        "results_copied_to_host": NOT_STEPPED if output is None else output.device.type != program.device,
        "tf32": bool(torch.backends.cuda.matmul.allow_tf32 or torch.backends.cudnn.allow_tf32),
        "matmul_precision": torch.get_float32_matmul_precision(),
        "autotuning": autotuned if on_gpu else BY_RULE,
        "graphs": False if on_gpu else NO_GRAPHS_ON_CPU,
        "onednn": (
            NOT_ON_GPU if on_gpu else bool(torch.backends.mkldnn.is_available() and torch.backends.mkldnn.enabled)
        ),
        "amx": NOT_ON_GPU if on_gpu else bool(torch.cpu._is_amx_tile_supported()),
        "threads": torch.get_num_threads(),
        "interop_threads": torch.get_num_interop_threads(),
        "memory_kept": memory_kept(),
        "donated_buffers": NO_DONATION,
        "compilation_cache": NOT_COMPILED,
        "preallocation": program.preallocated if on_gpu else NO_PREALLOCATION,
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "constants": NOT_COMPILED,
    }  # fmt: skip
    if compiled is not None:
        scope, cache, _ = compiled.readings()
        read |= {
            "compiler": "inductor",
            "compile_scope": scope,
            "autotuning": autotuned or compiled.options["max_autotune"],
            "graphs": compiled.options["triton.cudagraphs"] if on_gpu else NO_GRAPHS_ON_CPU,
            "compilation_cache": cache,
            "constants": compiled.options["freezing"],
        }
    return read


def compiled_readings(program: PyTorchProgram) -> dict[str, int | Absent]:
    """TorchInductor's memory plan for a step. Arguments are used where they are, so their bytes are the tensors'."""
    compiled, output = program.compilation, program.output
    if compiled is None:
        return nothing_compiled()
    resident = sum(tensor.nbytes for tensor in chain(program.model.parameters(), program.model.buffers()))
    return {
        "compiled_temporary_bytes": compiled.readings().scratch_bytes,
        "compiled_argument_bytes": resident + program.batch_bytes,
        "compiled_output_bytes": NOT_STEPPED if output is None else output.nbytes,
        "compiled_code_bytes": Absent("TorchInductor does not tell the size of its code"),
    }
