"""Golden files: expected output of commands, stored next to the tests and compared with the current output.

`pytest tests/golden --regenerate` rewrites all of them, so that a commit shows the difference.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "files"
COMMAND = "pytest tests/golden --regenerate"
RELATIVE_TOLERANCE = 1e-12
"""NumPy's vectorised sums differ in the last digit between CPUs."""
MAX_SHOWN = 12  # differences that a failure lists


@dataclass(frozen=True)
class Golden:
    """Compares output with the golden files, or rewrites them."""

    regenerate: bool

    def text(self, name: str, found: str) -> None:
        """Compare a text with its golden file line by line."""
        self._compare(name, found, lambda kept: _lines(kept.splitlines(), found.splitlines()))

    def document(self, name: str, found: object) -> None:
        """Compare the keys, their order and the values of a JSON document; floats within RELATIVE_TOLERANCE."""
        text = json.dumps(found, indent=1, ensure_ascii=False) + "\n"
        self._compare(name, text, lambda kept: differences(json.loads(kept), json.loads(text)))

    def _compare(self, name: str, found: str, compare: Callable[[str], Iterator[str]]) -> None:
        path = FOLDER / name
        if self.regenerate:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(found)
            return
        assert path.is_file(), f"no golden file {path}; write it with `{COMMAND}`"
        unlike = list(itertools.islice(compare(path.read_text()), MAX_SHOWN))
        assert not unlike, "\n".join([
            f"{path.relative_to(FOLDER.parents[2])} differs from the current output (kept -> found):", *unlike,
            f"If this is intended, run `{COMMAND}` and commit the difference.",
        ])  # fmt: skip


def differences(kept: Any, found: Any, where: str = "") -> Iterator[str]:
    """Yield the differences between two JSON documents as `path: kept -> found`."""
    if isinstance(kept, dict) and isinstance(found, dict):
        if list(kept) != list(found):
            gone, new = [k for k in kept if k not in found], [k for k in found if k not in kept]
            yield f"{where or 'document'}: keys gone {gone}, new {new}" if gone or new else f"{where}: order of keys"
        for key in (key for key in kept if key in found):
            yield from differences(kept[key], found[key], f"{where}.{key}" if where else key)
    elif isinstance(kept, list) and isinstance(found, list):
        if len(kept) != len(found):
            yield f"{where}: {len(kept)} elements -> {len(found)}"
        for index, (one, other) in enumerate(zip(kept, found, strict=False)):
            yield from differences(one, other, f"{where}[{index}]")
    elif type(kept) is not type(found) or not _equal(kept, found):
        yield f"{where}: {kept!r} -> {found!r}"


def _equal(kept: Any, found: Any) -> bool:
    if isinstance(kept, float):
        return math.isclose(kept, found, rel_tol=RELATIVE_TOLERANCE)
    return bool(kept == found)


def _lines(kept: list[str], found: list[str]) -> Iterator[str]:
    for number, (one, other) in enumerate(itertools.zip_longest(kept, found), start=1):
        if one != other and not _same_cells(one, other):
            yield f"line {number}: {one!r}\n      -> {other!r}"


def _same_cells(one: str | None, other: str | None) -> bool:
    """Return whether two lines of CSV have equal words, and numbers that are equal within RELATIVE_TOLERANCE."""
    if one is None or other is None:
        return False
    cells = list(zip(one.split(","), other.split(","), strict=False))
    return len(cells) > 1 and one.count(",") == other.count(",") and all(a == b or _close(a, b) for a, b in cells)


def _close(one: str, other: str) -> bool:
    try:
        return math.isclose(float(one), float(other), rel_tol=RELATIVE_TOLERANCE)
    except ValueError:
        return False
