"""What TorchInductor reports about the graphs that it compiled: number, origin and scratch memory.

TorchInductor computes the scratch memory of a schedule to choose the order of its nodes, but does not keep the figure.
Importing this module therefore wraps its scheduler. The import takes a second: import it only to compile.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from torch._dynamo.utils import counters
from torch._inductor import config, memory

from frameworks.manifest import NOT_STEPPED, Absent

NEVER_FREED: Final = -1  # last step of a buffer that is an output of the graph

_planned: list[int] = []
"""Scratch memory in bytes of every graph that was scheduled in this process."""


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
        self.options: dict[str, bool] = {
            "freezing": config.freezing,
            "max_autotune": config.max_autotune,
            "triton.cudagraphs": config.triton.cudagraphs,
            **options,
        }
        self._graphs_before = counters["stats"]["unique_graphs"]
        self._hits_before = counters["inductor"]["fxgraph_cache_hit"]
        self._planned_before = len(_planned)

    def readings(self) -> CompilationReadings:
        """Scope, cache and scratch memory; `NOT_STEPPED` before the first step, which compiles."""
        graphs = counters["stats"]["unique_graphs"] - self._graphs_before
        hits = counters["inductor"]["fxgraph_cache_hit"] - self._hits_before
        planned = _planned[self._planned_before :]
        scope: str | Absent = NOT_STEPPED
        scratch: int | Absent = NOT_STEPPED
        if graphs:
            scope = "forward" if graphs == 1 else f"forward in {graphs} graphs"
            scratch = Absent("TorchInductor planned nothing, its disk cache gave the program")
        if planned:
            scratch = max(planned)
        cache = "off" if not config.fx_graph_cache else NOT_STEPPED if not graphs else "warm" if hits else "cold"
        return CompilationReadings(scope, cache, scratch)


_schedule: Final[Callable[..., Any]] = memory.reorder_for_peak_memory


def _observed_schedule(nodes: Any, buffers: Any, fused: Any, inputs: Any, outputs: Any) -> Any:
    """Schedule the nodes as TorchInductor does, and keep the schedule's scratch memory."""
    order = _schedule(nodes, buffers, fused, inputs, outputs)
    _planned.append(_scratch_bytes(order, outputs))
    return order


memory.reorder_for_peak_memory = _observed_schedule  # type: ignore[assignment]


def _scratch_bytes(order: Any, outputs: Any) -> int:
    """Peak size of the buffers that are neither inputs nor outputs. Inputs are left out by passing none to be freed."""
    timeline: Callable[..., Any] = memory.compute_memory_timeline
    buffers, *_ = timeline(order, {}, outputs)
    scratch = [buffer for buffer in buffers if buffer.end_step != NEVER_FREED]
    peak, _ = memory.peak_memory_from_buf_info_list(scratch, len(order))
    return int(peak)
