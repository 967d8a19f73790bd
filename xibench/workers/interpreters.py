"""Which interpreter a framework's workers run in, and with which command and environment they are started.

The frameworks' CUDA libraries cannot share one environment: a framework may have `.venvs/<framework>` of its own, in
the checkout or in the current directory. Else its workers run in the parent's interpreter.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Final

from frameworks.api import FRAMEWORKS, framework_of

ROOT: Final = Path(__file__).resolve().parents[2]


def interpreter(framework: str) -> str:
    """The path of the Python that a framework's workers run in; a third-party implementation's is its framework's."""
    return str(_own(framework_of(framework)) or sys.executable)


def described() -> dict[str, str]:
    """Framework -> `parent` or `.venvs/<framework>`, for the record."""
    return {name: f".venvs/{name}" if _own(name) else "parent" for name in FRAMEWORKS}


def worker_command(framework: str | None = None) -> list[str]:
    """The command that starts a worker in a framework's interpreter, or in the parent's where no framework is named.

    -P: a folder `jax` or a file `torch.py` in the current directory must not stand in for the framework.
    """
    return [interpreter(framework) if framework else sys.executable, "-P", "-m", "xibench.workers"]


def environment() -> dict[str, str]:
    """The environment variables of such a process: the parent's, with our packages importable and preallocation off.

    JAX and TensorFlow take most of a card at the start unless told otherwise, and memory could not be measured.
    Cards are counted in the order of the bus, as NVML counts them, unless the user has another order.
    Thread counts are left alone: they are what a user would get.
    """
    variables = {
        **os.environ,
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
        "TF_FORCE_GPU_ALLOW_GROWTH": "true",
        "PYTHONUNBUFFERED": "1",  # a killed worker's last output must not be lost in a buffer
        "PYTHONFAULTHANDLER": "1",
    }
    variables.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    variables.setdefault("CUDA_DEVICE_ORDER", "PCI_BUS_ID")
    if ROOT.name not in ("site-packages", "dist-packages"):
        others = variables.get("PYTHONPATH")
        variables["PYTHONPATH"] = os.pathsep.join(filter(None, (str(ROOT), others)))
    return variables


def _own(framework: str) -> Path | None:
    for folder in (ROOT, Path.cwd()):
        python = folder / ".venvs" / framework / "bin" / "python"
        if python.exists():
            return python
    return None
