"""Selection of the pytest suite: its benchmarks run only with --benchmark-only, one framework a process.

The option --framework is in conftest.py of the root.
"""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import Final

import pytest

from benches.pytest_suite.programs import FRAMEWORKS
from frameworks.api import find

HERE: Final = Path(__file__).parent
ALL: Final = "all"
SERIAL: Final = pytest.StashKey[str]()
DESELECTED: Final = pytest.StashKey[str]()

# With --framework all, the frameworks share this process. On a GPU, JAX and TensorFlow would each preallocate nearly
# all of its memory. They read these variables when they are imported, which happens after this file is loaded.
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    """Run benchmarks in this process even under `pytest -n`: side by side, each would be timed beside another."""
    asked = getattr(config.option, "numprocesses", None)
    if config.getoption("benchmark_only") and asked:
        config.option.numprocesses, config.option.tx, config.option.dist = None, [], "no"
        config.stash[SERIAL] = f"xibench: -n {asked} is ignored, because benchmarks are timed one at a time"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect the benchmarks, or with --benchmark-only all else and the frameworks that were not asked for.

    Recipe `default` comes before `tuned`, whose allocator settings remain in force for the rest of the process.
    """
    benchmarks = [item for item in items if item.path.is_relative_to(HERE)]
    if not config.getoption("benchmark_only"):
        if benchmarks:
            config.stash[DESELECTED] = f"xibench: {len(benchmarks)} benchmarks run with `pytest --benchmark-only`"
        _select(config, items, [item for item in items if item not in set(benchmarks)])
        return
    installed = [name for name in FRAMEWORKS if importlib.util.find_spec(find(name).module)]
    chosen = config.getoption("framework") or next(iter(installed), FRAMEWORKS[0])
    selected = [item for item in benchmarks if chosen in (ALL, _framework(item))]
    if chosen != ALL and (others := {_framework(item) for item in benchmarks} - {chosen}):
        config.stash[DESELECTED] = (
            f"xibench: measured {chosen}, one framework a process; --framework {ALL} adds {', '.join(sorted(others))}"
        )
    selected.sort(key=lambda item: "tuned" in item.name)
    _select(config, items, selected)


def pytest_report_header(config: pytest.Config) -> str | None:
    """Say that -n is ignored."""
    return config.stash.get(SERIAL, None)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say what was deselected, and how to measure it."""
    if said := config.stash.get(DESELECTED, None):
        terminalreporter.write_line(said)


def _framework(item: pytest.Item) -> str:
    assert isinstance(item, pytest.Function)
    return str(item.callspec.params["framework"])


def _select(config: pytest.Config, items: list[pytest.Item], selected: list[pytest.Item]) -> None:
    """Keep some items, in their order, and report the others as deselected."""
    kept = set(selected)
    config.hook.pytest_deselected(items=[item for item in items if item not in kept])
    items[:] = selected
