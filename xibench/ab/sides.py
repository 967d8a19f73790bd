"""The sides of `xibench ab`: the checkout as it is, a commit, an interpreter, a recipe, a precision, a framework."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import msgspec

from frameworks.api import find
from frameworks.errors import UnknownName
from frameworks.recipes import RECIPES, known_precision
from xibench.errors import UsageError
from xibench.record import recipe_file
from xibench.record.pairs import SideLine
from xibench.record.schema import Case, Precision
from xibench.workers import session

FORMS: Final = (
    "tree, git:REV, python:PATH, recipe:NAME, recipe:FILE, precision:NAME or framework:NAME, such as "
    "framework:jax+tuned"
)
GIT_TIME_LIMIT_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Side:
    """One side of a comparison. A field that is None does not differ from an ordinary run.

    Attributes:
        name: The side as text, such as `git:v0.1`.
        commit: The commit whose `frameworks` is measured.
        frameworks_in: Folder with the `frameworks` package that is measured instead of the checkout's.
        python: Interpreter of the workers.
        recipe: Recipe of all cases.
        precision: Precision of all cases.
        framework: Implementation of all cases.
        slowdown: Artificial slowdown that tests the comparison itself, as a share of each step's duration.
    """

    name: str
    commit: str | None = None
    frameworks_in: Path | None = None
    python: str | None = None
    recipe: str | None = None
    precision: Precision | None = None
    framework: str | None = None
    slowdown: float = 0.0

    @property
    def line(self) -> SideLine:
        """The side as recorded in a file of pairs."""
        return SideLine(name=self.name, commit=self.commit, slowdown=self.slowdown)

    def case(self, case: Case) -> Case:
        """Return the case that this side runs for a case of the plan."""
        return msgspec.structs.replace(
            case, framework=self.framework or case.framework, recipe=self.recipe or case.recipe,
            precision=self.precision or case.precision,
        )  # fmt: skip

    def command(self, case: Case) -> list[str]:
        """Return the command that starts a worker of this side."""
        interpreter, *rest = session.worker_command(case.framework)
        return [self.python or interpreter, *rest]

    def environment(self, programs: Path) -> dict[str, str]:
        """Return the environment variables of a worker of this side. programs: as `session.worker_environment`."""
        variables = session.worker_environment(programs)
        if self.frameworks_in is not None:
            variables["PYTHONPATH"] = os.pathsep.join([str(self.frameworks_in), variables.get("PYTHONPATH", "")])
        return variables


def resolve(text: str, scratch: Path) -> Side:
    """Parse a side.

    Args:
        text: `tree`, `git:REV`, `python:PATH`, `recipe:NAME`, `recipe:FILE`, `precision:NAME` or `framework:NAME`,
            the last optionally with a recipe, as in `framework:jax+tuned`.
        scratch: Folder into which the `frameworks` package of a commit is unpacked.

    Raises:
        UsageError: The text has another form, or its commit or interpreter does not exist.
        UnknownName: There is no such recipe, precision or framework.
    """
    if text == "tree":
        return Side(text)
    kind, _, value = text.partition(":")
    makers: dict[str, Callable[[str, Path], Side]] = {
        "git": _commit, "python": _interpreter, "recipe": _recipe, "precision": _precision,
        "framework": _framework,
    }  # fmt: skip
    if kind not in makers or not value:
        near = f"; the interpreter {text} is python:{text}" if os.access(text, os.X_OK) and Path(text).is_file() else ""
        raise UsageError(f"side '{text}': expected {FORMS}{near}")
    return replace(makers[kind](value, scratch), name=text)


def _commit(revision: str, scratch: Path) -> Side:
    commit = _git(revision, "rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}").decode().strip()
    folder = scratch / commit
    if not folder.exists():
        content = _git(revision, "archive", "--format=tar", commit, "frameworks")
        folder.mkdir(parents=True)
        with tarfile.open(fileobj=io.BytesIO(content)) as archive:
            archive.extractall(folder, filter="data")
    return Side("", commit=commit, frameworks_in=folder)


def _interpreter(path: str, _: Path) -> Side:
    if not os.access(path, os.X_OK) or Path(path).is_dir():
        raise UsageError(f"side 'python:{path}': there is no program {path}; name a Python, such as .venv/bin/python")
    return Side("", python=str(Path(path).absolute()))


def _recipe(name: str, _: Path) -> Side:
    if name.endswith(recipe_file.SUFFIX):
        return Side("", recipe=recipe_file.read(name).recipe)
    if name.split("+")[0] not in RECIPES:
        raise UnknownName("recipe", name, RECIPES)
    return Side("", recipe=name)


def _precision(name: str, _: Path) -> Side:
    return Side("", precision=known_precision(name))


def _framework(text: str, _: Path) -> Side:
    name, *recipe_parts = text.split("+")
    recipe = "+".join(recipe_parts)
    return Side("", framework=find(name).name, recipe=recipe or None)


def _git(revision: str, *arguments: str) -> bytes:
    command = ["git", "--no-optional-locks", "-C", str(session.ROOT), *arguments]
    try:
        return subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, check=True, timeout=GIT_TIME_LIMIT_S
        ).stdout
    except FileNotFoundError:
        raise UsageError(f"side 'git:{revision}': git is not installed; install it, or name another side") from None
    except subprocess.TimeoutExpired:
        raise UsageError(
            f"side 'git:{revision}': git took longer than {GIT_TIME_LIMIT_S:.0f} s; if the clone is partial, "
            "fetch the commit beforehand"
        ) from None
    except subprocess.CalledProcessError as error:
        said = error.stderr.decode(errors="replace").strip() or "no such commit in the checkout that xibench runs from"
        raise UsageError(f"side 'git:{revision}': {said}; `git log --oneline` shows what there is") from None
