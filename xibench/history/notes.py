"""Notes on changes, which people write into results/notes.toml and commit.

    [[note]]
    commit = "3f2a91c0"             # the first digits of the commit that made the change
    series = "networks.JAX.*"       # which series, as a pattern of the shell; left out: all
    text = "the price of the exact variance; accepted in #214"
    mute = true                     # it is not measured again, and not reported as a regression
"""

from __future__ import annotations

import tomllib
from fnmatch import fnmatchcase
from pathlib import Path

import msgspec

from xibench.errors import InputError

MIN_DIGITS = 7  # of a commit, as git abbreviates it


class Note(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a person says of a change. The fields are those of the file."""

    commit: str
    text: str
    series: str = "*"
    mute: bool = False

    def is_about(self, series: str, commit: str) -> bool:
        """Whether it is about a change of a series by a commit."""
        return commit.startswith(self.commit) and fnmatchcase(series, self.series)


class _File(msgspec.Struct, forbid_unknown_fields=True):
    note: list[Note] = []


def read(path: Path) -> list[Note]:
    """Read notes.

    Args:
        path: The file; without one there are no notes.

    Raises:
        InputError: It cannot be read, or has another form.
    """
    try:
        content = tomllib.loads(path.read_text()) if path.exists() else {}
        found = msgspec.convert(content, _File).note
    except (OSError, ValueError) as error:  # both libraries' errors are ValueErrors
        what = "expected [[note]] with commit, text, series, mute"
        raise InputError(f"history: notes {path}: {error}; {what}") from error
    for note in found:
        if len(note.commit) < MIN_DIGITS:
            raise InputError(
                f"history: notes {path}: received commit '{note.commit}', expected {MIN_DIGITS} digits or more"
            )
    return found
