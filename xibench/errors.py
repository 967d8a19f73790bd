"""The errors that the instrument expects, each of which ends a command with one line and an exit code.

XibenchError                 1  an expected failure
├── UsageError               2  wrong usage: a name, a number or a combination that cannot be meant
├── InputError               1  photographs or weights that cannot be read, or have changed
├── StoreError               1  a run file that cannot be written or read
│   └── NewerFormat          1  a run file written by a newer xibench
└── Interrupted            130  Ctrl-C; the message says how to resume

`frameworks.errors.InvalidRequest` (an unknown name, an impossible configuration, unfitting weights) is wrong usage too:
exit code 2. Exit code 3 is no error: `compare` or `ab` found something slower. A message is one line: what happened, to
which thing, the value received, what was expected, what to do.
"""

from __future__ import annotations


class XibenchError(Exception):
    """An expected failure, said in one line."""

    exit_code = 1


class UsageError(XibenchError):
    """The command line asks for something that cannot be meant."""

    exit_code = 2


class InputError(XibenchError):
    """Photographs or weights are missing, unreadable or not those of the run; the message names them."""


class StoreError(XibenchError):
    """A run file cannot be written or read; what was written before stays valid."""


class NewerFormat(StoreError):
    """The run file was written by a newer xibench."""


class Interrupted(XibenchError):
    """The user pressed Ctrl-C; the run file is valid and can be resumed."""

    exit_code = 130
