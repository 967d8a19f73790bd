"""The errors that a caller of `frameworks` can expect.

InvalidRequest               base: what was requested does not exist or is not possible
├── UnknownName              no such network, variant, framework, recipe or precision
├── InvalidConfiguration     a configuration field has a value that the network does not support
│   └── TooSmall             an image so small that some layer has no output
└── InvalidWeights           a weight file or mapping does not match the network

MissingFramework             the framework is not installed for this interpreter
Unsupported                  the framework or the machine cannot run what the case asks for

Every message is one line: what happened, to which thing, the value received, what was expected, what to do.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class InvalidRequest(ValueError):
    """The request names something that does not exist or is not possible; the message says what would be."""


class UnknownName(InvalidRequest):
    """A name that is not registered. The message suggests the nearest names.

    Args:
        kind: what it should be the name of.
        received: the name; in a call from Python it may be anything.
        known: the registered names.
        explained: says where all of them are explained.
    """

    def __init__(self, kind: str, received: object, known: Iterable[str], explained: str = "") -> None:
        names = list(known)
        near = difflib.get_close_matches(str(received).lower(), names, n=3, cutoff=0.4)
        hint = f"did you mean {' or '.join(near)}? " if near else f"known: {', '.join(names)}; "
        super().__init__(f"unknown {kind} '{received}': {hint}{explained}".rstrip("; "))
        self.kind = kind
        self.received = received
        self.nearest = tuple(near)


class InvalidConfiguration(InvalidRequest):
    """A configuration field has a value that the network does not support."""


class TooSmall(InvalidConfiguration):
    """An image so small that some layer has no output."""


class InvalidWeights(InvalidRequest):
    """Weights with a missing or unexpected parameter, or with one of the wrong shape."""


class MissingFramework(RuntimeError):
    """The framework cannot be imported by this interpreter; the message says how to install it."""


class Unsupported(RuntimeError):
    """This framework on this machine cannot run the case; the message says what is missing."""
