"""Descriptor of our implementation in PyTorch, and the choices of its recipes; imports no framework."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sysconfig
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from frameworks.api import Framework, Full
from frameworks.process import UNQUOTED, unusable_for_programs
from frameworks.recipes import BATCH_NORM, MEMORY, THREADS, Choice, Device, Setting
from frameworks.task import TaskName

if TYPE_CHECKING:
    from frameworks.pytorch import program

    _: Full = program

CHOICES: Final[Mapping[str, Choice]] = {
    "gradients": Choice({"none": Setting("torch.inference_mode", "no autograd bookkeeping")}),
    "layout": Choice({
        "NCHW": Setting("NCHW", "as in PyTorch's introduction"),
        "NHWC": Setting(
            "channels-last memory format", "convolutions of oneDNN and cuDNN run on it without reordering"
        ),
    }),
    "batch_norm": BATCH_NORM,
    "branches": Choice({
        "separate": None,
        "merged": Setting(
            "1 x 1 convolutions of the same input merged",
            "one convolution reads the input once, and average pools behind it have fewer channels; exact in real "
            "arithmetic",
        ),
    }),
    "compiler": Choice({
        "none": Setting("eager", "as in PyTorch's introduction"),
        "inductor": Setting("torch.compile(model, dynamic=False)", "TorchInductor with its default options"),
        "frozen": Setting(
            "torch.compile with freezing",
            "parameters are constants: reordered once for oneDNN or cuDNN, with subsequent operations fused",
        ),
    }),
    "autotuning": Choice({
        "off": None, "on": Setting("autotuning", "kernels are chosen per shape by timing them"),
    }),
    "graphs": Choice(
        {"off": None, "on": Setting("CUDA graphs", "one launch per step instead of one per kernel")},
        devices=("cuda",),
    ),
    "denormals": Choice({
        "kept": None,
        "flushed": Setting(
            "torch.set_flush_denormal(True)",
            "some CPUs compute with numbers below 1.2e-38 many times more slowly; TensorFlow and XLA always flush them",
        ),
    }, devices=("cpu",)),
    "memory": MEMORY,
    "threads": THREADS,
}  # fmt: skip
COMPILED: Final[Mapping[str, str]] = {"compiler": "inductor"}
TUNED: Final[Mapping[tuple[TaskName, Device], Mapping[str, str]]] = {
    ("infer", "cpu"): {
        "layout": "NHWC", "batch_norm": "folded", "branches": "merged", "compiler": "frozen", "denormals": "flushed",
        "memory": "kept",
    },
    ("infer", "cuda"): {
        "layout": "NHWC", "batch_norm": "folded", "compiler": "frozen", "autotuning": "on", "graphs": "on",
    },
}  # fmt: skip


def conflict(choices: Mapping[str, str], device: Device) -> str | None:
    """Why a combination of choices is impossible, None if it is possible.

    In eager mode, TorchInductor's CUDA graphs and, on a CPU, its autotuning would have no effect.
    """
    if choices["compiler"] != "none":
        return None
    for name in ("graphs", "autotuning"):
        if choices[name] == "on" and (name == "graphs" or device == "cpu"):
            return f"{name} is 'on' and compiler is 'none', expected a compiler with it"
    return None


def missing_toolchain(device: Device = "cpu", programs: str | None = None) -> str | None:
    """Why TorchInductor cannot generate code for this device, and what to do about it; None if it can.

    For a CPU it runs $CXX or g++, and its code includes Python.h; for a GPU it needs Triton.

    Args:
        device: cpu or cuda.
        programs: the folder that compiled programs are put into; None: it is not examined.
    """
    unusable = programs and unusable_for_programs(programs)
    if unusable:
        return f"TorchInductor cannot use {programs} for compiled programs: {unusable}; name another folder in TMPDIR"
    if device == "cuda":
        found = importlib.util.find_spec("triton")
        return None if found else "TorchInductor needs Triton on a GPU, it is not installed"
    compiler = os.environ.get("CXX", "g++")
    if shutil.which(compiler) is None:
        return f"TorchInductor needs a C++ compiler, {compiler} was not found (apt install g++)"
    if not Path(sysconfig.get_path("include"), "Python.h").is_file():
        return "TorchInductor needs Python.h, which is not installed (apt install python3-dev)"
    return None


def inductor_folder() -> str:
    """The folder that decides whether TorchInductor can build programs in this process.

    It is that of its cache; or that for temporary files, which it compiles headers in, if the path of that is unusable.
    """
    temporary = tempfile.gettempdir()
    return temporary if UNQUOTED.search(temporary) else os.environ.get("TORCHINDUCTOR_CACHE_DIR") or temporary


PYTORCH: Final = Framework(
    name="pytorch",
    label="PyTorch",
    what="ours, in PyTorch",
    colour=("#d55e00", "#f0803c"),
    program="frameworks.pytorch.program",
    module="torch",
    install="pip install 'xibench[pytorch]'",
    distributions=("torch",),
    choices=CHOICES,
    compiled=COMPILED,
    tuned=TUNED,
    conflict=conflict,
    missing_toolchain=missing_toolchain,
    flop_counter="torch.utils.flop_counter.FlopCounterMode",
)
