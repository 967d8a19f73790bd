"""PyTorch behind the protocol of frameworks.runtime."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from frameworks.blueprint import Network
from frameworks.pytorch import recipes
from frameworks.pytorch.layers import Dropout
from frameworks.pytorch.model import DTYPES, build
from frameworks.pytorch.recipes import recipe as recipe
from frameworks.runtime import DeviceMemory, Precision, Setting, Substitution, bf16_on_cpu, cpu_name
from frameworks.weights import Weights, running_statistics


def devices() -> tuple[str, ...]:
    """The devices that PyTorch sees."""
    return ("cpu", "cuda") if torch.cuda.is_available() else ("cpu",)


def touch(device: str) -> str:
    """Initialises the device and returns its name. Raises Unsupported if PyTorch does not see it."""
    recipes.require(device)
    torch.zeros(1, device=device).add_(1)
    return torch.cuda.get_device_name() if device == "cuda" else cpu_name()


def prepare(network: Network, weights: Weights, recipe: str, precision: Precision, device: str) -> PyTorchSubject:
    """The network on the device as the recipe says. Raises Unsupported if PyTorch does not see the device."""
    recipes.require(device)
    torch.set_float32_matmul_precision("highest")  # TF32 off
    torch.backends.cudnn.allow_tf32 = False
    return PyTorchSubject(network, weights, recipe, precision, device)


def outputs(
    network: Network,
    weights: Weights,
    precision: Precision,
    batch: NDArray[np.floating[Any]],
    mask: NDArray[np.floating[Any]] | None = None,
    given: Mapping[str, NDArray[np.floating[Any]]] | None = None,
) -> dict[str, NDArray[np.floating[Any]]]:
    """One forward pass on the CPU for `verify`; see frameworks.runtime.Runtime."""
    model = build(network, weights=weights, precision=precision)
    x = _nchw(batch, precision)
    if mask is not None:
        model.train()
        dropout = model.get_submodule("head.dropout")
        assert isinstance(dropout, Dropout)
        dropout.mask = torch.from_numpy(mask)
    with torch.no_grad():
        blocks = model.blocks(x, None if given is None else {n: _nchw(array, precision) for n, array in given.items()})
    arrays = {name: np.moveaxis(block.numpy(), 1, -1) for name, block in blocks.items()}
    return arrays if mask is None else arrays | running_statistics(model.weights())


def _nchw(array: NDArray[np.floating[Any]], precision: Precision) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(array, -1, 1))).to(DTYPES[precision])


class PyTorchSubject:
    """A Model and the callable that a step runs."""

    def __init__(self, network: Network, weights: Weights, recipe: str, precision: Precision, device: str) -> None:
        self.model, self.call, lacking = recipes.prepare(network, weights, recipe, precision, device)
        self.substitutions: tuple[Substitution, ...] = (*lacking, *bf16_on_cpu("oneDNN", precision, device))
        self.layout = torch.channels_last if recipe == "tuned" else torch.contiguous_format
        self.dtype = DTYPES[precision]
        self.device = device
        self.layout_put = ""
        self.output: Tensor | None = None

    def put(self, batch: NDArray[np.float32]) -> Tensor:
        """NHWC float32 -> a NCHW tensor on the device, in the subject's precision and memory format."""
        tensor = torch.from_numpy(np.ascontiguousarray(batch.transpose(0, 3, 1, 2)))
        placed = tensor.to(self.device, self.dtype).contiguous(memory_format=self.layout)
        self.layout_put = "NCHW" if placed.is_contiguous() else "NHWC"
        return placed

    def compile(self, batch: Tensor) -> bool:
        """False: torch.compile works within the first step."""
        return False

    def step(self, batch: Tensor) -> Tensor:
        with torch.inference_mode():
            return self.call(batch)

    def synchronise(self, output: Tensor) -> None:
        self.output = output
        if self.device == "cuda":
            torch.cuda.synchronize()

    def fetch(self, output: Tensor) -> NDArray[np.floating]:
        wide = output if output.dtype == torch.float64 else output.float()
        return wide.cpu().numpy()

    def settings(self) -> dict[str, Setting]:
        kernel = next(p for name, p in self.model.named_parameters() if name.endswith(".conv.kernel"))
        settings: dict[str, Setting] = {
            "layout": self.layout_put,
            "batch_norm_folded": not any(name.endswith(".mean") for name, _ in self.model.named_buffers()),
            "compiler": "inductor" if self.call is not self.model else "none",
            "float32_matmul_precision": torch.get_float32_matmul_precision(),
            "kernel_dtype": str(kernel.dtype).removeprefix("torch."),
            "tf32": bool(torch.backends.cuda.matmul.allow_tf32 or torch.backends.cudnn.allow_tf32),
            "threads": torch.get_num_threads(),
            "interop_threads": torch.get_num_interop_threads(),
            "onednn": torch.backends.mkldnn.is_available() and bool(torch.backends.mkldnn.enabled),
            "cpu_capability": torch.backends.cpu.get_cpu_capability(),
            "output_device": None if self.output is None else self.output.device.type,
            "output_dtype": None if self.output is None else str(self.output.dtype).removeprefix("torch."),
        }
        if self.device == "cuda":
            settings["cudnn_benchmark"] = torch.backends.cudnn.benchmark
        return settings

    def reset_device_memory(self) -> None:
        if self.device == "cuda":
            torch.cuda.reset_peak_memory_stats()

    def device_memory(self) -> DeviceMemory | None:
        if self.device != "cuda":
            return None
        return DeviceMemory(torch.cuda.max_memory_allocated(), torch.cuda.max_memory_reserved())
