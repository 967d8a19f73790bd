"""A change is confirmed by measuring its commits again: real repositories, with a comparison that the test makes up."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from xibench.errors import InputError, Interrupted, UsageError
from xibench.history.confirm import Confirmation, Confirmations, Ratio, changing_commits, confirm
from xibench.history.series import Key, Subject
from xibench.record import environment

KEY = Key("vm", "networks.JAX.track_seconds_per_image(xception, tuned, 1)", "asv")
SUBJECT = Subject(framework="jax", model="xception", batch=1)


@dataclass
class Repository:
    """A repository in a temporary folder, which xibench takes for its own."""

    folder: Path
    commits: list[str] = field(default_factory=list)

    def git(self, *arguments: str) -> str:
        identity = ["-c", "user.name=test", "-c", "user.email=test@example.invalid", "-c", "commit.gpgsign=false"]
        return subprocess.check_output(["git", *identity, *arguments], cwd=self.folder, text=True).strip()

    def commit(self, file: str = "frameworks/layers.py") -> str:
        """Add a commit that changes a file."""
        path = self.folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(str(len(self.commits)))
        self.git("add", "-A")
        self.git("commit", "-q", "-m", file)
        self.commits.append(self.git("rev-parse", "HEAD"))
        return self.commits[-1]


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    found = Repository(tmp_path / "repository")
    found.folder.mkdir()
    found.git("init", "-q")
    monkeypatch.setattr(environment, "ROOT", found.folder)
    return found


class Bench:
    """Compares commits by made-up times per step, and remembers what it was asked."""

    def __init__(self, seconds: dict[str, float], unsure: Sequence[str] = ()) -> None:
        self.seconds, self.unsure, self.asked = seconds, unsure, list[str]()

    def __call__(self, subject: Subject, before: str, first: str) -> Ratio:
        self.asked.append(first)
        ratio = self.seconds[first] / self.seconds[before]
        verdict = "unsure" if first in self.unsure else "slower" if ratio > 1 else "faster" if ratio < 1 else "same"
        return Ratio(verdict, ratio, ratio - 0.01, ratio + 0.01, 6)


def stepped(commits: Sequence[str], culprit: int) -> dict[str, float]:
    """Return times per step: 1 s before a commit, 1.1 s from it on."""
    return {commit: 1.1 if number >= culprit else 1.0 for number, commit in enumerate(commits)}


@pytest.mark.parametrize("culprit", range(1, 9))
def test_the_commit_that_made_the_change_is_found_among_several(repository: Repository, culprit: int) -> None:
    commits = [repository.commit() for _ in range(9)]
    bench = Bench(stepped(commits, culprit))
    found = confirm(KEY, SUBJECT, [(commits[0], commits[-1])], True, bench)
    assert (found.outcome, found.commit) == ("confirmed", commits[culprit])
    assert len(bench.asked) <= 4  # the whole range, and three halvings of eight


def test_commits_that_leave_the_measured_code_as_it_is_are_no_suspects(repository: Repository) -> None:
    base, docs, code, more_docs = map(repository.commit, ("frameworks/a", "docs/a", "frameworks/b", "docs/b"))
    assert changing_commits(base, more_docs) == [code]
    bench = Bench({base: 1.0, docs: 1.0, code: 1.1, more_docs: 1.1})
    assert confirm(KEY, SUBJECT, [(base, more_docs)], True, bench).commit == code
    assert bench.asked == [more_docs]


@pytest.mark.parametrize(("file", "outcome"), [
    ("docs/a", "withdrawn"), ("constraints.txt", "undecided"), ("xibench/loop.py", "undecided"),
])  # fmt: skip
def test_a_change_between_commits_with_the_same_networks_is_not_measured(
    repository: Repository, file: str, outcome: str
) -> None:
    base, other = repository.commit(), repository.commit(file)
    bench = Bench({})
    found = confirm(KEY, SUBJECT, [(base, other)], True, bench)
    assert found.outcome == outcome
    assert (other[:10] in str(found.why)) == (outcome == "undecided")
    assert not bench.asked


@pytest.mark.parametrize(
    ("new_s", "slower", "outcome"),
    [(1.1, True, "confirmed"), (0.9, False, "confirmed"), (1.0, True, "withdrawn"), (0.9, True, "withdrawn")],
)
def test_the_outcome_follows_from_the_comparison(
    repository: Repository, new_s: float, slower: bool, outcome: str
) -> None:
    base, new = repository.commit(), repository.commit()
    assert confirm(KEY, SUBJECT, [(base, new)], slower, Bench({base: 1.0, new: new_s})).outcome == outcome


def test_a_comparison_that_does_not_decide_leaves_the_change_open(repository: Repository) -> None:
    base, new = repository.commit(), repository.commit()
    found = confirm(KEY, SUBJECT, [(base, new)], True, Bench({base: 1.0, new: 1.1}, unsure=[new]))
    assert (found.outcome, found.commit) == ("undecided", None)
    assert found.found is not None


def test_a_change_whose_place_is_a_point_off_is_found_in_the_wider_range(repository: Repository) -> None:
    commits = [repository.commit() for _ in range(5)]
    bench = Bench(stepped(commits, 3))
    found = confirm(KEY, SUBJECT, [(commits[1], commits[2]), (commits[0], commits[3])], True, bench)
    assert (found.outcome, found.commit) == ("confirmed", commits[3])
    assert (found.before, found.first) == (commits[1], commits[2])  # by which it is remembered
    equal = Bench(stepped(commits, 9))
    ranges = [(commits[1], commits[2]), (commits[0], commits[3])]
    assert confirm(KEY, SUBJECT, ranges, True, equal).outcome == "withdrawn"


def test_commits_that_cannot_be_told_apart_are_all_named(repository: Repository) -> None:
    commits = [repository.commit() for _ in range(5)]
    found = confirm(KEY, SUBJECT, [(commits[0], commits[-1])], True, Bench(stepped(commits, 2), unsure=commits[1:4]))
    assert (found.outcome, found.commit) == ("confirmed", None)
    assert found.suspects == tuple(commits[1:])


def test_a_commit_that_no_longer_exists_is_one_line_with_the_cure(repository: Repository) -> None:
    found = confirm(KEY, SUBJECT, [("0" * 40, repository.commit())], True, Bench({}))
    assert found.outcome == "undecided"
    assert "0000000000.." in str(found.why)
    assert "git fetch" in str(found.why)
    assert "\n" not in str(found.why)


def test_a_case_that_cannot_be_compared_is_undecided_with_the_reason(repository: Repository) -> None:
    def refused(*_: object) -> Ratio:
        raise UsageError("bf16 is not possible here")

    found = confirm(KEY, SUBJECT, [(repository.commit(), repository.commit())], True, refused)
    assert (found.outcome, found.why) == ("undecided", "bf16 is not possible here")


def test_a_comparison_that_was_stopped_has_no_outcome(repository: Repository) -> None:
    def stopped(*_: object) -> Ratio:
        raise Interrupted("interrupted")

    with pytest.raises(Interrupted):
        confirm(KEY, SUBJECT, [(repository.commit(), repository.commit())], True, stopped)

    first, _, last = commits = [repository.commit() for _ in range(3)]
    whole_range = Bench(stepped(commits, 1))
    with pytest.raises(Interrupted):
        confirm(KEY, SUBJECT, [(first, last)], True, lambda *two: whole_range(*two) if two[2] == last else stopped())


def known(first: str = "b" * 40, **fields: object) -> Confirmation:
    values: dict[str, object] = {"key": KEY, "before": "a" * 40, "first": first, "outcome": "confirmed", **fields}
    return Confirmation(**values)  # type: ignore[arg-type]


def test_confirmations_are_kept_and_the_newest_counts(tmp_path: Path) -> None:
    path = tmp_path / "results" / "confirmations.jsonl"
    kept = Confirmations(path)
    kept.append(known("d" * 40))
    for each in (known(outcome="undecided", why="more pairs"), known(found=Ratio("slower", 1.1, 1.05, 1.15, 6))):
        kept.append(each)
    again = Confirmations(path)
    assert again.of(KEY, "a" * 40, "b" * 40) == known(found=Ratio("slower", 1.1, 1.05, 1.15, 6))
    assert again.of(KEY, "a" * 40, "d" * 40) == known("d" * 40)
    assert again.of(KEY, "a" * 40, "c" * 40) is None


@pytest.mark.parametrize("damage", [b"{", b'{"key": 1}\n', b"\xff\n"])
def test_damaged_confirmations_are_named_with_their_line(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "confirmations.jsonl"
    Confirmations(path).append(known())
    with path.open("ab") as file:
        file.write(damage)
    with pytest.raises(InputError, match=r"line 2 of .*confirmations\.jsonl is no confirmation"):
        Confirmations(path)


def test_confirmations_that_cannot_be_written_are_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot be written"):
        Confirmations(tmp_path / "file" / "confirmations.jsonl").append(known())


