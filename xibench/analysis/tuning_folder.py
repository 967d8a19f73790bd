"""The folder of a search: its plan, the time that it has spent, and a run file per stage, from which it can resume.

A stage depends only on the run files of the stages before it, so that a resumed search arrives at the same stage.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Protocol

import msgspec

from xibench import __version__
from xibench.analysis.tuning import SearchResult, Stage, search
from xibench.errors import InputError, Interrupted, StoreError
from xibench.record import files, recipe_file
from xibench.record.files import saying_if_interrupted
from xibench.record.recipe_file import Gain, RecipeFile
from xibench.record.schema import Case, Record
from xibench.record.store import read
from xibench.record.text import encode, shell_word
from xibench.run import execute
from xibench.run.execute import RunObserver

PLAN_FILE: Final = "search.json"
FOLDERS: Final = Path("results/tune")
"""Parent folder of searches, relative to the current directory."""
BUDGET_S: Final = 1200.0
"""Default number of seconds after which no further choice is tried."""


class SearchPlan(msgspec.Struct, frozen=True, kw_only=True):
    """The content of PLAN_FILE: what is searched, and the time spent so far."""

    case: Case
    choices: dict[str, list[str]]  # the choices to search, each with its values
    batches: list[int]  # further batch sizes to try with the best recipe
    budget_s: float  # after which no further choice is tried
    command: str  # command line that started the search
    spent_s: float = 0.0  # until the end of the last stage that was measured completely


class SearchListener(RunObserver, Protocol):
    """Callbacks that report the progress of a search and of the runs in it."""

    def stage(self, text: str) -> None:
        """Called when a stage with pending work starts."""


class TuningFolder:
    """The folder of a search.

    Attributes:
        path: Path of the folder.
        plan: What is searched.
    """

    def __init__(self, path: Path, plan: SearchPlan, listener: SearchListener) -> None:
        self.path = path
        self.plan = plan
        self._listener = listener
        self._began = time.monotonic()
        self._before_s = plan.spent_s

    @classmethod
    def create(cls, path: Path | None, plan: SearchPlan, listener: SearchListener) -> TuningFolder:
        """Create the folder of a new search.

        Args:
            path: Path of the folder; None for a new one in FOLDERS.
            plan: What is searched.
            listener: Callbacks for progress.

        Raises:
            StoreError: The folder contains a search already or cannot be written.
        """
        path = path or FOLDERS / _name(plan.case)
        if (path / PLAN_FILE).exists():
            cure = f"resume it (`{_resume_command(path)}`) or name another folder"
            raise StoreError(f"{path} already contains a search; {cure}")
        folder = cls(path, plan, listener)
        folder._write()
        return folder

    @classmethod
    def resume(cls, path: Path, budget_s: float | None, listener: SearchListener) -> TuningFolder:
        """Open the folder of a search to resume it.

        Args:
            path: Path of the folder.
            budget_s: A new budget for the whole search; None to keep the old one.
            listener: Callbacks for progress.

        Raises:
            InputError: The folder contains no search, or its PLAN_FILE is damaged.
        """
        try:
            plan = msgspec.json.decode((path / PLAN_FILE).read_bytes(), type=SearchPlan)
        except OSError as error:
            expected = "expected a folder that `xibench tune` created"
            raise InputError(f"--resume {path}: its {PLAN_FILE} cannot be read: {error.strerror}; {expected}") from None
        except ValueError as error:
            raise InputError(f"--resume {path}: its {PLAN_FILE} is damaged: {error}; start a new search") from None
        return cls(path, plan if budget_s is None else msgspec.structs.replace(plan, budget_s=budget_s), listener)

    @property
    def resume_command(self) -> str:
        """The command that resumes the search."""
        return _resume_command(self.path)

    def search(self) -> SearchResult:
        """Start or resume the search and return its result. Raises as `measure_stage` does."""
        with saying_if_interrupted(f"resume with `{self.resume_command}`"):
            return search(self.plan.case, self.plan.choices, self.plan.batches, self.measure_stage, self._budget_spent)

    def write_recipe(self, found: SearchResult, path: Path | None = None) -> tuple[Path, RecipeFile]:
        """Write the result of the search as a recipe file.

        Args:
            found: The result.
            path: Path of the file; None for recipe.json in the folder.

        Returns:
            The path and content of the file.

        Raises:
            StoreError: The file cannot be written.
        """
        files = [self._run_file(number, result.stage) for number, result in enumerate(found.stages)]
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
            batch=found.best.batch if self.plan.batches else None,
            gains=[
                Gain(over=over, ratio=ratio.ratio, low=ratio.low, high=ratio.high, processes=ratio.n)
                for over, ratio in found.gains.items()
            ],
            runs=[file.name for file in files],
        )
        path = path or self.path / "recipe.json"
        recipe_file.write(path, content)
        return path, content

    def measure_stage(self, number: int, stage: Stage) -> Mapping[Case, Record]:
        """Measure the pending processes of a stage, if any, and return the records of its run file.

        Args:
            number: Number of the stage, from 0.
            stage: The stage.

        Raises:
            Interrupted: The user interrupted the run.
            InputError: The stage's run file has another plan.
            XibenchError: As a run raises it.
        """
        path = self._run_file(number, stage)
        calibrate = stage.name == "confirm"
        try:
            if path.exists():
                run_file = execute.resume(path, self._listener)
            else:
                run_file = execute.start(stage.cases, stage.sampling, None, self.plan.command, path)
            with run_file:
                if tuple(run_file.header.plan) != stage.cases:
                    raise InputError(f"{path} has another plan than the search of this version; start a new search")
                pending = run_file.index.pending()
                if pending:
                    n, processes = len(stage.cases), stage.sampling.processes
                    self._listener.stage(
                        f"stage {number + 1}, {stage.name}: {n} recipes interleaved, {processes} processes each"
                    )
                    execute.run(pending, run_file, self._listener, calibrate=calibrate)
        except Interrupted:
            cure = f"resume with `{self.resume_command}`"
            raise Interrupted(f"interrupted in stage {stage.name}; {cure}") from None
        if pending:
            self.plan = msgspec.structs.replace(self.plan, spent_s=self._spent_s())
            self._write()
        return {record.case: record for record in read(path).records}

    def _run_file(self, number: int, stage: Stage) -> Path:
        return self.path / f"{number + 1:02}-{stage.name}.jsonl"

    def _budget_spent(self) -> bool:
        return self._spent_s() >= self.plan.budget_s

    def _spent_s(self) -> float:
        return self._before_s + time.monotonic() - self._began

    def _write(self) -> None:
        path = self.path / PLAN_FILE
        try:
            files.put(path, msgspec.json.format(encode(self.plan), indent=2) + b"\n")
        except OSError as error:
            raise StoreError(f"{path} cannot be written: {error.strerror}; name another folder with --folder") from None


def _name(case: Case) -> str:
    moment = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    return f"{moment}-{case.framework}-{case.model}-{case.precision}-b{case.batch}"



def _resume_command(path: Path) -> str:
    return f"xibench tune --resume {shell_word(str(path))}"
