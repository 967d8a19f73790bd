"""Runs in the form `customSmallerIsBetter` of github-action-benchmark, which other dashboards read as well.

The form is a list of objects with name, unit and value, and optionally range and extra, all but the value as text.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from xibench.errors import StoreError
from xibench.record.metrics import METRICS, bounds, central
from xibench.record.store import read
from xibench.record.summary import summarise
from xibench.scenarios import case_name


def entries(paths: Sequence[Path]) -> Iterator[dict[str, Any]]:
    """Yield every figure of which less is better, of every case that has it and was not disturbed too much to rank.

    Args:
        paths: Run files.
    """
    for path in paths:
        run = read(path)
        environment = run.header.environment
        for record in run.records:
            summary = summarise(record, run.calibration)
            if summary.bracketed:
                continue
            versions = record.processes[0].versions if record.processes else {}
            settings = ", ".join(f"{name} {version}" for name, version in sorted(versions.items()))
            for metric in METRICS.values():
                value = central(summary[metric]) if metric.better == "lower" else None
                if value is None:
                    continue
                low, high = bounds(summary[metric])
                entry = {"name": f"{case_name(record.case)}: {metric.name}", "unit": metric.unit, "value": value}
                if low is not None and high is not None:
                    entry["range"] = f"[{low:.6g}, {high:.6g}]"
                entry["extra"] = f"{environment.machine}; {settings}; {environment.git_commit or 'no commit'}"
                yield entry


def export(paths: Sequence[Path], out: Path) -> int:
    """Write the figures of runs and return how many there are.

    Raises:
        StoreError: A run cannot be read, or the file cannot be written.
    """
    found = list(entries(paths))
    try:
        out.write_text(json.dumps(found, indent=1) + "\n")
    except (OSError, ValueError) as error:  # ValueError: a name with a null character
        raise StoreError(f"{out} cannot be written: {error}; name another file") from error
    return len(found)
