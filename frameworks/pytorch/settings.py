"""Settings read back from PyTorch, under the names of frameworks.manifest, and figures of compiled programs.

TorchInductor is imported where something is compiled: the import takes a second.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from itertools import chain
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

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
NEVER_FREED: Final = -1  # TorchInductor's last step of a buffer that is an output of the graph

_planned: list[int] = []
"""Scratch memory in bytes of every graph that TorchInductor has scheduled in this process."""


class CompilationReadings(NamedTuple):
    """scope: what one graph holds. cache: state of the disk cache. scratch_bytes: the maximum over all graphs."""

    scope: str | Absent
    cache: str | Absent
    scratch_bytes: int | Absent


class Compilation:
    """All compilations since this object was created: one network's, if nothing else is compiled meanwhile.

    options: TorchInductor's options that affect what a program reads back: as requested, otherwise its own defaults.
    """

    def __init__(self, options: Mapping[str, bool] = MappingProxyType({})) -> None:
        from torch._dynamo.utils import counters
        from torch._inductor import config

        _observe_schedules()
        self.options: dict[str, bool] = {
            "freezing": config.freezing,
            "max_autotune": config.max_autotune,
            "triton.cudagraphs": config.triton.cudagraphs,
            **options,
        }
        self._caches = config.fx_graph_cache
        self._counters = counters
        self._graphs_before = counters["stats"]["unique_graphs"]
        self._hits_before = counters["inductor"]["fxgraph_cache_hit"]
        self._planned_before = len(_planned)

    def readings(self) -> CompilationReadings:
        """Scope, cache and scratch memory; `NOT_STEPPED` before the first step, which compiles."""
        graphs = self._counters["stats"]["unique_graphs"] - self._graphs_before
        hits = self._counters["inductor"]["fxgraph_cache_hit"] - self._hits_before
        planned = _planned[self._planned_before :]
        scope: str | Absent = NOT_STEPPED
        scratch: int | Absent = NOT_STEPPED
        if graphs:
            scope = "forward" if graphs == 1 else f"forward in {graphs} graphs"
            scratch = Absent("TorchInductor planned nothing, its disk cache gave the program")
        if planned:
            scratch = max(planned)
        cache = "off" if not self._caches else NOT_STEPPED if not graphs else "warm" if hits else "cold"
        return CompilationReadings(scope, cache, scratch)


@cache
def _observe_schedules() -> None:
    """Keep the scratch memory of all schedules that TorchInductor computes from now on in this process.

    TorchInductor computes it to choose the order of a graph's nodes, but does not keep the figure. The scheduler is
    therefore wrapped, once.
    """
    from torch._inductor import memory

    schedule: Any = memory.reorder_for_peak_memory

    def observed(nodes: Any, buffers: Any, fused: Any, inputs: Any, outputs: Any) -> Any:
        order = schedule(nodes, buffers, fused, inputs, outputs)
        # The peak of the buffers that are neither inputs nor outputs: no inputs are passed, and outputs are left out.
        timeline, *_ = memory.compute_memory_timeline(order, {}, outputs)
        scratch = [buffer for buffer in timeline if buffer.end_step != NEVER_FREED]
        peak, _ = memory.peak_memory_from_buf_info_list(scratch, len(order))
        _planned.append(int(peak))
        return order

    memory.reorder_for_peak_memory = observed  # type: ignore[assignment]


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
