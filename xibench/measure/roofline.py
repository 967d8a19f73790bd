"""The roofline: what a device's measured ceilings would allow (Williams, Waterman and Patterson 2009, CACM 52(4))."""

from __future__ import annotations

from collections.abc import Iterable


def layer_s(flops: float, bytes_moved: float, peak_flops_per_s: float, bytes_per_s: float) -> float:
    """Seconds that a layer takes at least: its arithmetic at the peak or its traffic at the bandwidth, the longer.

    Raises ValueError unless both ceilings are above 0.
    """
    if peak_flops_per_s <= 0 or bytes_per_s <= 0:
        raise ValueError(
            f"a roofline needs ceilings above 0, received {peak_flops_per_s} FLOP/s and {bytes_per_s} bytes/s"
        )
    return max(flops / peak_flops_per_s, bytes_moved / bytes_per_s)


def attainable_s(layers: Iterable[tuple[float, float]], peak_flops_per_s: float, bytes_per_s: float) -> float:
    """Seconds that a network takes at least, its layers one after another; 0 without layers.

    layers: FLOPs and bytes moved of each. Raises ValueError unless both ceilings are above 0.
    """
    return sum(layer_s(flops, moved, peak_flops_per_s, bytes_per_s) for flops, moved in layers)
