"""The precisions and devices of cases, and what a device must support for them. Imports no framework."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, get_args

from frameworks.errors import Unsupported

Device = Literal["cpu", "cuda"]
DEVICES: Final[tuple[Device, ...]] = get_args(Device)
Precision = Literal["fp64", "fp32", "tf32", "bf16"]
PRECISIONS: Final[Mapping[Precision, str]] = {
    "fp64": "kernels, activations and batch norm in float64",
    "fp32": "everything in float32; TF32 off",
    "tf32": "as fp32, but float32 matmuls and convolutions may run in TF32; on NVIDIA GPUs since Ampere",
    "bf16": "kernels and activations in bfloat16; batch-norm parameters and statistics stay in float32",
}
MIN_CAPABILITY_FOR_TF32: Final = (8, 0)
"""Ampere, the first architecture with TF32 (CUDA C++ programming guide, table of compute capabilities)."""


def require(framework: str, precision: Precision, capability: tuple[int, int] | None) -> None:
    """Raise Unsupported for tf32 on a device without TF32, where it would silently be fp32.

    Args:
        framework: its name, for the message.
        precision: of the case.
        capability: the device's CUDA compute capability; None for a CPU.
    """
    if precision != "tf32" or (capability and capability >= MIN_CAPABILITY_FOR_TF32):
        return
    found = f"a GPU of compute capability {capability[0]}.{capability[1]}" if capability else "this device"
    raise Unsupported(
        f"{framework}: {found} has no TF32; expected an NVIDIA GPU of compute capability 8.0 or higher; use fp32"
    )
