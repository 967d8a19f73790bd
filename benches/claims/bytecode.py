"""The environment of commands whose start a claim times: with cached bytecode, as after a program's first start."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from xibench.workers import session


@contextmanager
def caching_bytecode() -> Iterator[dict[str, str]]:
    """Environment variables with which Python caches bytecode in a folder of its own, empty at first.

    PYTHONDONTWRITEBYTECODE, which containers and CI often set, makes every start of a source tree compile all of its
    modules again. An installed program never does, and such starts time Python's compiler. The first command fills the
    folder; time those after it.
    """
    with tempfile.TemporaryDirectory(prefix="xibench-") as folder:
        variables = session.worker_environment() | {"PYTHONPYCACHEPREFIX": folder}
        variables.pop("PYTHONDONTWRITEBYTECODE", None)
        yield variables
