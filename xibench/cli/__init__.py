"""The command line: one file per command, which parses options, calls one function and prints."""

from __future__ import annotations

import gc
import signal
import sys


def main() -> None:
    """Run the command of this process's command line and exit with its code (listed in `xibench.errors`)."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL:  # `nohup` ignores SIGHUP
            signal.signal(number, signal.default_int_handler)  # ends as Ctrl-C does: nothing is left behind
    # What is imported and what a large run file holds live until the end: collecting garbage among them is wasted.
    gc.set_threshold(100_000)
    try:
        from xibench.cli import app  # takes longer than many commands, and Ctrl-C may come meanwhile

        code = app.main()
    except KeyboardInterrupt:
        print("xibench: interrupted", file=sys.stderr)
        code = 130
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # the command has ended, with this code
    gc.freeze()  # spares the search for garbage at exit
    raise SystemExit(code)
