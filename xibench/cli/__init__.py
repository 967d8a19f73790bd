"""The command line: one file per command, which parses options, calls one function and prints."""

from __future__ import annotations


def main() -> None:
    """Run the command that was typed and exit with its code (listed in `xibench.errors`)."""
    import sys
    from io import TextIOWrapper

    from xibench.cli.app import call

    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")  # an ASCII terminal still gets its table
    raise SystemExit(call())
