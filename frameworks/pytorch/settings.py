"""Settings read back from PyTorch, under the names of frameworks.manifest, and figures of compiled programs.

TorchInductor is imported where something is compiled: the import takes a second.
"""

from __future__ import annotations

import contextlib
import errno
import os
import threading
from collections.abc import Iterator, Mapping
from functools import cache, partial
from itertools import chain
from pathlib import Path
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
    Substitution,
    nothing_compiled,
)
from frameworks.process import UNQUOTED, arithmetic, memory_kept

if TYPE_CHECKING:
    from frameworks.pytorch.program import PyTorchProgram

BY_RULE: Final = Absent("oneDNN picks its kernels by rule, there is nothing to switch")
NO_DONATION: Final = Absent("PyTorch has no donation of arguments")
NO_EVENTS: Final = Absent("PyTorch's events exist on a CUDA device only")
SWITCHES: Final = ("TORCH_COMPILE_DISABLE", "TORCHDYNAMO_DISABLE")
FROM_CACHE: Final = Absent("TorchInductor planned nothing, its disk cache gave the program")
FROZEN: Final = "_frozen_param"  # how TorchInductor names a parameter that it has made a constant
NOT_FROZEN: Final = Substitution(
    "parameters frozen into constants", "TorchDynamo passed them to TorchInductor as inputs", "parameters as inputs"
)
EMPTY_KERNEL: Final = 'extern "C" void kernel() {}'
NEVER_FREED: Final = -1  # TorchInductor's last step of a buffer that is an output of the graph


class PlannedGraph(NamedTuple):
    """A graph that TorchInductor has scheduled: its scratch memory, and how many of its constants are parameters."""

    scratch_bytes: int
    frozen_parameters: int


_planned: list[PlannedGraph] = []
"""Every graph that TorchInductor has scheduled in this process."""


class CompilationReadings(NamedTuple):
    """scope: what one graph holds. cache: state of the disk cache. scratch_bytes: the maximum over all graphs.

    constants: whether parameters became constants of the graphs, as freezing is to do.
    """

    scope: str | Absent
    cache: str | Absent
    scratch_bytes: int | Absent
    constants: bool | Absent


class Compilation:
    """All compilations since this object was created: one network's, if nothing else is compiled meanwhile.

    options: TorchInductor's options that affect what a program reads back: as requested, otherwise its own defaults.
    """

    def __init__(self, options: Mapping[str, bool] = MappingProxyType({})) -> None:
        from torch._dynamo.utils import counters
        from torch._inductor import config

        _observe_schedules()
        _link_library_folders()
        self.failure = ""  # why the toolchain did not compile the network
        self.header: threading.Thread | None = None  # compiles the header of its kernels, beside the first call
        self.options: dict[str, bool] = {
            "freezing": config.freezing,
            "max_autotune": config.max_autotune,
            "triton.cudagraphs": config.triton.cudagraphs,
            **options,
        }
        self._caches = config.fx_graph_cache and not config.force_disable_caches
        self._counters = counters
        self._before = self._counts()
        self._planned_before = len(_planned)

    def _counts(self) -> tuple[int, int, int]:
        """What this process has compiled so far: graphs, those from a disk cache, and functions that failed."""
        stats, frames, counters = (self._counters[name] for name in ("stats", "frames", "inductor"))
        hits = counters["fxgraph_cache_hit"] + self._counters["aot_autograd"]["autograd_cache_hit"]
        return stats["unique_graphs"], hits, frames["total"] - frames["ok"]

    def eager(self, stepped: bool) -> tuple[Substitution, ...]:
        """What ran without being compiled, and why: all of the network, parts of it, or nothing.

        stepped: whether a step has been synchronised; the first one compiles.
        """
        if not stepped:
            return ()
        graphs, _, failed = (now - before for now, before in zip(self._counts(), self._before, strict=True))

        # A switch that keeps TorchDynamo from compiling without an error, and what to do
        from torch import _dynamo as dynamo

        why = self.failure
        if not why:
            if variables := [name for name in SWITCHES if os.environ.get(name) == "1"]:
                why = f"{variables[0]}=1 switches it off; unset it"
            elif dynamo.config.disable:
                why = "torch._dynamo.config.disable switches it off"
            elif dynamo.eval_frame._stance.stance == "force_eager":
                why = "torch.compiler.set_stance switches it off"
            elif dynamo.config.suppress_errors:
                why = "it failed, and TorchDynamo's suppress_errors hides why; unset TORCHDYNAMO_SUPPRESS_ERRORS"

        if graphs == 0 and (why or self._before[0] == 0):
            return (Substitution("torch.compile", why or "TorchDynamo compiled no graph", "eager"),)
        if graphs and failed and why:  # without an option that hides errors, these are graph breaks
            return (Substitution("torch.compile", why, f"{failed} functions of it eagerly"),)
        return ()

    def readings(self) -> CompilationReadings:
        """Scope, cache, scratch memory and constants; `NOT_STEPPED` before the first step, which compiles."""
        graphs, hits, failed = (now - before for now, before in zip(self._counts(), self._before, strict=True))
        planned = _planned[self._planned_before :]
        scope: str | Absent = NOT_STEPPED
        scratch: int | Absent = NOT_STEPPED
        constants: bool | Absent = NOT_STEPPED
        if graphs:
            constants = any(graph.frozen_parameters for graph in planned) if planned else FROM_CACHE
        if graphs and self.eager(stepped=True):  # graphs without kernels of their own compile where all others fail
            scope = f"parts of forward ({failed} functions ran eagerly)"
            scratch = Absent("only parts of the network are compiled")  # a graph that failed has planned memory too
        elif graphs:
            scope = "forward" if graphs == 1 else f"forward in {graphs} graphs"
            scratch = max(graph.scratch_bytes for graph in planned) if planned else FROM_CACHE
        cache = "off" if not self._caches else NOT_STEPPED if not graphs else "warm" if hits else "cold"
        return CompilationReadings(scope, cache, scratch, constants)


def toolchain_failure(error: BaseException) -> str | None:
    """Why the toolchain failed, in one line with a cure, if that is what an error of the first step is about.

    The toolchain: the C++ compiler, its headers, and the folder that compiled programs are put into. Other errors, such
    as those of a network that TorchInductor does not support, are not about it.
    """
    from torch._inductor import exc

    for cause in _causes(error):
        found = isinstance(cause, exc.CppCompileError | exc.InvalidCxxCompiler | OSError)
        if found and getattr(cause, "errno", None) != errno.ENOMEM:
            said = " ".join(str(cause).split())[:160]
            return f"{type(cause).__name__}: {said}; name a C++ compiler in CXX, or another folder in TMPDIR"
    return None


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """An error, and what it wraps or was raised from."""
    while error is not None:
        yield error
        error = getattr(error, "inner_exception", None) or error.__cause__


@cache
def _link_library_folders() -> None:
    """Let TorchInductor link with libraries below a path with a space, which it passes to the compiler unquoted.

    Such a folder, which is PyTorch's own where a virtual environment is below such a path, is given to the compiler as
    a link in the folder of compiled programs.
    """
    from torch._inductor.cpp_builder import BuildOptionsBase
    from torch._inductor.runtime.cache_dir_utils import cache_dir

    listed = BuildOptionsBase.get_libraries_dirs

    def linked(self: BuildOptionsBase) -> list[str]:
        folders = listed(self)
        for i, folder in enumerate(folders):
            if UNQUOTED.search(folder):
                link = Path(cache_dir(), f"libraries-{i}")
                if not link.is_symlink():
                    link.symlink_to(folder)
                folders[i] = str(link)
        return folders

    BuildOptionsBase.get_libraries_dirs = linked  # type: ignore[method-assign]


@cache
def precompile_header() -> threading.Thread:
    """Begin to precompile the header of TorchInductor's C++ kernels, in a thread, once per process.

    TorchInductor precompiles it before the first kernel, which keeps one core busy for about 10 s while the others are
    idle. Started here, the compiler runs beside TorchDynamo and the generation of code. The thread compiles an empty
    kernel with the flags of all other kernels, which therefore share its header. An error is left to the network's own
    kernels, which fail in the same way.

    Returns:
        The thread. Wait for it before anything is timed: the compiler takes a core.
    """
    from torch._inductor import config

    def compile_empty_kernel() -> None:
        from torch._inductor.codecache import CppPythonBindingsCodeCache

        with contextlib.suppress(Exception):
            CppPythonBindingsCodeCache.load_pybinding([], EMPTY_KERNEL, needs_vec_isa=True)

    thread = threading.Thread(target=compile_empty_kernel, name="precompiled header", daemon=True)
    if config.cpp_cache_precompile_headers:
        thread.start()
    return thread


@cache
def _observe_schedules() -> None:
    """Keep what `PlannedGraph` holds of all graphs that TorchInductor schedules from now on in this process.

    TorchInductor computes the scratch memory to choose the order of a graph's nodes, but does not keep the figure. The
    scheduler is therefore wrapped, once.
    """
    from torch._inductor import memory
    from torch._inductor.virtualized import V

    schedule: Any = memory.reorder_for_peak_memory

    def observed(nodes: Any, buffers: Any, fused: Any, inputs: Any, outputs: Any) -> Any:
        order = schedule(nodes, buffers, fused, inputs, outputs)
        # The peak of the buffers that are neither inputs nor outputs: no inputs are passed, and outputs are left out.
        timeline, *_ = memory.compute_memory_timeline(order, {}, outputs)
        scratch = [buffer for buffer in timeline if buffer.end_step != NEVER_FREED]
        peak, _ = memory.peak_memory_from_buf_info_list(scratch, len(order))
        frozen = sum(name.startswith(FROZEN) for name in V.graph.constants)
        _planned.append(PlannedGraph(int(peak), frozen))
        return order

    memory.reorder_for_peak_memory = observed  # type: ignore[assignment]


def readings(program: PyTorchProgram) -> dict[str, Reading]:
    """Every setting of the manifest, and those that only PyTorch has."""
    model, output = program.model, program.output
    compiled = program.compilation if program.compiles else None
    on_gpu = program.device == "cuda"
    kernel = next(parameter for parameter in model.parameters() if parameter.ndim == 4)
    parts = [*model.modules(), *getattr(model, "layers", ())]  # Keras' layers are not modules
    tensor = partial(torch.tensor, device=program.device)
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
        **arithmetic(lambda left, right: (tensor(left) * tensor(right)).cpu().numpy()),
        "branches_merged": any(name.endswith(".merged") for name, _ in model.named_modules()),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "constants": NOT_COMPILED,
    }  # fmt: skip
    if compiled is not None:
        scope, cache, _, constants = compiled.readings()
        read |= {
            "compiler": "inductor",
            "compile_scope": scope,
            "autotuning": autotuned or compiled.options["max_autotune"],
            "graphs": compiled.options["triton.cudagraphs"] if on_gpu else NO_GRAPHS_ON_CPU,
            "compilation_cache": cache,
            "constants": constants,
        }
    return read


def compiled_readings(program: PyTorchProgram) -> dict[str, int | Absent]:
    """TorchInductor's memory plan for a step. Arguments are used where they are, so their bytes are the tensors'."""
    compiled, output = program.compilation, program.output
    if compiled is None or not program.compiles:
        return nothing_compiled()
    resident = sum(tensor.nbytes for tensor in chain(program.model.parameters(), program.model.buffers()))
    return {
        "compiled_temporary_bytes": compiled.readings().scratch_bytes,
        "compiled_argument_bytes": resident + program.batch_bytes,
        "compiled_output_bytes": NOT_STEPPED if output is None else output.nbytes,
        "compiled_code_bytes": Absent("TorchInductor does not tell the size of its code"),
    }
