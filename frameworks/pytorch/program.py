"""The capabilities of PyTorch: running networks, ceilings of a device, outputs for `verify`, counting FLOPs."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from frameworks.api import matmul_operands, synchronised_step
from frameworks.blueprint import GlobalAveragePool, Network, has_batch_norm, infer_shapes
from frameworks.errors import Unsupported
from frameworks.manifest import DeviceMemory, Readings, Substitution, collect
from frameworks.process import configure_process, cpu_name, missing_bf16_unit
from frameworks.pytorch import build, settings
from frameworks.pytorch.framework import PYTORCH, inductor_folder, missing_toolchain
from frameworks.pytorch.layers import Dropout
from frameworks.pytorch.model import DTYPES
from frameworks.pytorch.settings import Compilation, precompile_header
from frameworks.recipes import AUTOMATIC, Device, Execution, Precision, require_tf32
from frameworks.rewrites import fold_batch_norm, merge_branches
from frameworks.task import Batch, Result, Task
from frameworks.weights import Weights, running_statistics

MAX_NETWORKS: Final = 256
NO_FLUSHING: Final = Substitution(
    "denormals flushed to zero", "PyTorch cannot do it on this processor", "denormals kept"
)
LAYOUTS: Final = {"NCHW": torch.contiguous_format, "NHWC": torch.channels_last}
OPTIONS: Final = {
    "freezing": ("compiler", "frozen"),
    "max_autotune": ("autotuning", "on"),
    "triton.cudagraphs": ("graphs", "on"),
}
"""Options of TorchInductor, each with the choice and its value that turn the option on."""
IN_DYNAMO: Final[Mapping[str, str]] = {"freezing": "prepare_freezing"}
"""Options that TorchDynamo has to know of, each with its own name for it.

TorchDynamo traces before the options of torch.compile apply. It would make parameters inputs of the graph, and freezing
would then find nothing to freeze, without a word.
"""


def devices() -> tuple[Device, ...]:
    """See frameworks.api.Prepares."""
    return ("cpu", "cuda") if torch.cuda.is_available() else ("cpu",)


def touch(device: Device) -> str:
    """See frameworks.api.Prepares."""
    require_device(device)
    torch.zeros(1, device=device).add_(1)
    return torch.cuda.get_device_name() if device == "cuda" else cpu_name()


def prepare(network: Network, weights: Weights, execution: Execution, task: Task) -> PyTorchProgram:
    """See frameworks.api.Prepares."""
    device, choices = execution.device, execution.recipe.choices
    require_device(device)
    set_matmul_precision(execution.precision, device)
    torch.backends.cudnn.benchmark = device == "cuda" and choices["autotuning"] == "on"
    if choices["threads"] != AUTOMATIC:
        torch.set_num_threads(int(choices["threads"]))
    missing = configure_process(PYTORCH, execution)
    # For this thread and those that it starts: the threads of PyTorch's pool inherit the mode when the first large
    # operation starts them. False if the processor cannot flush.
    flush = choices["denormals"] == "flushed"
    if not torch.set_flush_denormal(flush) and flush:
        missing = (*missing, NO_FLUSHING)

    normalised = has_batch_norm(network)
    if choices["batch_norm"] == "folded":
        network, weights = fold_batch_norm(network, weights)
    if choices["branches"] == "merged":
        network, weights = merge_branches(network, weights)
    layout = LAYOUTS[choices["layout"]]
    model = build(network, weights=weights, precision=execution.precision).to(device)
    model = model.to(memory_format=layout)  # type: ignore[call-overload]  # the stub has no such overload
    call: Callable[[Tensor], Tensor] = model
    compilation = None
    if choices["compiler"] != "none":
        options = {name: True for name, (choice, value) in OPTIONS.items() if choices[choice] == value}
        # A mean over all positions is a kernel, whatever oneDNN takes; a mere convolution needs none.
        kernels = any(isinstance(instance.layer, GlobalAveragePool) for instance in infer_shapes(network))
        call, compilation, without = compiled(model, device, options, kernels)
        missing = (*without, *missing)
    return PyTorchProgram(
        model, call, execution, normalised, layout=layout, compilation=compilation, substitutions=missing
    )


def compiled(
    model: nn.Module, device: Device, options: Mapping[str, bool] = MappingProxyType({}), kernels: bool = True
) -> tuple[Callable[[Tensor], Tensor], Compilation | None, tuple[Substitution, ...]]:
    """Compile a model with torch.compile, with these TorchInductor options on top of its defaults.

    kernels: whether TorchInductor certainly generates C++ kernels for it on a CPU. Their header is then precompiled
    early; without kernels that would be for nothing, and the first call would have to wait for it.

    Returns:
        The function that a step calls, its compilation, and what is unavailable: without a compiler the model runs
        eagerly, and there is no compilation.
    """
    missing = missing_toolchain(device, inductor_folder())
    if missing:
        return model, None, (Substitution("torch.compile", missing, "eager"),)

    from torch import _dynamo as dynamo  # importing it takes a second

    dynamo.config.recompile_limit = MAX_NETWORKS  # of one class in a process: the next one would run eagerly
    dynamo.config.fail_on_recompile_limit_hit = not dynamo.config.suppress_errors  # PyTorch refuses both together

    # Each shape by itself: otherwise a network would be compiled for all sizes, and run more slowly, if its process has
    # compiled another one.
    compilation = Compilation(options)
    switched_off = any(os.environ.get(name) == "1" for name in settings.SWITCHES)
    if device == "cpu" and kernels and not switched_off:
        compilation.header = precompile_header()
    return torch.compile(model, options=dict(options) or None, dynamic=False), compilation, ()


def set_matmul_precision(precision: Precision, device: Device) -> None:
    """Allow TF32 in float32 matmuls and convolutions for tf32, forbid it otherwise.

    Raises Unsupported for tf32 if the device has no TF32.
    """
    if precision == "tf32":
        require_tf32("pytorch", torch.cuda.get_device_capability() if device == "cuda" else None)
    torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")
    torch.backends.cudnn.allow_tf32 = precision == "tf32"


def require_device(device: Device) -> None:
    """Raise Unsupported if PyTorch does not see the device."""
    if device == "cuda" and not torch.cuda.is_available():
        built = torch.version.cuda or "none"
        raise Unsupported(f"pytorch: no usable CUDA device (torch {torch.__version__}, built for CUDA: {built})")


class PyTorchProgram:
    """A network on a device; see frameworks.api.Program.

    model: the module with the parameters. call: the function that a step calls. normalised: whether the network has
    batch norm. axes, layout: order of a batch's axes, and its memory format. compilation: None if nothing is compiled.
    """

    def __init__(
        self, model: nn.Module, call: Callable[[Tensor], Tensor], execution: Execution, normalised: bool, *,
        axes: Literal["NCHW", "NHWC"] = "NCHW", layout: torch.memory_format = torch.contiguous_format,
        compilation: Compilation | None = None, substitutions: tuple[Substitution, ...] = (),
    ) -> None:  # fmt: skip
        device, precision = execution.device, execution.precision
        self.model, self.compilation = model, compilation
        self.normalised = normalised
        self._call = call
        self.call: Callable[[Tensor], Tensor] = call if compilation is None else self._compiling_call
        self._missing = substitutions
        if precision == "bf16" and device == "cpu":
            self._missing += missing_bf16_unit("oneDNN")
        self.axes, self.layout = axes, layout
        self.dtype = DTYPES[precision]
        self.device = device
        self.layout_put = ""
        self.batch_bytes = 0
        self.output: Tensor | None = None
        self.events = [torch.cuda.Event(enable_timing=True) for _ in range(2)] if device == "cuda" else None
        self.preallocated = device == "cuda" and 2 * torch.cuda.memory_reserved() > torch.cuda.mem_get_info()[1]

    @property
    def substitutions(self) -> tuple[Substitution, ...]:
        """See frameworks.api.Program; what was not compiled, or not frozen, is known after the first step."""
        if self.compilation is None:
            return self._missing
        eager = self.compilation.eager(self.output is not None)
        unfrozen = self.compilation.options["freezing"] and self.compilation.readings().constants is False
        return (*eager, *([settings.NOT_FROZEN] if unfrozen and not eager else []), *self._missing)

    @property
    def compiles(self) -> bool:
        """Whether a step runs compiled code; before the first one, whether it is to compile."""
        eager = () if self.compilation is None else self.compilation.eager(self.output is not None)
        return self.compilation is not None and not any(missing.ran == "eager" for missing in eager)

    def _compiling_call(self, batch: Tensor) -> Tensor:
        """The first call, which compiles; from then on steps call the network directly.

        If the toolchain fails, the network runs eagerly, and `substitutions` says so.
        """
        from torch import _dynamo as dynamo

        assert self.compilation is not None
        known = {own: self.compilation.options[option] for option, own in IN_DYNAMO.items()}
        try:
            with dynamo.config.patch(known):
                output = self._call(batch)
        except Exception as error:
            why = settings.toolchain_failure(error)
            if why is None:
                raise
            self.compilation.failure = why
            self._call = self.model
            output = self.model(batch)
        if self.compilation.header and self.compilation.header.is_alive():
            self.compilation.header.join()  # no step may run beside the compiler
        self.call = self._call
        return output

    def put(self, batch: Batch) -> Tensor:
        """A tensor on the device, in the program's axis order, precision and memory format."""
        ordered = batch.images if self.axes == "NHWC" else batch.images.transpose(0, 3, 1, 2)
        tensor = torch.from_numpy(np.ascontiguousarray(ordered))
        placed = tensor.to(self.device, self.dtype).contiguous(memory_format=self.layout)
        self.layout_put = self.axes if placed.is_contiguous() else "NHWC"
        self.batch_bytes = placed.nbytes
        return placed

    def compile(self, batch: Tensor) -> bool:
        """Always False: torch.compile compiles within the first step."""
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

    def result(self, output: Tensor) -> Result:
        wide = output if output.dtype == torch.float64 else output.float()
        array = wide.cpu().numpy()
        return {"logits": np.moveaxis(array, 1, -1) if array.ndim == 4 else array}

    def query(self, batch: Batch) -> Result:
        return self.result(synchronised_step(self, self.put(batch)))

    def device_step_s(self) -> float | None:
        if self.events is None or self.output is None:
            return None
        begin, end = self.events
        return begin.elapsed_time(end) / 1000

    def readings(self) -> Readings:
        no_clock = settings.NO_EVENTS if self.events is None else None
        return collect(settings.readings(self), settings.compiled_readings(self), no_clock)

    def reset_device_memory(self) -> None:
        if self.device == "cuda":
            torch.cuda.reset_peak_memory_stats()

    def device_memory(self) -> DeviceMemory | None:
        if self.device != "cuda":
            return None
        return DeviceMemory(torch.cuda.max_memory_allocated(), torch.cuda.max_memory_reserved())


def matmul(n: int, precision: Precision, device: Device) -> Callable[[], Tensor]:
    """torch.mm into a preallocated tensor; see frameworks.api.HasCeilings."""
    require_device(device)
    set_matmul_precision(precision, device)
    left, right = (torch.from_numpy(operand).to(device, DTYPES[precision]) for operand in matmul_operands(n))
    result = torch.empty_like(left)
    return lambda: _synchronised(torch.mm(left, right, out=result))


def copy(size_bytes: int, device: Device) -> Callable[[], Tensor]:
    """Tensor.copy_ between two tensors on the device; see frameworks.api.HasCeilings."""
    require_device(device)
    source = torch.ones(size_bytes // 4, dtype=torch.float32, device=device)
    target = torch.zeros_like(source)
    return lambda: _synchronised(target.copy_(source))


def _synchronised(result: Tensor) -> Tensor:
    """Wait until the device has computed a result, and return it."""
    if result.device.type == "cuda":
        torch.cuda.synchronize()
    return result


def outputs(
    network: Network,
    weights: Weights,
    precision: Precision,
    batch: NDArray[np.floating[Any]],
    masks: Mapping[str, NDArray[np.floating[Any]]] | None = None,
    block_inputs: Mapping[str, NDArray[np.floating[Any]]] | None = None,
) -> Result:
    """See frameworks.api.Verifiable."""
    model = build(network, weights=weights, precision=precision)
    x = _nchw(batch, precision)
    if masks is not None:
        model.train()
        for path, mask in masks.items():
            dropout = model.get_submodule(path)
            assert isinstance(dropout, Dropout)
            dropout.mask = torch.from_numpy(mask)
    forced = None if block_inputs is None else {name: _nchw(array, precision) for name, array in block_inputs.items()}
    with torch.no_grad():
        blocks = model.blocks(x, forced)
    arrays = {name: np.moveaxis(block.numpy(), 1, -1) for name, block in blocks.items()}
    return arrays if masks is None else arrays | running_statistics(model.weights())


def _nchw(array: NDArray[np.floating[Any]], precision: Precision) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(array, -1, 1))).to(DTYPES[precision])


def count_flops(network: Network, weights: Weights, batch: int) -> float:
    """FLOPs as counted by torch.utils.flop_counter; see frameworks.api.CountsFlops."""
    from torch.utils.flop_counter import FlopCounterMode  # not needed by workers that measure

    model = build(network, weights=weights, precision="fp32")
    height, width, channels = network.input_shape
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        model(torch.zeros(batch, channels, height, width))
    return float(counter.get_total_flops())
