"""This machine in asv's file of machines, with the facts that figures depend on and asv does not look for."""

from __future__ import annotations

import json
import platform
from pathlib import Path
from typing import Final

from xibench.errors import InputError, UsageError
from xibench.record import environment
from xibench.workers import session

FORMAT: Final = 1  # of the file, by asv 0.6
NAME_CHARACTERS: Final = "letters, digits, '.', '-' and '_', because asv names a folder after it"


def describe(name: str) -> dict[str, str]:
    """Return the entry of this machine: the fields of asv, and gpu, driver, cpu_flags, frameworks.

    Args:
        name: What the machine is called in results.

    Raises:
        UsageError: The name cannot be that of a folder.
    """
    if not name or name.startswith(".") or not all(c.isascii() and (c.isalnum() or c in ".-_") for c in name):
        raise UsageError(f"--asv-machine: received '{name}', expected {NAME_CHARACTERS}")
    found = environment.read(session.interpreters())
    gpus = [gpu.name for gpu in found.gpus]
    drivers = sorted({gpu.driver for gpu in found.gpus if gpu.driver})
    return {
        "machine": name,
        "os": f"{platform.system()} {platform.release()}",
        "arch": platform.machine(),
        "cpu": found.cpu_model or "unknown",
        "num_cpu": str(found.cores_usable),
        "ram": str(found.memory_bytes),
        "gpu": ", ".join(gpus) or "none",
        "driver": ", ".join(drivers) or "none",
        "cpu_flags": " ".join(found.cpu_flags),
    }


def write(path: Path, machine: dict[str, str]) -> None:
    """Add a machine to asv's file, or replace the one of its name. The others stay as they are.

    Raises:
        InputError: The file is damaged, of another format, or cannot be written.
    """
    try:
        known = json.loads(path.read_text()) if path.exists() else {"version": FORMAT}
        if not isinstance(known, dict) or known.get("version") != FORMAT:
            raise InputError(f"{path} is no file of machines of asv in format {FORMAT}; `asv machine` writes one")
        path.write_text(json.dumps({**known, machine["machine"]: machine}, indent=4) + "\n")
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read or written: {error}; `asv machine --yes` writes a new one") from error
