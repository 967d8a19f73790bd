"""Finds names and sentences that the repository no longer uses: those of wording.txt, beside this file.

`python -m tests.wording [PATH]...` looks through the files that git knows, or those named, and ends with 1 if any is
found. CHANGELOG.md may name what there was; results hold what was written at their time.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LIST = Path(__file__).with_name("wording.txt")
SUFFIXES = {".py", ".md", ".toml", ".yml", ".json", ".html", ".css", ".js", ".txt", ""}
NOT_LOOKED_AT = ("CHANGELOG.md", "LICENSE", "results/", "constraints.txt", "tests/wording.txt", "tests/test_wording.py")
BETWEEN_WORDS = r"[\s#>*|]+"
"""Blanks, line ends, and the marks with which a comment, a quotation or a list goes on."""


@dataclass(frozen=True)
class Rule:
    """What is no longer written, and what is written instead."""

    old: str
    use: str
    pattern: re.Pattern[str]


def read(text: str) -> tuple[list[Rule], list[tuple[str, str]]]:
    """The rules of a list, and its exceptions: path and name."""
    rules, exceptions = [], []
    for line in text.splitlines():
        if line.startswith("except "):
            path, _, name = line.removeprefix("except ").partition(": ")
            exceptions.append((path, name))
        elif line and not line.startswith("#"):
            old, _, use = line.partition(" -> ")
            rules.append(Rule(old, use, _pattern(old)))
    return rules, exceptions


def found(path: str, text: str, rules: Sequence[Rule], exceptions: Sequence[tuple[str, str]]) -> Iterator[str]:
    """A line for each old name or sentence in a file: where it is, and what to write instead."""
    for rule in rules:
        if any(path.startswith(below) and rule.old == name for below, name in exceptions):
            continue
        for match in rule.pattern.finditer(text):
            line = text.count("\n", 0, match.start()) + 1
            yield f"{path}:{line}: {' '.join(match[0].split())!r} is no longer used: {rule.use}"


def main(paths: Iterable[str]) -> int:
    """Prints what was found; 1 if there is any."""
    rules, exceptions = read(LIST.read_text())
    known = subprocess.check_output(["git", "ls-files"], cwd=ROOT, text=True).splitlines()
    count = 0
    for path in paths or known:
        file = ROOT / path
        if path.startswith(NOT_LOOKED_AT) or file.suffix not in SUFFIXES or not file.is_file():
            continue
        for line in found(path, file.read_text(), rules, exceptions):
            print(line)
            count += 1
    return 1 if count else 0


def _pattern(old: str) -> re.Pattern[str]:
    if " " in old:
        return re.compile(BETWEEN_WORDS.join(map(re.escape, old.split())), re.IGNORECASE)
    name = r"\w+".join(map(re.escape, old.split("*")))
    return re.compile(rf"(?<!\w){name}(?!\w)")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
