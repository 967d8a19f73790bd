"""The toy framework's capabilities: it prepares networks and can be verified, but has no ceilings or FLOP counter."""

from __future__ import annotations

from typing import TYPE_CHECKING

from frameworks.blueprint import Network
from frameworks.recipes import Device, Execution
from frameworks.reference.program import ReferenceProgram, outputs
from frameworks.task import Task
from frameworks.weights import Weights

if TYPE_CHECKING:
    from frameworks.api import Program

__all__ = ["devices", "outputs", "prepare", "touch"]


def devices() -> tuple[Device, ...]:
    """It computes on the CPU."""
    return ("cpu",)


def touch(device: Device) -> str:
    """The device's name."""
    return f"abacus on {device}"


def prepare(network: Network, weights: Weights, execution: Execution, task: Task) -> Program:
    """The network as a program; every recipe runs the same."""
    return ReferenceProgram(network, weights, execution.precision)
