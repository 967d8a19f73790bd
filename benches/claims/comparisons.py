"""Comparisons for claims: each is `xibench ab` of one case, stored on disk so that a claim can resume."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import msgspec

from xibench.ab.compare_sides import DecisionLimits, compare_sides, header
from xibench.ab.sides import Side
from xibench.errors import InputError, XibenchError
from xibench.record import environment, files, pair_store
from xibench.record.comparison import Compared, differing_machines, differing_versions
from xibench.record.pair_store import PairsFile
from xibench.record.pairs import Pair
from xibench.record.schema import Case
from xibench.workers import session


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """One finished comparison."""

    name: str
    wall_s: float  # from its start to its verdict, including the start of processes
    verdict: Compared
    pairs: list[Pair]


class _Line(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    wall_s: float
    verdict: Compared


class Folder:
    """A folder of comparisons: `done.jsonl` has a line for each finished one, and each has its own file of pairs."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._done_file = path / "done.jsonl"
        content = self._done_file.read_bytes() if self._done_file.exists() else b""
        found, cut = files.split(content)
        if cut:  # an incomplete last line: its comparison is measured again
            os.truncate(self._done_file, content.rfind(b"\n") + 1)
        self._here = environment.read(session.interpreters())
        self._done = {line.name: line for line in (msgspec.json.decode(text, type=_Line) for _, text in found)}

    def compare(self, name: str, case: Case, sides: tuple[Side, Side], limits: DecisionLimits, progress: str) -> Done:
        """Return a finished comparison from disk, or measure it.

        Args:
            name: Name of the comparison.
            case: The compared case.
            sides: The two sides.
            limits: When the comparison ends.
            progress: Prefix of the line that reports its verdict, such as `[3/100]`.

        Raises:
            InputError: The stored comparison was measured on another machine or with other versions of packages.
            XibenchError: The comparison has no result.
        """
        pairs_path = self._path / f"{name}.jsonl"
        if name not in self._done:
            if pairs_path.exists():  # an interrupted comparison: keep its pairs, but do not count them
                pairs_path.rename(pairs_path.with_suffix(f".interrupted-{int(time.time())}"))
            self._measure(name, case, sides, limits, pairs_path, progress)
        line, stored = self._done[name], pair_store.read(pairs_path)
        before = stored.header.environment
        changed = differing_machines(before, self._here) + differing_versions(before.packages, self._here.packages)
        if changed:
            raise InputError(
                f"{pairs_path} was measured under other conditions ({'; '.join(changed)}) and cannot be combined with "
                f"new comparisons; move {self._path} away to start again, or resume under the earlier conditions"
            )
        return Done(name=name, wall_s=line.wall_s, verdict=line.verdict, pairs=list(stored.pairs))

    def _measure(
        self, name: str, case: Case, sides: tuple[Side, Side], limits: DecisionLimits, path: Path, progress: str
    ) -> None:
        began = time.monotonic()
        with PairsFile(path, header([case], sides, limits, f"benches.claims {name}")) as pairs_file:
            found = compare_sides([case], sides, limits, pairs_file, _Quiet())
        wall_s = time.monotonic() - began
        if not found.pairs:
            why = "; ".join(found.not_compared[0].why)
            raise XibenchError(f"comparison {name} has no result: {why}; `xibench doctor` lists what is missing")
        line = _Line(name=name, wall_s=wall_s, verdict=found.pairs[0])
        descriptor = files.open_or_create(self._done_file)
        try:
            files.append(descriptor, line)
        finally:
            os.close(descriptor)
        self._done[name] = line
        verdict = found.pairs[0]
        text = f"{progress} {name}: {verdict.ratio:.4f}, {verdict.verdict} after {verdict.n} pairs, {wall_s:.0f} s"
        print(text, file=sys.stderr, flush=True)


class _Quiet:
    """Callbacks of a comparison that print no progress, because a finished comparison is reported in one line."""

    def warned(self, text: str) -> None:
        """Print the warning."""
        print(f"warning: {text}", file=sys.stderr, flush=True)

    def pair_begins(self, case: Case, number: int, open_cases: int) -> None:
        """Print nothing."""

    def pair_ended(self, pair: Pair, so_far: Compared | None) -> None:
        """Print nothing."""
