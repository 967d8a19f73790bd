"""Where histories come from: folders of asv results, files of pytest-benchmark, and run files of xibench.

Each reader yields every figure that its source has, under the source's own names. Files are read as JSON and not by the
tools that wrote them, so that a history can be read where they are not installed.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from xibench.errors import InputError
from xibench.history.series import Key, Point, Reading, Subject
from xibench.record.store import read as read_run
from xibench.record.summary import summarise
from xibench.scenarios import case_name

ASV_RESULTS: Final = 2  # format of a result file of asv
MAX_CLOCK_ERROR_MS: Final = 86_400_000  # clocks of machines differ by time zones that were set wrongly, at most
DAMAGES: Final = (KeyError, IndexError, TypeError, AttributeError, ValueError, OverflowError)
"""What reading a file of another shape than expected raises."""
FRAMEWORKS: Final = {"PyTorch": "pytorch", "TensorFlow": "tensorflow", "JAX": "jax"}
"""The classes of the asv suite, and the names of their frameworks."""
METRICS: Final = {
    "track_seconds_per_image": "step", "track_first_result_seconds": "first-result", "track_peak_host_bytes": "memory",
}  # fmt: skip
"""The benchmarks of the asv suite that `xibench ab` has a metric for."""


def read(path: Path, warn: Callable[[str], None] = lambda line: None) -> list[Reading]:
    """Read a source of any kind.

    Args:
        path: A folder of asv's results, a folder of pytest-benchmark's or xibench's files, or one such file.
        warn: Called with a line about what is odd in it.

    Returns:
        All figures in it.

    Raises:
        InputError: It does not exist, is damaged, or is of none of these kinds.
        StoreError: A run file is damaged.
    """
    try:
        path.stat()
    except (OSError, ValueError) as error:  # ValueError: a name with a null character
        what = "expected results of asv, files of pytest-benchmark or run files of xibench"
        raise InputError(
            f"history: there is no file or folder {path}; {what}; `asv run --record-samples` or `make nightly` writes "
            "results/asv"
        ) from error
    if path.is_file():
        return list(_run_file(path) if path.suffix == ".jsonl" else _pytest_file(path))
    if (path / "benchmarks.json").exists():
        return list(_asv_folder(path, warn))
    files = sorted(file for file in path.rglob("*") if file.suffix in (".json", ".jsonl"))
    if not files:
        raise InputError(f"history: folder {path} has no results; expected benchmarks.json of asv, *.json of "
                         "pytest-benchmark or *.jsonl of xibench")  # fmt: skip
    return [reading for file in files for reading in read(file, warn)]


def _asv_folder(folder: Path, warn: Callable[[str], None]) -> Iterator[Reading]:
    """Yield the figures of every machine and commit of a folder of asv's results.

    asv names a folder after a machine. Where its files are of different processors, these are machines of their own:
    the step from one to the other is nobody's change.
    """
    benchmarks = _json(folder / "benchmarks.json")
    if not isinstance(benchmarks, dict):
        raise InputError(f"history: {folder / 'benchmarks.json'} is no list of benchmarks of asv; expected an object")
    for machine in sorted(path for path in folder.iterdir() if (path / "machine.json").exists()):
        files = [file for file in sorted(machine.glob("*.json")) if file.name != "machine.json"]
        contents = {file: _json(file) for file in files}
        processors = {file: _processor(content) for file, content in contents.items()}
        several = sorted(set(processors.values()))
        for file, content in contents.items():
            name = f"{machine.name} ({processors[file]})" if len(several) > 1 else machine.name
            yield from _asv_file(file, content, name, benchmarks)
        if len(several) > 1:
            warn(
                f"history: results of machine {machine.name} are of {len(several)} different processors, which are "
                f"shown apart: {'; '.join(several)}; give each machine a name of its own"
            )
        early = [file for file, content in contents.items() if _measured_too_early(content)]
        if early:
            warn(
                f"history: {early[0]} {f'and {len(early) - 1} more were' if early[1:] else 'was'} measured before "
                "its commit was made: a clock was wrong; points are in the order of their commits"
            )


def _processor(content: Any) -> str:
    """Return the processor of a result file of asv, and how many CPUs it has; the same text where it states none."""
    stated = content.get("params") if isinstance(content, dict) else None
    facts = stated if isinstance(stated, dict) else {}
    return f"{facts.get('cpu') or 'unknown processor'}, {facts.get('num_cpu') or '?'} CPUs"


def _measured_too_early(content: Any) -> bool:
    """Whether a result file of asv has a figure that was measured before its commit was made, by more than a day."""
    try:
        column = content["result_columns"].index("started_at")
        started = [row[column] for row in content["results"].values() if len(row) > column and row[column]]
        return bool(min(started, default=math.inf) < content["date"] - MAX_CLOCK_ERROR_MS)
    except DAMAGES:
        return False  # whoever reads the figures says what is wrong


def _asv_file(file: Path, content: Any, machine: str, benchmarks: Mapping[str, Any]) -> Iterator[Reading]:
    """Yield the figures of one commit in one environment. Benchmarks that no longer exist are left out, as asv does."""
    try:
        if content["version"] != ASV_RESULTS:
            raise InputError(f"history: {file} has results of asv in format {content['version']!r}; expected "
                             f"{ASV_RESULTS}, which `asv update` writes")  # fmt: skip
        columns: Sequence[str] = content["result_columns"]
        requirements: Mapping[str, str] = content["requirements"]
        place = "asv " + " ".join(sorted(requirements)) if requirements else "asv"
        for name, row in content["results"].items():
            described = benchmarks.get(name)
            fields = dict(zip(columns, row, strict=False))
            if described is None or fields.get("version", described["version"]) != described["version"]:
                continue
            for number, combination in enumerate(itertools.product(*fields["params"])):
                value = _number(fields["result"], number)
                if value is None:
                    continue
                shown = ", ".join(str(parameter).strip("'") for parameter in combination)
                yield Reading(
                    Key(machine, f"{name}({shown})" if shown else name, place), described["unit"],
                    Point(
                        value=value, low=_number(fields.get("stats_ci_99_a"), number),
                        high=_number(fields.get("stats_ci_99_b"), number), commit=content["commit_hash"],
                        commit_time=content["date"] / 1000,
                        measured=(fields.get("started_at") or content["date"]) / 1000,
                        versions=requirements, source=str(file),
                    ),
                    _subject_of_asv(name, [str(parameter).strip("'") for parameter in combination]),
                )  # fmt: skip
    except DAMAGES as error:
        raise InputError(f"history: {file} is not a result file of asv: {type(error).__name__} {error}") from error


def _subject_of_asv(name: str, parameters: Sequence[str]) -> Subject | None:
    """Return what measures the same as a benchmark of the project's own suite; None for any other benchmark."""
    module, framework, benchmark = (*name.split("."), "", "", "")[:3]
    if module != "networks" or framework not in FRAMEWORKS or benchmark not in METRICS:
        return None
    model, setting, batch = parameters
    recipe, _, precision = setting.partition(" ")
    return Subject(
        framework=FRAMEWORKS[framework], model=model, recipe=recipe, precision=precision or "fp32", batch=int(batch),
        metric=METRICS[benchmark],
    )  # fmt: skip


def _pytest_file(file: Path) -> Iterator[Reading]:
    """Yield the medians of a file of pytest-benchmark, which states no intervals."""
    content = _json(file)
    if not isinstance(content, dict) or "benchmarks" not in content or "machine_info" not in content:
        what = "an object with benchmarks and machine_info, as --benchmark-json and --benchmark-autosave write"
        raise InputError(f"history: {file} is neither a file of pytest-benchmark nor a run file; expected {what}")
    try:
        commit = content.get("commit_info") or {}
        measured = datetime.fromisoformat(content["datetime"]).timestamp()
        made = commit.get("time")
        for each in content["benchmarks"]:
            yield Reading(
                Key(content["machine_info"]["node"], each["fullname"], "pytest-benchmark"), "seconds",
                Point(
                    value=float(each["stats"]["median"]), commit=commit.get("id"),
                    commit_time=datetime.fromisoformat(made).timestamp() if made else None, measured=measured,
                    source=str(file),
                ),
                _subject_of_pytest(each),
            )  # fmt: skip
    except DAMAGES as error:
        why = f"{type(error).__name__} {error}"
        raise InputError(f"history: {file} is not a file of pytest-benchmark: {why}") from error


def _subject_of_pytest(benchmark: Mapping[str, Any]) -> Subject | None:
    """Return what measures the same as a benchmark of the project's own suite; None for any other benchmark."""
    chosen = benchmark.get("params") or {}
    if not {"framework", "model", "recipe", "batch"} <= chosen.keys():
        return None
    return Subject(
        framework=chosen["framework"], model=chosen["model"], recipe=chosen["recipe"], batch=int(chosen["batch"])
    )


def _run_file(file: Path) -> Iterator[Reading]:
    """Yield the time per step of every case of a run file, without cases that were so disturbed that none is ranked."""
    run = read_run(file)
    environment = run.header.environment
    measured = datetime.fromisoformat(run.header.created_utc).timestamp()
    for record in run.records:
        summary = summarise(record)
        found = summary.step_s
        if found is None or summary.bracketed:
            continue
        yield Reading(
            Key(environment.machine, case_name(summary.case), "xibench run"), "seconds",
            Point(
                value=found.median, low=found.low, high=found.high, commit=environment.git_commit, measured=measured,
                versions={k: v for k, v in environment.packages.items() if v}, source=str(file),
            ),
            Subject(
                framework=summary.case.framework, model=summary.case.model, variant=summary.case.variant,
                recipe=summary.case.recipe, precision=summary.case.precision, batch=summary.case.batch,
                resolution=summary.case.resolution,
            ),
        )  # fmt: skip


def _number(values: Sequence[float | None] | None, number: int) -> float | None:
    """Return a value of a column of asv's results, None where it has none. NaN is a benchmark that was skipped."""
    value = values[number] if values is not None else None
    return value if value is not None and math.isfinite(value) else None


def _json(file: Path) -> Any:
    try:
        return json.loads(file.read_text())
    except (OSError, ValueError) as error:
        why = f"{error}; restore it, or remove it to leave it out"
        raise InputError(f"history: {file} cannot be read: {why}") from error
