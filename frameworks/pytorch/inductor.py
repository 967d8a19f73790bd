"""What TorchInductor says of what it compiled: how many graphs, from which cache, with how much scratch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from torch._dynamo.utils import counters
from torch._inductor import config, memory

from frameworks.manifest import NOT_STEPPED, Absent

_planned: list[int] = []
"""Scratch of every graph that was scheduled in this process, in bytes."""


class Compilation:
    """Compilations since this object was made; one network's, if nothing else is compiled meanwhile.

    options: of TorchInductor, where they are not its defaults.
    """

    def __init__(self, options: Mapping[str, bool]) -> None:
        _observe_planning()
        self._options = options
        self._before = _counts()
        self._planned_before = len(_planned)

    @property
    def graphs(self) -> int:
        """How many graphs the network became; 0 before the first step."""
        return self._since("graphs")

    @property
    def scope(self) -> str | Absent:
        """What one graph holds."""
        if not self.graphs:
            return NOT_STEPPED
        return "forward" if self.graphs == 1 else f"forward in {self.graphs} graphs"

    @property
    def cache(self) -> str | Absent:
        """What the disk cache gave."""
        if not config.fx_graph_cache:
            return "off"
        return NOT_STEPPED if not self.graphs else "warm" if self._since("hits") else "cold"

    @property
    def temporary_bytes(self) -> int | Absent:
        """The most scratch that any of the graphs needs, by the lifetimes of buffers in the scheduler's order."""
        planned = _planned[self._planned_before :]
        if planned:
            return max(planned)
        return Absent("TorchInductor planned nothing, its disk cache gave the program") if self.graphs else NOT_STEPPED

    def option(self, name: str) -> bool:
        """What holds of an option: what was asked for, else TorchInductor's own default."""
        owner, _, last = name.rpartition(".")
        return bool(self._options.get(name, getattr(getattr(config, owner) if owner else config, last)))

    def _since(self, name: str) -> int:
        return _counts()[name] - self._before[name]


def _counts() -> Counter[str]:
    return Counter(graphs=counters["stats"]["unique_graphs"], hits=counters["inductor"]["fxgraph_cache_hit"])


def _observe_planning() -> None:
    """Notes the scratch of each schedule. TorchInductor computes it to pick an order of nodes, and keeps no figure."""
    schedule = memory.reorder_for_peak_memory
    if getattr(schedule, "observed", False):
        return

    def observed(nodes: Any, buffers: Any, fused: Any, inputs: Any, outputs: Any) -> Any:
        order = schedule(nodes, buffers, fused, inputs, outputs)
        _planned.append(_scratch_bytes(order, outputs))
        return order

    observed.observed = True  # type: ignore[attr-defined]
    memory.reorder_for_peak_memory = observed  # type: ignore[assignment]


def _scratch_bytes(order: Any, outputs: Any) -> int:
    """Peak of the buffers that are neither inputs nor outputs. Without lists of inputs to free, none is counted."""
    timeline: Callable[..., Any] = memory.compute_memory_timeline
    buffers, *_ = timeline(order, {}, outputs)
    never_freed = -1
    scratch = [buffer for buffer in buffers if buffer.end_step != never_freed]
    peak, _ = memory.peak_memory_from_buf_info_list(scratch, len(order))
    return int(peak)
