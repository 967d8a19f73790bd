"""A claim, its targets, and the file that keeps its answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec

from xibench.record import lines
from xibench.record.schema import Environment

Figures = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Target:
    """A bound on a figure."""

    figure: str  # path of the figure, separated by dots
    at_least: float | None = None
    at_most: float | None = None

    def met(self, figures: Mapping[str, Any]) -> bool:
        """Return whether the figure is within the bound; a missing or null figure is not."""
        value: Any = figures
        for part in self.figure.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
        if not isinstance(value, int | float):
            return False
        return (self.at_least is None or value >= self.at_least) and (self.at_most is None or value <= self.at_most)


@dataclass(frozen=True, slots=True)
class Claim:
    """A sentence of the README that a program measures.

    Attributes:
        name: Name on the command line and in claims.jsonl.
        sentence: The claim itself.
        targets: Bounds that its figures must meet.
        measure: Returns the figures. Its argument is a folder in which it may store samples to resume from.
        device: The device on which it is measured.
    """

    name: str
    sentence: str
    targets: tuple[Target, ...]
    measure: Callable[[Path], Figures]
    device: Literal["cpu", "cuda"] = "cpu"


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a claim: one line of claims.jsonl."""

    claim: str
    sentence: str
    figures: Figures
    targets: list[dict[str, Any]]  # figure, at_least or at_most, met
    met: bool
    seconds: float  # of this call: less than the whole measurement if it resumed an earlier one
    created_utc: str
    xibench: str
    environment: Environment


def keep(answer: Answer, path: Path) -> None:
    """Add an answer to a file, sorted by claim, where it replaces an earlier answer to the same claim."""
    existing = path.read_bytes().splitlines() if path.exists() else []
    others = [line for line in existing if msgspec.json.decode(line)["claim"] != answer.claim]
    answers = sorted([*others, msgspec.json.encode(answer)], key=lambda line: str(msgspec.json.decode(line)["claim"]))
    lines.put(path, b"\n".join(answers) + b"\n")
