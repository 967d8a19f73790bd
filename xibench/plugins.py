"""Modules of a user's own that add metrics, scenarios or frameworks to the registries.

The environment variable XIBENCH_PLUGINS names them, separated by commas: `XIBENCH_PLUGINS=my_metrics,my_lab.scenarios`.
Every `xibench` command imports them when it starts, and so does every worker process, before it imports a framework. A
plugin must therefore not import a framework at module level: the framework would start before its process is
configured. Plugins are found as any module is: installed in the interpreter, or in a folder of
PYTHONPATH.
"""

from __future__ import annotations

import importlib
import os
from typing import Final

from xibench.errors import UsageError

VARIABLE: Final = "XIBENCH_PLUGINS"


def load() -> tuple[str, ...]:
    """Import the modules named in XIBENCH_PLUGINS. A module that has been imported already is not imported again.

    Returns:
        The names of the modules, in the order given; empty where the variable is unset or empty.

    Raises:
        UsageError: If a module cannot be imported, whatever it raised.
    """
    names = tuple(name for part in os.environ.get(VARIABLE, "").split(",") if (name := part.strip()))
    for name in names:
        try:
            importlib.import_module(name)
        except Exception as error:
            raise UsageError(
                f"{VARIABLE}: module {name} cannot be imported: {type(error).__name__}: {error}; expected modules that "
                "are installed or in a folder of PYTHONPATH, separated by commas; correct the variable or unset it"
            ) from error
    return names
