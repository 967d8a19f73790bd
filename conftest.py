"""The option of the benchmarks in benches/pytest_suite.

It is defined here because pytest reads the command line before it loads the configuration of folders below: from the
root, `pytest --benchmark-only --framework jax` would be refused otherwise.
"""

from __future__ import annotations

import pytest

from benches.pytest_suite.programs import FRAMEWORKS


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --framework."""
    parser.getgroup("xibench").addoption(
        "--framework", choices=(*FRAMEWORKS, "all"), default=None,
        help="With --benchmark-only: the framework to measure (default: the first that is installed). all: every one, "
        "in one process, where the threads and the memory of each are present while another is measured.",
    )  # fmt: skip
