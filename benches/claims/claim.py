"""A claim, its targets, and the file that keeps its answers.

An answer is one of three: met; not met; not shown, where the figures do not decide it, as with a claim about every
public implementation while one of them was not measured.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from xibench.record import files
from xibench.record.schema import Environment

Figures = dict[str, Any]
Verdict = Literal["met", "not met", "not shown"]
MET: Final = "met"
NOT_MET: Final = "not met"
NOT_SHOWN: Final = "not shown"


@dataclass(frozen=True, slots=True)
class Target:
    """A bound on a figure.

    Attributes:
        figure: Path of the figure, its parts separated by dots.
        at_least, at_most: The bound.
        beyond: What a figure beyond the bound means: that the claim does not hold, or only that it is not shown.
    """

    figure: str
    at_least: float | None = None
    at_most: float | None = None
    beyond: Verdict = NOT_MET

    def verdict(self, figures: Mapping[str, Any]) -> Verdict:
        """Return whether the figure is within the bound. A missing or null figure shows nothing."""
        value: Any = figures
        for part in self.figure.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
        if not isinstance(value, int | float):
            return NOT_SHOWN
        within = (self.at_least is None or value >= self.at_least) and (self.at_most is None or value <= self.at_most)
        return MET if within else self.beyond


@dataclass(frozen=True, slots=True)
class Claim:
    """A sentence of the README that a program measures.

    Attributes:
        name: Name on the command line and in claims.jsonl.
        sentence: The claim itself.
        targets: Bounds that its figures must meet.
        measure: Returns the figures. Its argument is a folder in which it may store samples to resume from.
        device: The device on which it is measured.
        derive: Returns the figures of the run files in a folder; None for claims that are not measured as runs.
    """

    name: str
    sentence: str
    targets: tuple[Target, ...]
    measure: Callable[[Path], Figures]
    device: Literal["cpu", "cuda"] = "cpu"
    derive: Callable[[Path], Figures] | None = None

    def verdicts(self, figures: Mapping[str, Any]) -> list[TargetVerdict]:
        """Return the verdict of every target on the figures."""
        return [TargetVerdict(t.figure, t.at_least, t.at_most, t.verdict(figures)) for t in self.targets]


class TargetVerdict(msgspec.Struct, frozen=True):
    """A target as an answer keeps it."""

    figure: str
    at_least: float | None
    at_most: float | None
    verdict: Verdict


def overall(targets: Sequence[TargetVerdict]) -> Verdict:
    """Return the answer to a claim: not met if one target is not, otherwise not shown if one is not, otherwise met."""
    found = {target.verdict for target in targets}
    return NOT_MET if NOT_MET in found else NOT_SHOWN if NOT_SHOWN in found else MET


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a claim: one line of claims.jsonl."""

    claim: str
    sentence: str
    figures: Figures
    targets: list[TargetVerdict]
    answer: Verdict
    seconds: float  # of this call: less than the whole measurement if it resumed an earlier one
    created_utc: str
    xibench: str
    environment: Environment


def keep(answer: Answer, path: Path) -> None:
    """Add an answer to a file, sorted by claim, where it replaces an earlier answer to the same claim."""
    existing = path.read_bytes().splitlines() if path.exists() else []
    others = [line for line in existing if msgspec.json.decode(line)["claim"] != answer.claim]
    answers = sorted([*others, msgspec.json.encode(answer)], key=lambda line: str(msgspec.json.decode(line)["claim"]))
    files.put(path, b"\n".join(answers) + b"\n")
