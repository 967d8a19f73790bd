"""What a nightly job keeps from night to night, and whom it reports to."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from benches import nightly

ROOT = Path(__file__).parents[2]


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=test", "-c", "user.email=test@example.invalid", "-c", "commit.gpgsign=false"]
    return subprocess.check_output(["git", *identity, *arguments], cwd=folder, text=True).strip()


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with a commit, a clone of it that nightly takes for its checkout, and results in the clone."""
    origin, found = tmp_path / "origin", tmp_path / "clone"
    origin.mkdir()
    git(origin, "init", "-q", "-b", "main")
    (origin / "code").write_text("1")
    git(origin, "add", "-A")
    git(origin, "commit", "-q", "-m", "code")
    git(tmp_path, "clone", "-q", str(origin), str(found))
    monkeypatch.setattr(nightly, "ROOT", found)
    write(found / "results", "asv/vm/machine.json", "asv/vm/aaaa-env.json", "confirmations.jsonl", "reference/x.jsonl")
    return found


def write(results: Path, *names: str) -> None:
    for name in names:
        (results / name).parent.mkdir(parents=True, exist_ok=True)
        (results / name).write_text(name)


def kept(checkout: Path) -> set[str]:
    return set(git(checkout, "ls-tree", "-r", "--name-only", nightly.BRANCH).splitlines())


def test_nights_accumulate_on_a_branch_and_the_working_tree_stays(checkout: Path) -> None:
    before = git(checkout, "status", "--porcelain"), git(checkout, "rev-parse", "HEAD")
    nightly.keep(checkout / "results", nightly.BRANCH, None)
    assert kept(checkout) == {"asv/vm/machine.json", "asv/vm/aaaa-env.json", "confirmations.jsonl"}
    (checkout / "results" / "asv" / "vm" / "aaaa-env.json").unlink()
    write(checkout / "results", "asv/vm/bbbb-env.json")
    nightly.keep(checkout / "results", nightly.BRANCH, None)
    assert {"asv/vm/aaaa-env.json", "asv/vm/bbbb-env.json"} < kept(checkout)
    assert git(checkout, "rev-list", "--count", nightly.BRANCH) == "2"
    assert (git(checkout, "status", "--porcelain"), git(checkout, "rev-parse", "HEAD")) == before


def test_another_machine_continues_where_the_last_night_ended(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nightly.keep(checkout / "results", nightly.BRANCH, "origin")
    other = tmp_path / "other"
    git(tmp_path, "clone", "-q", str(tmp_path / "origin"), str(other))
    monkeypatch.setattr(nightly, "ROOT", other)
    write(other / "results", "confirmations.jsonl")
    (other / "results" / "confirmations.jsonl").write_text("newer")
    restored = nightly.restore(other / "results", nightly.BRANCH, "origin")
    assert set(restored) == {"asv/vm/machine.json", "asv/vm/aaaa-env.json"}
    assert (other / "results" / "confirmations.jsonl").read_text() == "newer"  # nothing that is there is replaced


def test_the_first_night_has_nothing_to_restore(checkout: Path) -> None:
    assert nightly.restore(checkout / "results", nightly.BRANCH, "origin") == []
    assert nightly.restore(checkout / "results", nightly.BRANCH, None) == []


def test_results_that_cannot_be_pushed_are_one_line(checkout: Path) -> None:
    with pytest.raises(SystemExit, match=r"nightly: git push: .*nowhere"):
        nightly.keep(checkout / "results", nightly.BRANCH, "nowhere")
    assert kept(checkout)  # they are kept here


def change(state: str = "confirmed", ratio: float = 1.1, commit: str = "a" * 40, **fields: Any) -> dict[str, Any]:
    return {
        "state": state, "ratio": ratio, "muted": False, "first": {"commit": "f" * 40},
        "confirmation": {"commit": commit}, **fields,
    }  # fmt: skip


def document(*changes: dict[str, Any]) -> dict[str, Any]:
    return {"series": [{"key": {"name": f"series {n}"}, "changes": [each]} for n, each in enumerate(changes)]}


def test_only_confirmed_regressions_that_nobody_muted_are_reported_once_per_commit() -> None:
    found = document(
        change(), change(), change(commit="b" * 40), change(ratio=0.9), change("candidate"), change("undecided"),
        change("fixed"), change(muted=True),
    )  # fmt: skip
    assert nightly.confirmed(found) == ["Slower since aaaaaaaaaa: 2 series", "Slower since bbbbbbbbbb: 1 series"]


@pytest.mark.parametrize(("found", "code"), [(document(change()), 3), (document(change("undecided")), 0)])
def test_only_a_confirmed_regression_makes_the_night_fail(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], found: dict[str, Any], code: int
) -> None:
    (tmp_path / "history.json").write_text(json.dumps(found))
    (tmp_path / "history.md").write_text("2 series, 1 confirmed.")
    assert nightly.tell(tmp_path, issue=False) == code
    assert "2 series, 1 confirmed." in capsys.readouterr().out


def test_an_issue_is_opened_for_a_commit_that_has_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The program gh is a script that knows one issue and writes down what it is asked to create."""
    (tmp_path / "history.json").write_text(json.dumps(document(change(), change(commit="b" * 40))))
    (tmp_path / "history.md").write_text("text")
    gh = tmp_path / "gh"
    gh.write_text(
        f'#!/bin/sh\ncase "$*" in *list*aaaaaaaaaa*) echo \'[{{"number": 1}}]\';; *list*) echo "[]";; '
        f'*create*) echo "$*" >> {tmp_path}/created;; esac\n'
    )
    gh.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    nightly.tell(tmp_path, issue=True)
    [created] = (tmp_path / "created").read_text().splitlines()
    assert "Slower since bbbbbbbbbb: 1 series" in created


def steps(workflow: str) -> list[str]:
    text = (ROOT / ".github" / "workflows" / workflow).read_text()
    return re.findall(r"^ +(?:- )?run: (.+)$", text, re.MULTILINE)


def test_the_workflow_runs_the_steps_of_make_nightly() -> None:
    described = subprocess.check_output(["make", "-n", "nightly"], cwd=ROOT, text=True)
    makefile = (ROOT / "Makefile").read_text()
    [prerequisites] = re.findall(r"^nightly: (.*?)  ##", makefile, re.MULTILINE)
    of_workflow = [run.split()[1] for run in steps("nightly.yml") if run != "make slow"]
    assert of_workflow == prerequisites.split()
    for word in ("asv run", "xibench run", "benches.nightly history", "asv publish", "benches.nightly keep"):
        assert word in described


def test_steps_of_the_workflows_are_targets_of_make() -> None:
    targets = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for workflow in ("ci.yml", "nightly.yml"):
        for run in steps(workflow):
            assert run == ".ci/run" or run.startswith("gh ") or run.split()[1] in targets


def test_history_is_written_beside_the_site(tmp_path: Path) -> None:
    results = tmp_path / "empty"
    results.mkdir()
    assert nightly.history(tmp_path / "site", [str(results)]) == 2  # no results: an error, not an empty history
