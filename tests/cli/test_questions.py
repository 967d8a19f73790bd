"""docs/questions.md: every command is accepted as it is, and ends in its sentence, on a network that takes seconds."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path

import pytest

from tests.cli.command import ROOT, error_of, xibench

COMMANDS = re.findall(r"^    (xibench .*)$", (ROOT / "docs/questions.md").read_text(), re.MULTILINE)
SMALL = ("--variant", "narrow", "--resolution", "75", "--images", "noise")
ONE_PAIR = (*SMALL, "--max-pairs", "1", "--repeats", "0", "--out", "pairs.jsonl")
SHORT = (*SMALL, "--no-ceilings", "--repeats", "0", "--out", "run.jsonl")
TOO_FEW = r"1 pair: too few for a conclusion\. It takes at least \d more pairs, about .*\(--budget\)\.$"
ENDS = {  # beginning of a command: what is added to make it short, and its last line
    "xibench ab --sides": (ONE_PAIR, r"time per step: 1 pair of each two sides: too few for a ranking\.$"),
    "xibench ab --base recipe:": (ONE_PAIR, rf"time for 1,000 images, start included: {TOO_FEW}"),
    "xibench ab --base python:": (ONE_PAIR, rf"^pytorch xception/narrow .*: {TOO_FEW}"),
    "xibench ab --base git:": (ONE_PAIR, rf"^pytorch xception/narrow .*: {TOO_FEW}"),
    "xibench ab --base precision:": (ONE_PAIR, rf"peak memory: {TOO_FEW}"),
    "xibench cost": ((), r"^block4: 13 % of the MACs, .*bound for [0-9]+ % of that time"),
    "xibench run -f pytorch,tensorflow": (SHORT, r"^Memory: a process needed up to [0-9.]+ [MG]iB in all \("),
    "xibench doctor": ((), r"^(Fit|Not fit) to measure"),
    "xibench run --again": (
        ("--no-ceilings", "--repeats", "0", "--out", "again.jsonl"), r"^jax xception/narrow .*process: too few",
    ),
}  # fmt: skip


def test_the_page_has_ten_questions_and_an_end_is_expected_of_each() -> None:
    assert len(COMMANDS) == 10
    assert all(sum(command.startswith(start) for start in ENDS) == 1 for command in COMMANDS)


@pytest.mark.parametrize("command", [c for c in COMMANDS if c.startswith("xibench ab") or "run -f" in c])
def test_a_command_of_the_page_is_accepted_as_it_is(command: str, tmp_path: Path) -> None:
    done = xibench(*_words(command), "--dry-run", cwd=ROOT if "git:" in command else tmp_path)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_the_page_ends_in_its_sentence(command: str, tmp_path: Path) -> None:
    more, end = next(kept for start, kept in ENDS.items() if command.startswith(start))
    words = _words(command)
    if "--again" in words:
        _measure_a_run(tmp_path, words)
    if command.startswith("xibench cost"):  # block4 is that of the whole network
        words[words.index("latest")] = str(ROOT / "results/reference/amd-epyc-avx512-2c/quick.jsonl")
    done = xibench(*words, *more, cwd=tmp_path)
    assert done.returncode in (0, 3), done.stderr
    assert any(re.search(end, line) for line in done.stdout.splitlines()[-4:]), done.stdout


def test_an_environment_without_the_framework_is_answered_in_one_line(tmp_path: Path) -> None:
    line = error_of("ab", "--base", "python:old/bin/python", "-f", "pytorch", cwd=tmp_path, code=2)
    assert "there is no program old/bin/python" in line


def _words(command: str) -> list[str]:
    """The words after `xibench`, with this interpreter in place of the two environments of an upgrade."""
    python = {"python:old/bin/python": f"python:{sys.executable}", "python:new/bin/python": f"python:{sys.executable}"}
    return [python.get(word, word) for word in shlex.split(command)[1:]]


def _measure_a_run(folder: Path, words: list[str]) -> None:
    """Measure the run that the command measures again, where `latest` finds it."""
    case = words[words.index("latest") + 1 :]
    earlier = xibench("run", *case, *SMALL, "--no-ceilings", "--repeats", "0", "--min-steps", "3", cwd=folder)
    assert earlier.returncode == 0, earlier.stderr
