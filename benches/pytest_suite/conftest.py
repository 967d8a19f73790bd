"""Configuration of the pytest suite: its benchmarks run only with --benchmark-only."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

# All frameworks share this process. On a GPU, JAX and TensorFlow would each preallocate nearly all of its memory. They
# read these variables when they are imported, which happens after this file is loaded.
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip the items of this folder without --benchmark-only; with it, sort `default` before `tuned`.

    The order matters because the allocator settings of `tuned` remain in force for the rest of the process.
    """
    if config.getoption("benchmark_only"):
        items.sort(key=lambda item: "tuned" in item.name)
        return
    skip = pytest.mark.skip(reason="benchmark: run it with `pytest --benchmark-only`")
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(skip)
