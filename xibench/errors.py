"""Expected errors, each of which ends a command with a one-line message and an exit code.

XibenchError                 1  an expected failure
├── UsageError               2  a usage error: an unknown name, an invalid value or conflicting options
├── InputError               2  a file that the command line names cannot be read, or has changed
├── StoreError               1  a run file that cannot be written, or is damaged
│   ├── NoSuchFile           2  a run file that the command line names does not exist
│   └── NewerFormat          1  a run file written by a newer xibench
└── Interrupted            130  Ctrl-C; the message says how to resume

`frameworks.errors.InvalidRequest` (an unknown name, an invalid configuration, weights that do not fit) is a usage error
as well, with exit code 2. Exit code 3 is not an error: `compare` or `ab` found a slower case, or `history` has a
confirmed regression; nor is 4: `history` could not decide one. A message is one line:
what happened, to which thing, the value received, the value expected, and what to do about it.
"""

from __future__ import annotations


class XibenchError(Exception):
    """An expected failure with a one-line message."""

    exit_code = 1


class UsageError(XibenchError):
    """The command line has an unknown name, an invalid value or conflicting options."""

    exit_code = 2


class InputError(XibenchError):
    """Images, weights or a recipe are missing, unreadable or not those of the run; the message names them."""

    exit_code = 2


class StoreError(XibenchError):
    """A run file cannot be written or read; its content until then stays valid."""


class NoSuchFile(StoreError):
    """There is no such run file."""

    exit_code = 2


class NewerFormat(StoreError):
    """The run file was written by a newer xibench."""


class Interrupted(XibenchError):
    """The user pressed Ctrl-C; the run file is valid and can be resumed."""

    exit_code = 130
