"""A search as a folder: what it is, what it has spent, and a run file for each stage. It goes on where it was stopped.

Each stage is decided by the files of those before it, so that reading them again leads to the same place.
"""

from __future__ import annotations

import shlex
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Protocol

import msgspec

from xibench import __version__
from xibench.analysis.tuning import SearchResult, Stage, search
from xibench.errors import InputError, Interrupted, StoreError
from xibench.record import lines, recipe_file
from xibench.record.recipe_file import Gain, RecipeFile
from xibench.record.schema import Case, Record
from xibench.record.store import read
from xibench.run import execute as parent
from xibench.run import start
from xibench.run.execute import RunObserver

TASK: Final = "search.json"
FOLDERS: Final = Path("results/tune")
"""Where searches are kept, under the current directory."""
BUDGET_S: Final = 1200.0
"""Seconds after which no further choice is tried, unless others are asked for."""


class SearchPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What is searched. choices: with the values. batches: further ones for the recipe that is found."""

    case: Case
    choices: dict[str, list[str]]
    batches: list[int]
    budget_s: float
    command: str
    spent_s: float = 0.0  # until the last stage that was measured whole


class SearchListener(RunObserver, Protocol):
    """A watch that is told of stages, too."""

    def stage(self, text: str) -> None:
        """One begins of which something is left to measure."""


class TuningFolder:
    """A search's folder. watch: is told how its runs go on."""

    def __init__(self, path: Path, task: SearchPlan, watch: SearchListener) -> None:
        self.path = path
        self.task = task
        self._watch = watch
        self._began = time.monotonic()
        self._before = task.spent_s

    @classmethod
    def create(cls, path: Path | None, task: SearchPlan, watch: SearchListener) -> TuningFolder:
        """A new one. path: None for a new folder in FOLDERS.

        Raises StoreError if it holds a search already or cannot be written.
        """
        path = path or FOLDERS / _name(task.case)
        if (path / TASK).exists():
            cure = f"go on with it (`{_resume_command(path)}`) or name another folder"
            raise StoreError(f"{path} holds a search already; {cure}")
        folder = cls(path, task, watch)
        folder._write()
        return folder

    @classmethod
    def resume(cls, path: Path, budget_s: float | None, watch: SearchListener) -> TuningFolder:
        """One to go on with. budget_s: another one for all of it. Raises InputError for a folder that is none."""
        try:
            task = msgspec.json.decode((path / TASK).read_bytes(), type=SearchPlan)
        except OSError as error:
            expected = "expected a folder that `xibench tune` made"
            raise InputError(f"--resume {path}: {TASK} in it cannot be read: {error.strerror}; {expected}") from None
        except msgspec.MsgspecError as error:
            raise InputError(f"--resume {path}: {TASK} in it is damaged: {error}; begin a new search") from None
        return cls(path, task if budget_s is None else msgspec.structs.replace(task, budget_s=budget_s), watch)

    def search(self) -> SearchResult:
        """Searches, or goes on with the search; returns what was found. Raises what `take` does."""
        return search(self.task.case, self.task.choices, self.task.batches, self.take, self.spent)

    def write_recipe(self, found: SearchResult, path: Path | None = None) -> tuple[Path, RecipeFile]:
        """Writes what was found as a recipe file.

        path: None for recipe.json in the folder. Returns the file's path and content. Raises StoreError.
        """
        files = [self.file(number, result.stage) for number, result in enumerate(found.stages)]
        header = read(files[-1]).header
        content = RecipeFile(
            format=recipe_file.FORMAT,
            xibench=__version__,
            created_utc=header.created_utc,
            framework=found.best.framework,
            recipe=found.best.recipe,
            case=found.best,
            machine=header.environment.machine,
            environment=header.environment_hash,
            batch=found.best.batch if self.task.batches else None,
            gains=[
                Gain(over=over, ratio=ratio.ratio, low=ratio.low, high=ratio.high, processes=ratio.n)
                for over, ratio in found.gains.items()
            ],
            runs=[file.name for file in files],
        )
        path = path or self.path / "recipe.json"
        recipe_file.write(path, content)
        return path, content

    def spent(self) -> bool:
        """Whether the budget is."""
        return self._spent_s() >= self.task.budget_s

    def take(self, number: int, stage: Stage) -> Mapping[Case, Record]:
        """The records of a stage: measured, or what its file lacks of it measured, or read.

        Raises Interrupted, InputError if its file has another plan, and what a run raises.
        """
        path = self.file(number, stage)
        calibrate = stage.name == "confirm"
        try:
            if path.exists():
                run_file = start.resume(path, self._watch)
            else:
                run_file = start.start(stage.cases, stage.sampling, None, self.task.command, path)
            with run_file:
                if tuple(run_file.header.plan) != stage.cases:
                    raise InputError(f"{path} has another plan than this version's search; begin a new one")
                pending = run_file.pending()
                if pending:
                    self._watch.stage(_begins(number, stage))
                    parent.run(pending, run_file, self._watch, calibrate=calibrate)
        except Interrupted:
            cure = f"go on with `{_resume_command(self.path)}`"
            raise Interrupted(f"interrupted in stage {stage.name}; {cure}") from None
        if pending:
            self.task = msgspec.structs.replace(self.task, spent_s=self._spent_s())
            self._write()
        return {record.case: record for record in read(path).records}

    def file(self, number: int, stage: Stage) -> Path:
        """The run file of a stage."""
        return self.path / f"{number + 1:02}-{stage.name}.jsonl"

    def _spent_s(self) -> float:
        return self._before + time.monotonic() - self._began

    def _write(self) -> None:
        try:
            lines.put(self.path / TASK, msgspec.json.format(msgspec.json.encode(self.task), indent=2) + b"\n")
        except OSError as error:
            cure = "name another with --folder"
            raise StoreError(f"{self.path / TASK} cannot be written: {error.strerror}; {cure}") from None


def _name(case: Case) -> str:
    moment = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    return f"{moment}-{case.framework}-{case.model}-{case.precision}-b{case.batch}"


def _begins(number: int, stage: Stage) -> str:
    recipes, processes = len(stage.cases), stage.sampling.processes
    return f"stage {number + 1}, {stage.name}: {recipes} side by side, {processes} processes each"


def _resume_command(path: Path) -> str:
    return f"xibench tune --resume {shlex.quote(str(path))}"
