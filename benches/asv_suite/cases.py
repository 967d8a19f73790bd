"""Cases of the suite, measured by `xibench run` of the commit under test, so that asv stores figures of the instrument.

asv calls each benchmark in a process of its own. The first benchmark that needs a case measures it and leaves its run
file in the current folder, which asv's `setup_cache` shares between the benchmarks of one commit; the others read it.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple, NoReturn, TypeVar

from xibench.measure.energy import Rapl
from xibench.measure.nvml import Monitor

VERSION: Final = "1"  # increment it when the meaning of a figure changes, not when the code does
OPTIONS: Final = "XIBENCH_ASV_OPTIONS"
"""Environment variable with the options of `xibench run` that say how much is measured, instead of EFFORT."""
EFFORT: Final = "--processes 3 --repeats 3"
"""Fresh processes per case, and how many of them are repeated if they were disturbed."""
KEEP_DISTURBED: Final = "XIBENCH_ASV_KEEP_DISTURBED"
"""Environment variable that makes figures of disturbed processes count, for machines that are never quiet."""

MIN_UNDISTURBED: Final = 2  # processes without which a case has no figure, unless fewer were asked for

Benchmark = TypeVar("Benchmark", bound=Callable[..., Any])


def _meters() -> tuple[bool, bool]:
    """Whether this machine has a GPU, and whether it counts energy.

    Benchmarks that need what is not there are not defined, so that they are no empty columns.
    """
    with Monitor() as monitor:
        gpu = monitor.absent is None
    rapl = Rapl()
    rapl.begin()
    return gpu, gpu or rapl.joules({}) is not None


HAS_GPU, HAS_METER = _meters()


class Cell(NamedTuple):
    """A case of the suite.

    Attributes:
        framework: Name of the framework.
        target: The options that select the network or the operator.
        recipe: Name of the recipe.
        precision: Name of the precision.
        batch: Images per step.
    """

    framework: str
    target: tuple[str, ...]
    recipe: str
    precision: str
    batch: int

    @property
    def file(self) -> Path:
        """The run file of the case, in the current folder."""
        words = [self.framework, *self.target, self.recipe, self.precision, str(self.batch)]
        return Path("_".join(word.strip("-") for word in words) + ".jsonl")


def measured_in(unit: str, **attributes: Any) -> Callable[[Benchmark], Benchmark]:
    """Return a decorator that gives a benchmark its unit and other attributes that asv reads."""

    def mark(function: Benchmark) -> Benchmark:
        function.__dict__.update(attributes, unit=unit)
        return function

    return mark


def samples(cell: Cell, read: Callable[[Any], Sequence[float | None]]) -> dict[str, Any]:
    """Measure a case, or read what was measured, and return the samples of one figure.

    Args:
        cell: The case.
        read: Returns the samples of a process (`xibench.record.schema.Process`), in the unit of the benchmark.

    Returns:
        The samples of all processes that were not disturbed, in the form in which asv stores those of its own timings.

    Raises:
        SkipNotImplemented: The case has no ordinary figure. asv stores n/a, and shows the reason with --show-stderr.
        RuntimeError: It failed.
    """
    found = [sample for process in undisturbed(cell).processes for sample in read(process) if sample is not None]
    return {"samples": found or not_applicable("no process has this figure"), "number": 1}


def undisturbed(cell: Cell) -> Any:
    """Measure a case, or read what was measured.

    Returns:
        Its record (`xibench.record.schema.Record`) with the attempts that were not disturbed.

    Raises:
        SkipNotImplemented: A setting was not possible, or too many processes were disturbed.
        RuntimeError: The case failed.
    """
    import msgspec

    from xibench.record.store import read

    if not cell.file.exists():
        _measure(cell)
    run = read(cell.file)
    if not run.records:
        raise RuntimeError(f"{cell.file.stem}: no process was started")
    [record] = run.records
    if record.status == "unsupported":
        not_applicable(str(record.reason))
    if record.status != "ok":
        raise RuntimeError(f"{cell.file.stem}: {record.status}: {record.reason}")
    if substituted := [each for process in record.processes for each in process.substitutions]:
        not_applicable(f"{substituted[0].wanted} was not possible, {substituted[0].ran} ran: {substituted[0].why}")
    if os.environ.get(KEEP_DISTURBED):
        return record
    disturbances = [attempt.surroundings.disturbed if attempt.surroundings else [] for attempt in record.counted]
    calm = [attempt for attempt, found in zip(record.counted, disturbances, strict=True) if not found]
    if len(calm) < min(MIN_UNDISTURBED, run.header.sampling.processes):
        what = next(phrase for found in disturbances for phrase in found)
        not_applicable(f"{len(calm)} of {len(record.counted)} processes were undisturbed; of the others: {what}")
    return msgspec.structs.replace(record, attempts=calm)


def _measure(cell: Cell) -> None:
    """Run `xibench run` of the commit under test on one case."""
    command = [
        sys.executable, "-m", "xibench", "run", "-f", cell.framework, *cell.target, "--recipe", cell.recipe,
        "--precision", cell.precision, "--batch", str(cell.batch), "--no-ceilings", "--out", str(cell.file),
        *shlex.split(os.environ.get(OPTIONS, EFFORT)),
    ]  # fmt: skip
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if not cell.file.exists():
        raise RuntimeError(done.stderr.strip() or f"`{shlex.join(command)}` wrote no run file")


def not_applicable(why: str) -> NoReturn:
    """Make asv store n/a, with the reason on stderr."""
    from asv_runner.benchmarks.mark import SkipNotImplemented

    print(f"n/a: {why}", file=sys.stderr)
    raise SkipNotImplemented(why)
