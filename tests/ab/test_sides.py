from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from frameworks.errors import UnknownName
from tests.builders import small_case
from tests.record.test_recipe_file import FOUND
from xibench.ab import sides
from xibench.errors import UsageError
from xibench.record import recipe_file
from xibench.workers import session

CASE = small_case()


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with one commit whose `frameworks` is a single marker file."""
    root = tmp_path / "checkout"
    (root / "frameworks").mkdir(parents=True)
    (root / "frameworks" / "__init__.py").touch()
    (root / "frameworks" / "marker.py").write_text("WHERE = 'the commit'\n")
    who = ["-c", "user.name=A", "-c", "user.email=a@example.org"]
    for command in (["init", "-q"], ["add", "."], [*who, "commit", "-q", "-m", "one"]):
        subprocess.run(["git", "-C", str(root), *command], check=True, capture_output=True)
    (root / "frameworks" / "marker.py").write_text("WHERE = 'the tree'\n")
    monkeypatch.setattr(session, "ROOT", root)
    return root


def test_a_commits_frameworks_are_unpacked_and_come_first_on_the_path(checkout: Path, tmp_path: Path) -> None:
    side = sides.resolve("git:HEAD", tmp_path / "scratch")
    said = subprocess.run(
        [sys.executable, "-P", "-c", "import frameworks.marker; print(frameworks.marker.WHERE)"],
        env=side.environment(tmp_path), capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert said.stdout.strip() == "the commit"
    assert side.commit is not None
    assert len(side.commit) == 40


def test_the_tree_is_the_checkout_as_it_is(tmp_path: Path) -> None:
    side = sides.resolve("tree", tmp_path)
    assert side.command(CASE) == session.worker_command("pytorch")
    assert side.case(CASE) == CASE


def test_an_interpreter_runs_the_same_worker(tmp_path: Path) -> None:
    side = sides.resolve(f"python:{sys.executable}", tmp_path)
    assert side.command(CASE)[0] == str(Path(sys.executable).absolute())


def test_an_implementation_replaces_that_of_the_case_and_its_recipe_if_it_names_one(tmp_path: Path) -> None:
    plain, tuned = (sides.resolve(f"framework:jax{recipe}", tmp_path) for recipe in ("", "+tuned+threads=1"))
    assert (plain.case(CASE).framework, plain.case(CASE).recipe) == ("jax", CASE.recipe)
    assert (tuned.case(CASE).framework, tuned.case(CASE).recipe) == ("jax", "tuned+threads=1")
    assert plain.command(CASE) == session.worker_command("pytorch")
    assert plain.command(plain.case(CASE)) == session.worker_command("jax")


def test_a_recipe_replaces_that_of_the_case(tmp_path: Path) -> None:
    assert sides.resolve("recipe:tuned", tmp_path).case(CASE).recipe == "tuned"
    file = tmp_path / "recipe.json"
    recipe_file.write(file, FOUND)
    assert sides.resolve(f"recipe:{file}", tmp_path).case(CASE).recipe == FOUND.recipe


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected tree, git:REV, python:PATH, recipe:NAME, recipe:FILE, precision:NAME or framework:NAME"),
        ("recipe:", "expected tree, git:REV, python:PATH, recipe:NAME, recipe:FILE, precision:NAME or framework:NAME"),
        ("svn:12", "expected tree, git:REV, python:PATH, recipe:NAME, recipe:FILE, precision:NAME or framework:NAME"),
        ("python:/nowhere/python", "there is no program /nowhere/python"),
        ("git:no-such-revision", "no such commit"),
    ],
)
def test_a_side_that_cannot_be_meant_is_refused_in_one_line(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as refused:
        sides.resolve(text, tmp_path)
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


def test_an_unknown_recipe_is_refused_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="tuned"):
        sides.resolve("recipe:tunde", tmp_path)
