"""All commands in the order in which they are used, and how each kind of error ends the process."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Sequence
from typing import Annotated, Any, Final

import typer
from typer.core import TyperGroup

from frameworks.errors import InvalidRequest, MissingFramework, Unsupported
from xibench import __version__, plugins
from xibench.cli.commands import (
    ab,
    compare,
    cost,
    doctor,
    export,
    paper,
    report,
    run,
    show,
    spectrum,
    tune,
    verify,
    weights,
)
from xibench.cli.commands import list as list_
from xibench.errors import UsageError, XibenchError

ORDER: Final = (
    "doctor", "list", "cost", "verify", "run", "show", "compare", "ab", "tune", "spectrum", "paper", "weights",
    "report", "export",
)  # fmt: skip
"""The order in which the commands are used."""


class InOrder(TyperGroup):
    """A group that lists its commands in ORDER: typer would put those with subcommands last."""

    def list_commands(self, ctx: Any) -> list[str]:
        """The commands' names, in ORDER."""
        return list(ORDER)


app = typer.Typer(
    name="xibench",
    cls=InOrder,
    add_completion=False,
    invoke_without_command=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)


def _print_version(asked: bool) -> None:
    if asked:
        print(f"xibench {__version__}")
        raise typer.Exit()


@app.callback()
def xibench(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and stop.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """The same convolutional networks in PyTorch, TensorFlow and JAX: proven equal, then measured.

    \b
    A first run:  xibench doctor
                  xibench run --preset quick
                  xibench report
    """
    if context.invoked_subcommand is None:
        print(context.get_help())


app.command("doctor")(doctor.doctor)
app.command("list")(list_.list_names)
app.command("cost")(cost.cost)
app.command("verify")(verify.verify)
app.command("run")(run.run)
app.command("show")(show.show)
app.command("compare")(compare.compare)
app.command("ab")(ab.ab)
app.command("tune")(tune.tune)
app.command("spectrum")(spectrum.spectrum)
app.command("paper")(paper.paper)
app.add_typer(weights.app, name="weights")
app.command("report")(report.report)
app.command("export")(export.export)


def call(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code.

    An expected error becomes one line on stderr; any other keeps its traceback.
    """
    try:
        plugins.load()
        code = app(arguments, prog_name="xibench", standalone_mode=False) or 0
        sys.stdout.flush()
        return code
    except typer.TyperException as error:
        return _say(f"{error.format_message()}{_help_hint(error)}", UsageError.exit_code)
    except typer.Abort:
        return _say("interrupted", 130)
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
        print(f"xibench: {line}", file=sys.stderr)
    return code


def _output_lost(error: OSError) -> int:
    """A reader that went away, as `head` does, or a full disk; any other error of the system is raised again."""
    if error.errno not in (errno.EPIPE, errno.ENOSPC):
        raise error
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the interpreter fails again while it ends
    if error.errno == errno.EPIPE:
        return XibenchError.exit_code
    return _say("no space left where the output goes: make room, then try again", XibenchError.exit_code)


def _help_hint(error: typer.TyperException) -> str:
    context = getattr(error, "ctx", None)
    return f" (see `{context.command_path} --help`)" if context is not None else ""
