"""What `pytest --benchmark-only` from the root takes: the option --framework, and no tests.

It is here because pytest reads the command line before it loads the configuration of folders below, and because the
tests need packages that the benchmarks do not.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from benches.pytest_suite.programs import FRAMEWORKS


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --framework."""
    parser.getgroup("xibench").addoption(
        "--framework", choices=(*FRAMEWORKS, "all"), default=None,
        help="With --benchmark-only: the framework to measure (default: the first that is installed). all: every one, "
        "in one process, where the threads and the memory of each are present while another is measured.",
    )  # fmt: skip


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave the tests out with --benchmark-only."""
    tests = Path(__file__).parent / "tests"
    return True if config.getoption("benchmark_only", False) and collection_path.is_relative_to(tests) else None
