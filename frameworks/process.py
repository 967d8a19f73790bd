"""Process-level settings that must be made before a framework is imported: the allocator and the number of threads.

A worker is started with the variables of `process_environment`; `configure_process` makes the same settings in a
process that is already running, and reports those that are no longer possible. Imports no framework.
"""

from __future__ import annotations

import os
import sys
from typing import Final

from frameworks import allocator
from frameworks.api import Framework
from frameworks.manifest import Substitution
from frameworks.recipes import AUTOMATIC, Execution

NO_MALLOPT: Final = Substitution(
    "memory kept by the allocator", "this C library has no mallopt", "the allocator's defaults"
)


def process_environment(framework: Framework, execution: Execution) -> dict[str, str]:
    """Environment variables for a process that is to run this execution; empty if it needs none."""
    variables = dict(allocator.VARIABLES) if execution.choices.get("memory") == "kept" else {}
    threads = execution.choices.get("threads", AUTOMATIC)
    if framework.threads_variable and threads != AUTOMATIC:
        variables[framework.threads_variable] = threads
    return variables


def configure_process(framework: Framework, execution: Execution) -> tuple[Substitution, ...]:
    """Make the settings of an execution in this process, as far as its environment has not made them already.

    Call it before the framework is imported. Later the allocator can still be set, the number of threads cannot.

    Returns:
        What was not possible, and what the process uses instead.
    """
    missing: list[Substitution] = []
    if execution.choices.get("memory") == "kept" and allocator.kept() is not True and not allocator.keep():
        missing.append(NO_MALLOPT)
    threads, variable = execution.choices.get("threads", AUTOMATIC), framework.threads_variable
    if variable and threads != AUTOMATIC and os.environ.get(variable) != threads:
        if framework.module in sys.modules:
            why = "the framework had started its threads already"
            missing.append(Substitution(f"{threads} threads", why, "the number that it chose"))
        else:
            os.environ[variable] = threads
    return tuple(missing)
