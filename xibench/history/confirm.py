"""Confirmation of a change: the commits on both sides of it are measured again, interleaved, and the range is bisected.

A step in a history is a suspicion, because nights differ by more than code. `xibench ab` measures both commits within
the same minutes on the same machine. What it says decides, and is kept, so that no night measures a change again.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, Literal

import msgspec
from msgspec.structs import replace

from xibench.errors import InputError, Interrupted, XibenchError
from xibench.history.series import Key, Subject
from xibench.record import environment

MEASURED: Final = ("frameworks",)
"""What `xibench ab` measures of a commit. Commits that leave it as it is cannot be bisected."""
INFLUENTIAL: Final = (*MEASURED, "xibench", "benches", "constraints.txt", "pyproject.toml", "asv.conf.json")
"""What figures of a commit depend on. Commits that leave all of it as it is cannot be the cause."""
GIT_TIME_LIMIT_S: Final = 60.0

Outcome = Literal["confirmed", "withdrawn", "undecided"]


class Ratio(msgspec.Struct, frozen=True):
    """What `xibench ab` found of two commits: new over base, above 1 slower, with its 95 % interval and its verdict."""

    verdict: str
    ratio: float
    low: float | None
    high: float | None
    pairs: int

    @property
    def text(self) -> str:
        """The ratio with its interval, if it has one."""
        if self.low is None or self.high is None:
            return f"{self.ratio:.3f}"
        return f"{self.ratio:.3f} [{self.low:.3f}, {self.high:.3f}]"


class Confirmation(msgspec.Struct, frozen=True, kw_only=True):
    """What measuring again said of a change.

    Attributes:
        key: The series.
        before, first: Commits of the last point before the change and of the first with it.
        outcome: confirmed, withdrawn (the commits are equally fast, or differ the other way), or undecided.
        found: The comparison of `before` and `first`; None if there was none.
        commit: The commit that made the change; None if more than one of those that are left could be.
        suspects: The commits that could be, oldest first; empty if it is withdrawn.
        why: Why it is undecided, or withdrawn without a comparison, in one line.
    """

    key: Key
    before: str
    first: str
    outcome: Outcome
    found: Ratio | None = None
    commit: str | None = None
    suspects: tuple[str, ...] = ()
    why: str | None = None


Compare = Callable[[Subject, str, str], Ratio]
"""Compares two commits. Raises XibenchError if it cannot."""


def confirm(
    key: Key, subject: Subject, ranges: Sequence[tuple[str, str]], slower: bool, compare: Compare
) -> Confirmation:
    """Measure the commits on both sides of a change, and those between them until one commit is left.

    Args:
        key: The series.
        subject: What is measured.
        ranges: The last commit before the change and the first with it; then wider ranges, which are measured if the
            first shows no such change, because noise can move a change by a point.
        slower: Whether the figures rose.
        compare: Compares two commits.

    Returns:
        The outcome. A commit that no longer exists, or that cannot be measured, makes it undecided.

    Raises:
        Interrupted: The comparison was stopped, so that there is no outcome.
    """
    wanted = "slower" if slower else "faster"
    said = Confirmation(key=key, before=ranges[0][0], first=ranges[0][1], outcome="undecided")
    for before, first in dict.fromkeys(ranges):
        try:
            suspects = changing_commits(before, first)
            if not suspects:
                if said.found is None:
                    said = _without_change(said, before, first)
                continue
            found = compare(subject, before, first)
        except Interrupted:
            raise  # nothing was found
        except XibenchError as error:
            return replace(said, outcome="undecided", why=str(error))
        if found.verdict == wanted:
            left = _bisect(subject, before, suspects, wanted, compare)
            commit = left[0] if len(left) == 1 else None
            return replace(said, found=found, outcome="confirmed", commit=commit, suspects=tuple(left), why=None)
        decided = found.verdict != "unsure"
        said = replace(
            said, found=found, outcome="withdrawn" if decided else "undecided",
            why=None if decided else "it takes more pairs",
        )  # fmt: skip
        if not decided:
            return said
    return said


def _without_change(said: Confirmation, before: str, first: str) -> Confirmation:
    """Return the outcome of a change between commits whose networks are the same."""
    others = changing_commits(before, first, INFLUENTIAL)
    if not others:
        return replace(said, outcome="withdrawn", why="no commit between them changes anything that figures depend on")
    why = f"frameworks/ is the same in both, but versions or the instrument changed with {others[-1][:10]}"
    return replace(said, outcome="undecided", why=why, suspects=tuple(others))


def _bisect(subject: Subject, before: str, suspects: Sequence[str], wanted: str, compare: Compare) -> Sequence[str]:
    """Halve the commits that could have made a change until one is left, or a comparison does not decide."""
    while len(suspects) > 1:
        middle = (len(suspects) - 1) // 2
        try:
            verdict = compare(subject, before, suspects[middle]).verdict
        except Interrupted:
            raise
        except XibenchError:
            return suspects  # a commit in between that cannot be measured
        if verdict == "unsure":
            return suspects
        suspects = suspects[: middle + 1] if verdict == wanted else suspects[middle + 1 :]
    return suspects


def changing_commits(before: str, first: str, paths: Sequence[str] = MEASURED) -> list[str]:
    """Return the commits after `before` up to `first` that change files, oldest first.

    Args:
        before: A commit that is left out.
        first: A later one, which is not.
        paths: The files or folders.

    Raises:
        InputError: A commit does not exist in the checkout that xibench runs from.
    """
    command = ["git", "--no-optional-locks", "-C", str(environment.ROOT), "rev-list", "--reverse"]
    try:
        done = subprocess.run(
            [*command, f"{before}..{first}", "--", *paths], stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=GIT_TIME_LIMIT_S, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise InputError(f"history: git rev-list {before[:10]}..{first[:10]}: {error}") from error
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ["no such commit"])[0]
        raise InputError(
            f"history: commits {before[:10]}..{first[:10]} are not in this checkout: {said}; fetch them: "
            "git fetch --unshallow"
        )
    return done.stdout.split()


class Confirmations:
    """The confirmations in a file: a line of JSON each; the newest of a change counts.

    Args:
        path: The file; it need not exist.

    Raises:
        InputError: It cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._found: dict[tuple[Key, str, str], Confirmation] = {}
        try:
            lines = path.read_bytes().splitlines() if path.exists() else []
        except (OSError, ValueError) as error:
            raise InputError(f"history: confirmations {path} cannot be read: {error}") from error
        for number, line in enumerate(lines, 1):
            try:
                self._add(msgspec.json.decode(line, type=Confirmation))
            except msgspec.DecodeError as error:
                raise InputError(
                    f"history: line {number} of {path} is no confirmation: {error}; restore or remove it"
                ) from error

    def of(self, key: Key, before: str, first: str) -> Confirmation | None:
        """Return what is known of a change; None if it was never measured again."""
        return self._found.get((key, before, first))

    def append(self, found: Confirmation) -> None:
        """Add a confirmation to the file.

        Raises:
            InputError: It cannot be written.
        """
        self._add(found)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("ab") as file:
                file.write(msgspec.json.encode(found) + b"\n")
        except (OSError, ValueError) as error:
            raise InputError(f"history: confirmations {self.path} cannot be written: {error}") from error

    def _add(self, found: Confirmation) -> None:
        self._found[found.key, found.before, found.first] = found
