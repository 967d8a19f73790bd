"""The environment of commands whose start a claim times: with cached bytecode, as after a program's first start."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from xibench.workers import session


@contextmanager
def caching_bytecode() -> Iterator[dict[str, str]]:
    """Yield environment variables with which Python caches bytecode in a temporary folder, which is empty at first.

    PYTHONDONTWRITEBYTECODE, which containers and CI often set, makes every start of a source tree compile all of its
    modules again, which an installed program never does. The first command fills the folder; time those after it.
    """
    with tempfile.TemporaryDirectory(prefix="xibench-") as folder:
        variables = session.worker_environment() | {"PYTHONPYCACHEPREFIX": folder}
        variables.pop("PYTHONDONTWRITEBYTECODE", None)
        yield variables
