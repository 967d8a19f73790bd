"""Benchmarks run when they are asked for: plain `pytest` stays a test run."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

# All frameworks share this process. On a GPU JAX and TensorFlow would each take nearly all its memory at their start;
# they read these when they are imported, which is after this file.
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skips this folder's items unless --benchmark-only was given; then `default` comes before `tuned`.

    What `tuned` tells the allocator holds for the process from then on.
    """
    if config.getoption("benchmark_only"):
        items.sort(key=lambda item: "tuned" in item.name)
        return
    not_asked_for = pytest.mark.skip(reason="measures speed: pytest --benchmark-only")
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(not_asked_for)
