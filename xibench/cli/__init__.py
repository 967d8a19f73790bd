"""The command line: one file per command, which parses options, calls one function and prints."""

from __future__ import annotations

from xibench.cli.app import main

__all__ = ["main"]
