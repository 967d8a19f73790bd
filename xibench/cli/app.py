"""The command line: its commands in order of use, and the exit code of every kind of error.

A command's module is imported when it is used, after the plugins: a command starts quickly, and its help names the
scenarios, frameworks and metrics that plugins have registered.
"""

from __future__ import annotations

import codecs
import errno
import importlib
import inspect
import os
import sys
from collections.abc import Mapping, Sequence
from io import TextIOWrapper
from typing import Annotated, Any, Final

import typer
from typer.core import TyperCommand, TyperGroup

from frameworks.errors import InvalidRequest, MissingFramework, Unsupported
from xibench import __version__, plugins
from xibench.errors import Interrupted, UsageError, XibenchError
from xibench.record.marks import MARKS
from xibench.record.text import escaped, printable

COMMANDS: Final[Mapping[str, str]] = {
    "doctor": "doctor", "list": "list_names", "cost": "cost", "verify": "verify", "run": "run", "show": "show",
    "compare": "compare", "ab": "ab", "history": "history", "tune": "tune", "spectrum": "spectrum", "paper": "paper",
    "weights": "app", "report": "report", "export": "export",
}  # fmt: skip
"""Commands in order of use: name, and the function or typer application in xibench.cli.commands.<name>."""


IN_ASCII: Final[Mapping[str, str]] = {
    **{mark.symbol: mark.ascii for mark in MARKS}, "—": "-", "─": "-", "·": ".", "…": "...", "±": "+-",
    "×": "x", "→": "->", "µ": "u", "²": "^2", "≥": ">=", "≤": "<=",
}  # fmt: skip
"""How characters of tables and notes are shown where the output is ASCII."""


class Command(TyperCommand):
    """A command that refuses two values for an option that takes one; the last would replace the first in silence."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the arguments; raises typer.BadParameter as typer does."""
        given: list[Any] = self.make_parser(ctx).parse_args(args=list(args))[2]
        for option in given:
            if given.count(option) > 1 and not (option.multiple or option.is_flag):
                raise typer.BadParameter("it was given more than once, expected one value", ctx=ctx, param=option)
        return super().parse_args(ctx, args)


class CommandGroup(TyperGroup):
    """The commands of COMMANDS, each imported when it is used or when help lists it."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names of all commands, in order of use."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return a command by name, or None for an unknown name, for which typer then suggests the nearest."""
        for name in (cmd_name,) if cmd_name in COMMANDS else COMMANDS:
            if name not in self.commands:
                found = _defined(name)
                if not isinstance(found, typer.Typer):
                    function, found = found, typer.Typer(add_completion=False, rich_markup_mode=None)
                    found.command(name)(function)
                for command in found.registered_commands:
                    command.cls = Command
                self.commands[name] = typer.main.get_command(found)
        return self.commands.get(cmd_name)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """List the commands, without the options that typer would make for each: that takes longer than all else."""
        limit = formatter.width - 6 - max(map(len, COMMANDS))
        rows = []
        for name in COMMANDS:
            found = _defined(name)
            documented = found.registered_callback if isinstance(found, typer.Typer) else None
            function = documented.callback if documented else found
            rows.append((name, TyperCommand(name, help=inspect.getdoc(function)).get_short_help_str(limit)))
        with formatter.section("Commands"):
            formatter.write_dl(rows)


def _defined(name: str) -> Any:
    """Return what a command's module defines: its function, or the application of its own commands."""
    return getattr(importlib.import_module(f"xibench.cli.commands.{name}"), COMMANDS[name])


NAMING: Final = ("--framework", "--model", "--base", "--sides")
"""Options that newcomers take for arguments."""

app = typer.Typer(
    name="xibench",
    cls=CommandGroup,
    add_completion=False,
    invoke_without_command=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)


@app.callback()
def xibench(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    """Measure the same convolutional networks in PyTorch, TensorFlow and JAX, after proving them equal.

    \b
    First steps:  xibench doctor
                  xibench run --preset quick
                  xibench report
                  xibench ab --sides framework:pytorch+tuned,framework:jax+tuned -m xception --batch 1

    docs/questions.md has ten questions, each with the one command that answers it.
    """
    if version:
        print(f"xibench {__version__}")
        raise typer.Exit()
    if context.invoked_subcommand is None:
        print(context.get_help())


def main() -> int:
    """Prepare this process for one command, run that of its command line, and return its exit code.

    Raises:
        KeyboardInterrupt: A signal arrived before the command began, or after it had ended.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="xibench")  # an ASCII terminal cannot show every character of a table
    return call()


def _in_ascii(error: UnicodeError) -> tuple[str, int]:
    """Replace what a stream cannot encode: marks by others, bytes of file names by `\\xe9`, the rest by `?`."""
    assert isinstance(error, UnicodeEncodeError)
    unknown = escaped(error.object[error.start : error.end])
    return "".join(c if c.isascii() else IN_ASCII.get(c, "?") for c in unknown), error.end


codecs.register_error("xibench", _in_ascii)


def call(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    An expected error is printed as one line on stderr; any other is raised.

    Args:
        arguments: The command and its options; None for the command line of this process.
    """
    try:
        plugins.load()
        code = app(arguments, prog_name="xibench", standalone_mode=False) or 0
        if code == Interrupted.exit_code:  # typer turns Ctrl-C into this code, without a word
            return _say("interrupted", code)
        sys.stdout.flush()
        return code
    except typer.TyperException as error:
        return _say(f"{error.format_message()}{_help_hint(error)}", UsageError.exit_code)
    except typer.Abort:
        return _say("interrupted", Interrupted.exit_code)
    except InvalidRequest as error:
        return _say(str(error), UsageError.exit_code)
    except (MissingFramework, Unsupported) as error:
        return _say(str(error), XibenchError.exit_code)
    except XibenchError as error:
        return _say(str(error), error.exit_code)
    except OSError as error:
        return _output_lost(error)


def _say(message: str, code: int) -> int:
    line = " ".join(message.split())
    if line:
        print(f"xibench: {printable(line)}", file=sys.stderr)
    return code


def _output_lost(error: OSError) -> int:
    """Handle a closed pipe, such as `| head`, or a full disk; raise any other error of the system again."""
    if error.errno not in (errno.EPIPE, errno.ENOSPC):
        raise error
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # otherwise flushing at exit would fail again
    if error.errno == errno.EPIPE:
        return XibenchError.exit_code
    line = "the output cannot be written: no space left on the device; free some space, then try again"
    return _say(line, XibenchError.exit_code)


def _help_hint(error: typer.TyperException) -> str:
    context = getattr(error, "ctx", None)
    if context is None:
        return ""
    return f"{_where_it_belongs(error.format_message(), context)} (see `{context.command_path} --help`)"


def _where_it_belongs(message: str, context: typer.Context) -> str:
    """Say how names are given, where one was given as an argument that is an option, or the other way round."""
    parameters = context.command.params
    if message.startswith("Got unexpected extra argument"):
        options = [one.opts[-1] for one in parameters if one.opts[-1] in NAMING]
        named = f"; names belong to options ({', '.join(options)})" if options else ""
        return f"{named}; several values of an option are joined by commas"
    if message.startswith("No such option: -m") and any(one.param_type_name == "argument" for one in parameters):
        return f"; the model is given without an option: `{context.command_path} xception`"
    return ""
