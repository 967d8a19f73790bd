"""The largest rates that PyTorch reaches on a device: a matrix product, and a copy. Each call is synchronised."""

from __future__ import annotations

from collections.abc import Callable

import torch

from frameworks.pytorch import recipes
from frameworks.pytorch.model import DTYPES
from frameworks.runtime import Precision, square_operands


def product(n: int, precision: Precision, device: str) -> Callable[[], torch.Tensor]:
    """torch.mm into a tensor of its own; see frameworks.runtime.Runtime."""
    recipes.require(device)
    recipes.set_products(precision, device)
    left, right = (torch.from_numpy(operand).to(device, DTYPES[precision]) for operand in square_operands(n))
    result = torch.empty_like(left)

    def multiply() -> torch.Tensor:
        with torch.inference_mode():
            torch.mm(left, right, out=result)
        return _finished(result)

    return multiply


def copy(size_bytes: int, device: str) -> Callable[[], torch.Tensor]:
    """Tensor.copy_ between two tensors that are both in memory; see frameworks.runtime.Runtime."""
    recipes.require(device)
    source = torch.ones(size_bytes // 4, dtype=torch.float32, device=device)
    target = torch.zeros_like(source)
    return lambda: _finished(target.copy_(source))


def _finished(result: torch.Tensor) -> torch.Tensor:
    if result.device.type == "cuda":
        torch.cuda.synchronize()
    return result
