"""Descriptor of our implementation in PyTorch; imports no framework."""

from __future__ import annotations

import os
import shutil
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING, Final

from frameworks.api import Framework, Full
from frameworks.pytorch.recipes import CHOICES, COMPILED, TUNED, conflict

if TYPE_CHECKING:
    from frameworks.pytorch import program

    _: Full = program


def missing_toolchain() -> str | None:
    """Why TorchInductor cannot generate code for this CPU, and what to install; None if it can.

    It runs $CXX or g++, and its code includes Python.h.
    """
    compiler = os.environ.get("CXX", "g++")
    if shutil.which(compiler) is None:
        return f"TorchInductor needs a C++ compiler, {compiler} was not found (apt install g++)"
    if not Path(sysconfig.get_path("include"), "Python.h").is_file():
        return "TorchInductor needs Python.h, which is not installed (apt install python3-dev)"
    return None


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
