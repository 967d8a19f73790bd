"""The `--help` of every command."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_group

from tests.cli.command import xibench
from tests.golden.golden import Golden
from xibench.cli.app import app


def commands(group: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the path of a group, of its commands, and of their subcommands."""
    yield path
    if hasattr(group, "list_commands"):
        for name in group.list_commands(None):
            yield from commands(group.get_command(None, name), (*path, name))


@pytest.mark.parametrize("command", list(commands(get_group(app))), ids=lambda path: "-".join(("xibench", *path)))
def test_help_is_unchanged(command: tuple[str, ...], golden: Golden, tmp_path: Path) -> None:
    done = xibench(*command, "--help", cwd=tmp_path, COLUMNS="110")
    assert (done.returncode, done.stderr) == (0, "")
    golden.text(f"help/{'-'.join(('xibench', *command))}.txt", done.stdout)
