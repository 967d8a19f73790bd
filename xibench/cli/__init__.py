"""The command line: one file per command; each parses, calls one function, prints."""

from __future__ import annotations


def main() -> None:
    """Runs the command that was typed and ends the process with its exit code (`xibench.errors` lists them)."""
    import sys
    from io import TextIOWrapper

    from xibench.cli.app import call

    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that knows only ASCII gets its table all the same
    raise SystemExit(call())
