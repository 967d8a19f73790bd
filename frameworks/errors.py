"""The errors that a caller of `frameworks` can expect.

SubjectError                 base: the subject as asked for cannot be had
├── UnknownName              no such network, variant, framework, recipe or precision
├── InvalidConfiguration     a field whose value the network cannot take
│   └── TooSmall             a picture of which some layer has nothing left
└── InvalidWeights           a weight file or mapping that does not fit the network

MissingFramework             the framework is not installed for this interpreter
Unsupported                  the framework or the machine cannot do what the case asks for

Every message is one line: what happened, to which thing, the value received, what was expected, what to do.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class SubjectError(ValueError):
    """The subject as asked for cannot be had; the message says why and what would do."""


class UnknownName(SubjectError):
    """A name that stands in no registry. The message gives the nearest names."""

    def __init__(self, kind: str, received: str, known: Iterable[str]) -> None:
        names = list(known)
        near = difflib.get_close_matches(received.lower(), names, n=3, cutoff=0.4)
        hint = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(names)}"
        super().__init__(f"unknown {kind} '{received}': {hint}")
        self.kind = kind
        self.received = received
        self.nearest = tuple(near)


class InvalidConfiguration(SubjectError):
    """A configuration field has a value that the network cannot take."""


class TooSmall(InvalidConfiguration):
    """A picture so small that some layer has no output."""


class InvalidWeights(SubjectError):
    """Weights lack a parameter, have one too many, or have one of another shape."""


class MissingFramework(RuntimeError):
    """The framework cannot be imported by this interpreter; the message says how to install it."""


class Unsupported(RuntimeError):
    """This framework on this machine cannot run the case; the message says what is lacking."""
