"""What an execution needs of its process before the framework is imported: the allocator, and a number of threads.

The parent of a worker passes `process_environment` to it; `configure_process` does the same in a process that is
running already, and says what came too late. Imports no framework.
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
    "memory kept by the allocator", "this C library has no mallopt", "an allocator as it is by itself"
)


def process_environment(framework: Framework, execution: Execution) -> dict[str, str]:
    """The environment variables of a process that is to run this execution; empty if it needs none."""
    variables = dict(allocator.VARIABLES) if execution.choices.get("memory") == "kept" else {}
    threads = execution.choices.get("threads", AUTOMATIC)
    if framework.threads_variable and threads != AUTOMATIC:
        variables[framework.threads_variable] = threads
    return variables


def configure_process(framework: Framework, execution: Execution) -> tuple[Substitution, ...]:
    """Do in this process what its environment has not done, and return what is not possible any more.

    Call it before the framework is imported. Afterwards the allocator can still be set, the number of threads cannot.
    """
    missing: list[Substitution] = []
    if execution.choices.get("memory") == "kept" and allocator.kept() is not True and not allocator.keep():
        missing.append(NO_MALLOPT)
    threads, variable = execution.choices.get("threads", AUTOMATIC), framework.threads_variable
    if variable and threads != AUTOMATIC and os.environ.get(variable) != threads:
        if framework.module in sys.modules:
            why = "the framework had started its own before the recipe was known"
            missing.append(Substitution(f"{threads} threads", why, "as many as it chose"))
        else:
            os.environ[variable] = threads
    return tuple(missing)
