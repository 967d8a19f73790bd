"""PyTorch behind the protocol of frameworks.runtime."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from frameworks.blueprint import Network, has_batch_norm
from frameworks.manifest import CompiledMemory, Setting, compiled_memory, present, reasons
from frameworks.pytorch import recipes, settings
from frameworks.pytorch.ceilings import copy as copy
from frameworks.pytorch.ceilings import product as product
from frameworks.pytorch.layers import Dropout
from frameworks.pytorch.model import DTYPES, build
from frameworks.pytorch.recipes import Prepared
from frameworks.pytorch.recipes import recipe as recipe
from frameworks.runtime import DeviceMemory, Precision, bf16_on_cpu, cpu_name, synchronised_step
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
    recipes.set_products(precision, device)
    prepared = recipes.prepare(network, weights, recipe, precision, device)
    return PyTorchSubject(prepared, has_batch_norm(network), precision, device)


def count_flops(network: Network, weights: Weights, batch: int) -> float:
    """What torch.utils.flop_counter counts; see frameworks.runtime.Runtime."""
    from torch.utils.flop_counter import FlopCounterMode  # no worker that times anything needs it

    model = build(network, weights=weights, precision="fp32")
    height, width, channels = network.input_shape
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        model(torch.zeros(batch, channels, height, width))
    return float(counter.get_total_flops())


def outputs(
    network: Network,
    weights: Weights,
    precision: Precision,
    batch: NDArray[np.floating[Any]],
    masks: Mapping[str, NDArray[np.floating[Any]]] | None = None,
    given: Mapping[str, NDArray[np.floating[Any]]] | None = None,
) -> dict[str, NDArray[np.floating[Any]]]:
    """One forward pass on the CPU for `verify`; see frameworks.runtime.Runtime."""
    model = build(network, weights=weights, precision=precision)
    x = _nchw(batch, precision)
    if masks is not None:
        model.train()
        for path, mask in masks.items():
            dropout = model.get_submodule(path)
            assert isinstance(dropout, Dropout)
            dropout.mask = torch.from_numpy(mask)
    with torch.no_grad():
        blocks = model.blocks(x, None if given is None else {n: _nchw(array, precision) for n, array in given.items()})
    arrays = {name: np.moveaxis(block.numpy(), 1, -1) for name, block in blocks.items()}
    return arrays if masks is None else arrays | running_statistics(model.weights())


def _nchw(array: NDArray[np.floating[Any]], precision: Precision) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(array, -1, 1))).to(DTYPES[precision])


class PyTorchSubject:
    """A network as a recipe prepared it, on a device. normalised: whether the network has batch norm."""

    def __init__(self, prepared: Prepared, normalised: bool, precision: Precision, device: str) -> None:
        self.model, self.call, self.compilation = prepared.model, prepared.call, prepared.compilation
        self.normalised = normalised
        self.substitutions = (*prepared.substitutions, *bf16_on_cpu("oneDNN", precision, device))
        self.axes, self.layout = prepared.axes, prepared.layout
        self.dtype = DTYPES[precision]
        self.device = device
        self.layout_put = ""
        self.batch_bytes = 0
        self.output: Tensor | None = None
        self.events = [torch.cuda.Event(enable_timing=True) for _ in range(2)] if device == "cuda" else None
        self.preallocated = device == "cuda" and 2 * torch.cuda.memory_reserved() > torch.cuda.mem_get_info()[1]

    def put(self, batch: NDArray[np.float32]) -> Tensor:
        """NHWC float32 -> a tensor on the device with the subject's axes, precision and memory format."""
        ordered = batch if self.axes == "NHWC" else batch.transpose(0, 3, 1, 2)
        tensor = torch.from_numpy(np.ascontiguousarray(ordered))
        placed = tensor.to(self.device, self.dtype).contiguous(memory_format=self.layout)
        self.layout_put = self.axes if placed.is_contiguous() else "NHWC"
        self.batch_bytes = placed.nbytes
        return placed

    def compile(self, batch: Tensor) -> bool:
        """False: torch.compile works within the first step."""
        return False

    def step(self, batch: Tensor) -> Tensor:
        with torch.inference_mode():
            if self.events is None:
                return self.call(batch)
            begin, end = self.events
            begin.record()
            output = self.call(batch)
            end.record()
            return output

    def synchronise(self, output: Tensor) -> None:
        self.output = output
        if self.device == "cuda":
            torch.cuda.synchronize()

    def fetch(self, output: Tensor) -> NDArray[np.floating]:
        wide = output if output.dtype == torch.float64 else output.float()
        array = wide.cpu().numpy()
        return np.moveaxis(array, 1, -1) if array.ndim == 4 else array

    def query(self, batch: NDArray[np.float32]) -> NDArray[np.floating]:
        return self.fetch(synchronised_step(self, self.put(batch)))

    def device_step_s(self) -> float | None:
        if self.events is None or self.output is None:
            return None
        begin, end = self.events
        return begin.elapsed_time(end) / 1000

    def settings(self) -> dict[str, Setting]:
        return present(settings.readings(self))

    def compiled_memory(self) -> CompiledMemory:
        return compiled_memory(settings.compiled_readings(self))

    def absent(self) -> dict[str, str]:
        device = {"device_steps_s": settings.NO_EVENTS} if self.events is None else {}
        return reasons(settings.readings(self) | settings.compiled_readings(self) | device)

    def reset_device_memory(self) -> None:
        if self.device == "cuda":
            torch.cuda.reset_peak_memory_stats()

    def device_memory(self) -> DeviceMemory | None:
        if self.device != "cuda":
            return None
        return DeviceMemory(torch.cuda.max_memory_allocated(), torch.cuda.max_memory_reserved())
