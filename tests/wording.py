"""Finds names and sentences that the repository no longer uses, which wording.txt lists.

`python -m tests.wording [PATH]...` searches the tracked files, or those at and below the paths, and exits with code 1
if it finds any. CHANGELOG.md may mention old names, and committed results contain the names of their time.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LIST = Path(__file__).with_name("wording.txt")
SUFFIXES = {".py", ".md", ".toml", ".yml", ".json", ".html", ".css", ".js", ".txt", ""}
IGNORED = ("CHANGELOG.md", "LICENSE", "results/", "constraints.txt", "tests/wording.txt", "tests/test_wording.py")
BETWEEN_WORDS = r"[\s#>*|]+"
"""Spaces, line ends, and the marks that continue a comment, a quotation or a list on the next line."""


@dataclass(frozen=True)
class Rule:
    """An old name or sentence, its replacement, and the pattern that finds it."""

    old: str
    use: str
    pattern: re.Pattern[str]


def read(text: str) -> tuple[list[Rule], list[tuple[str, str]]]:
    """Parse a list of rules and exceptions.

    Args:
        text: The content of a file such as wording.txt, whose header describes the format.

    Returns:
        The rules, and the exceptions as (path, name) pairs.
    """
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
    """Find the old names and sentences in a file.

    Args:
        path: Path of the file, relative to the repository, to which exceptions may apply.
        text: Content of the file.
        rules: Old names and sentences.
        exceptions: (path, name) pairs that are allowed.

    Yields:
        A line for each, with its place and its replacement.
    """
    allowed = {name for below, name in exceptions if path.startswith(below)}
    for rule in rules:
        for match in rule.pattern.finditer(text):
            name = " ".join(match[0].split())
            if name not in allowed:
                line = text.count("\n", 0, match.start()) + 1
                yield f"{path}:{line}: {name!r} is no longer used: {rule.use}"


def main(paths: Sequence[str]) -> int:
    """Print all old names and sentences in the tracked files at and below the paths; return 1 if there are any."""
    if not (ROOT / ".git").exists():
        print("wording: skipped, because the list of files comes from git and this is not a checkout")
        return 0
    rules, exceptions = read(LIST.read_text())
    tracked = subprocess.check_output(["git", "ls-files", "--", *paths], cwd=ROOT, text=True).splitlines()
    count = 0
    for path in tracked:
        file = ROOT / path
        if path.startswith(IGNORED) or file.suffix not in SUFFIXES or not file.is_file():
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
