"""What a recipe may choose in PyTorch, and what `compiled` and `tuned` choose. Imports no framework."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from frameworks.precision import Device
from frameworks.recipes import BATCH_NORM, MEMORY, THREADS, Choice, Setting
from frameworks.task import TaskName

CHOICES: Final[Mapping[str, Choice]] = {
    "gradients": Choice({"none": Setting("torch.inference_mode", "no autograd bookkeeping")}),
    "layout": Choice({
        "NCHW": Setting("NCHW", "as the documentation's first page shows"),
        "NHWC": Setting(
            "channels-last memory format", "oneDNN's and cuDNN's convolutions run on it without reordering"
        ),
    }),
    "batch_norm": BATCH_NORM,
    "compiler": Choice({
        "none": Setting("eager", "as the documentation's first page shows"),
        "inductor": Setting("torch.compile(model)", "TorchInductor with its default options"),
        "frozen": Setting(
            "torch.compile with freezing",
            "parameters are constants: they are laid out for oneDNN or cuDNN once, and what follows is fused",
        ),
    }),
    "autotuning": Choice({
        "off": None, "on": Setting("autotuning", "kernels are picked per shape by timing them"),
    }),
    "graphs": Choice(
        {"off": None, "on": Setting("CUDA graphs", "a step is launched at once, not kernel by kernel")},
        devices=("cuda",),
    ),
    "memory": MEMORY,
    "threads": THREADS,
}  # fmt: skip
COMPILED: Final[Mapping[str, str]] = {"compiler": "inductor"}
TUNED: Final[Mapping[tuple[TaskName, Device], Mapping[str, str]]] = {
    ("infer", "cpu"): {"layout": "NHWC", "batch_norm": "folded", "compiler": "frozen", "memory": "kept"},
    ("infer", "cuda"): {
        "layout": "NHWC", "batch_norm": "folded", "compiler": "frozen", "autotuning": "on", "graphs": "on",
    },
}  # fmt: skip


def conflict(choices: Mapping[str, str], device: Device) -> str | None:
    """Why these choices cannot go together, None if they can.

    In eager mode TorchInductor's CUDA graphs and, on a CPU, its autotuning would be named and not carried out.
    """
    if choices["compiler"] != "none":
        return None
    for name in ("graphs", "autotuning"):
        if choices[name] == "on" and (name == "graphs" or device == "cpu"):
            return f"{name} is 'on' where compiler is 'none', expected a compiler beside it"
    return None
