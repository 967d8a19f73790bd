"""Commands and options that messages, help texts and documents recommend exist on the command line."""

from __future__ import annotations

import ast
import functools
import re
import shlex
from collections.abc import Iterator
from typing import Any

import pytest
import typer
from typer.core import TyperGroup

from frameworks.recipes import RECIPES
from tests.cli.command import ROOT, xibench
from xibench.cli.app import app
from xibench.run.plan import PRESETS
from xibench.scenarios import SCENARIOS

FOLDERS = ("xibench", "frameworks", "dashboards", "benches")
DOCUMENTS = ("README.md", *(path.relative_to(ROOT).as_posix() for path in sorted(ROOT.glob("docs/*.md"))))
PLACEHOLDER = "{}"  # stands for a value that an f-string inserts
QUOTED = re.compile(r"`(xibench\s[^`]+)`")
EXAMPLE = re.compile(r"^(?:[^`\n]*:)?\s{2,}(xibench [^\n]+)$", re.MULTILINE)
WHOLE = re.compile(r"xibench [a-z ]+ --[^\n]+")  # a string literal that is nothing but a command with options
QUOTED_OPTION = re.compile(r"`(--[a-z][a-z-]*)")


def texts(source: str) -> Iterator[str]:
    """Yield the string literals of a Python source, with a placeholder for each value that an f-string inserts."""
    nodes = list(ast.walk(ast.parse(source)))
    parts = {id(part) for node in nodes if isinstance(node, ast.JoinedStr) for part in node.values}
    for node in nodes:
        if isinstance(node, ast.JoinedStr):
            yield "".join(
                str(part.value) if isinstance(part, ast.Constant) else PLACEHOLDER for part in node.values
            )
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in parts:
            yield node.value


def commands(text: str) -> list[str]:
    """Return the xibench commands in a text: those in backticks, indented lines of examples, or the whole text."""
    examples = (re.split(r"\s{2,}|\s#", found)[0] for found in EXAMPLE.findall(text))
    whole = [text] if WHOLE.fullmatch(text) else []
    return [" ".join(found.split()) for found in (*QUOTED.findall(text), *examples, *whole)]


def hints() -> list[tuple[str, str]]:
    """Return all commands that sources and documents recommend, each with the path of its file."""
    sources = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]
    found = [(path, text) for path in sources for text in texts(path.read_text(encoding="utf-8"))]
    found += [(ROOT / name, (ROOT / name).read_text(encoding="utf-8")) for name in DOCUMENTS]
    return sorted({(path.relative_to(ROOT).as_posix(), line) for path, text in found for line in commands(text)})


@functools.cache
def command_tree() -> Any:
    return typer.main.get_command(app)


def options_of(command: Any) -> set[str]:
    return {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}


def subcommands(group: TyperGroup) -> dict[str, Any]:
    context = typer.Context(group)
    return {name: group.get_command(context, name) for name in group.list_commands(context)}


def problem(line: str) -> str | None:
    """Return what a command line names that does not exist: a command or an option; None if all of it exists."""
    command, known = command_tree(), {"-h", "--help"} | options_of(command_tree())
    for word in shlex.split(line)[1:]:
        name = word.partition("=")[0]
        if name.startswith("-"):
            if name not in known:
                return f"unknown option {name} of `{command.name}`"
        elif isinstance(command, TyperGroup) and PLACEHOLDER not in name:
            if name not in subcommands(command):
                return f"unknown command {name}"
            command = subcommands(command)[name]
            known |= options_of(command)
    return None


@pytest.mark.parametrize(("path", "line"), hints())
def test_a_recommended_command_exists(path: str, line: str) -> None:
    assert problem(line) is None, path


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("xibench weights init MODEL --out FILE", None),
        ("xibench run --weights {} -m xception", None),
        ("xibench --version", None),
        ("xibench rum --preset quick", "unknown command rum"),
        ("xibench run --presets quick", "unknown option --presets of `run`"),
        ("xibench weights list", "unknown command list"),
    ],
)
def test_unknown_commands_and_options_are_found(line: str, expected: str | None) -> None:
    assert problem(line) == expected


def test_commands_are_found_in_f_strings_joined_strings_examples_and_across_lines() -> None:
    source = '''
def f(path):
    """Run `xibench list
    --json` first.

    Example:  xibench run -m xception
              xibench show  # the newest
    """
    return f"go on with `xibench run " f"--resume {path}`; or `xibench" " doctor`"
'''
    found = [line for text in texts(source) for line in commands(text)]
    assert sorted(found) == [
        "xibench doctor", "xibench list --json", "xibench run --resume {}", "xibench run -m xception", "xibench show",
    ]  # fmt: skip


def test_quoted_options_of_messages_exist() -> None:
    known, pending = {"--help"}, [command_tree()]
    for command in pending:
        pending += subcommands(command).values() if isinstance(command, TyperGroup) else ()
        known |= options_of(command)
    sources = sorted((ROOT / "xibench").rglob("*.py"))
    quoted = {option for path in sources for text in texts(path.read_text()) for option in QUOTED_OPTION.findall(text)}
    assert quoted
    assert quoted <= known


def test_the_help_of_run_names_exactly_the_registered_presets_scenarios_and_recipes() -> None:
    help_text = " ".join(xibench("run", "--help", cwd=ROOT).stdout.split())
    (presets,) = re.findall(r"A named set of cases: ([\w, ]+);", help_text)
    (scenarios,) = re.findall(r"--scenario NAME ([\w, -]+)\.", help_text)
    (recipes,) = re.findall(r"Execution settings: ([\w, ]+), or a recipe file", help_text)
    for listed, registered in ((presets, PRESETS), (scenarios, SCENARIOS), (recipes, RECIPES)):
        assert re.split(r", | or ", listed) == list(registered)
