"""Progress of a run, written to stderr: a live bar on a terminal, otherwise a line per process."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TextIO

from xibench.cli.render import terminal
from xibench.record import format
from xibench.record.marks import shown
from xibench.record.metrics import HIGHEST_RATE_HZ, METRICS
from xibench.record.text import printable
from xibench.scenarios import described

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from xibench.analysis.tuning_folder import SearchListener
    from xibench.record.comparison import Compared
    from xibench.record.pairs import Pair
    from xibench.record.schema import Case, Record


@contextmanager
def showing_progress(output: TextIO | None = None) -> Iterator[SearchListener]:
    """Yield the callbacks that show the progress of a run or a search.

    Args:
        output: Where progress is shown, live if it is a terminal, otherwise as plain lines; None for sys.stderr.
    """
    output = output or sys.stderr
    if not output.isatty():
        yield PlainProgress(output)
        return
    from rich.live import Live

    view = ProgressView(terminal.console(output))
    with Live(view, console=view.console, transient=True, refresh_per_second=4):
        yield LiveProgress(view)


@dataclass
class PlainProgress:
    """Progress as one line per finished process."""

    output: TextIO
    clock: Callable[[], float] = time.monotonic  # seconds
    _index: int = field(default=0, init=False)
    _total: int = field(default=0, init=False)
    _began: float = field(default=0.0, init=False)

    def preparing(self, text: str) -> None:
        """Ignored: a log holds results only."""

    def started(self, case: Case, index: int, total: int) -> None:
        """Note the position of a process, whose line is written when it has finished."""
        self._index, self._total, self._began = index, total, self.clock()

    def phase(self, case: Case, text: str) -> None:
        """Ignored: a log holds results only."""

    def finished(self, record: Record) -> None:
        """Write the line of a process."""
        took = format.duration(self.clock() - self._began)
        line = f"[{self._index + 1}/{self._total}] {outcome(record)} ({took})"
        terminal.say(line, self.output)

    def warned(self, text: str) -> None:
        """Write a warning."""
        terminal.say(f"warning: {text}", self.output)

    def stage(self, text: str) -> None:
        """Write the name of a stage as a heading of the lines of its processes."""
        terminal.say(text, self.output)


class PairProgress:
    """Progress of `ab` as one line per finished pair."""

    def __init__(self, output: TextIO, base: str = "", clock: Callable[[], float] = time.monotonic) -> None:
        self._output = output
        self._base = base  # the first side: what sides set is not part of the name of a case
        self._clock = clock
        self._began = clock()
        self._open = 0

    def warned(self, text: str) -> None:
        """Write a warning."""
        terminal.say(f"warning: {text}", self._output)

    def pair_begins(self, case: Case, number: int, open_cases: int) -> None:
        """Note how many cases are undecided."""
        self._open = open_cases

    def pair_ended(self, pair: Pair, so_far: Compared | None) -> None:
        """Write the ratio and the verdict of the case so far, or the reason for a failure."""
        from xibench.analysis.comparison_text import name_of

        if pair.log_ratio is None:
            known = f"{pair.status}: {pair.reason}"
        elif so_far is None or so_far.low is None:
            known = "measured"
        else:
            known = f"{so_far.ratio:.3f} [{so_far.low:.3f}, {so_far.high:.3f}] {so_far.verdict}"
        sides = f", {so_far.sides[1]} against {so_far.sides[0]}" if so_far and so_far.sides else ""
        aside = ", disturbed, to be repeated" if pair.superseded else ""
        spent = format.duration(self._clock() - self._began)
        line = f"pair {pair.number + 1} of {name_of(self._base, pair.case)}{sides}: {known}{aside}"
        terminal.say(f"{line} ({format.counted(self._open, 'case')} open, {spent})", self._output)


class LiveProgress:
    """Progress as a live bar: the current case and phase, the number of finished processes, and the time left."""

    def __init__(self, view: ProgressView) -> None:
        self._view = view

    def preparing(self, text: str) -> None:
        """Show what is measured before the first process, such as ceilings."""
        self._view.doing = text

    def started(self, case: Case, index: int, total: int) -> None:
        """Show the case."""
        self._view.begin(index, total)
        self._view.doing = terminal.case_name(case)

    def phase(self, case: Case, text: str) -> None:
        """Show the current phase of the worker."""
        self._view.doing = f"{terminal.case_name(case)}: {text}"

    def finished(self, record: Record) -> None:
        """Write the line of a process above the bar and advance the bar."""
        self._view.console.print(printable(outcome(record)))
        self._view.end()

    def warned(self, text: str) -> None:
        """Write a warning above the bar."""
        self._view.console.print(printable(f"warning: {text}"))

    def stage(self, text: str) -> None:
        """Write the name of a stage above the bar as a heading of the lines of its processes."""
        self._view.console.print(printable(text))


class ProgressView:
    """The two lines of the live bar. rich renders them several times a second, so that the times advance."""

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self.console = console
        self.doing = "starting"
        self._clock = clock
        self._began = self._pace_from = clock()
        self._ended = 0
        self._done = self._total = 0
        self._ends: float | None = None

    def begin(self, done: int, total: int) -> None:
        """Start a process when `done` of `total` are finished; in a resumed run, some are from the start."""
        if self._total == 0:
            self._pace_from = self._clock()
        self._done, self._total = done, total

    def end(self) -> None:
        """End a process and estimate the time left from the mean duration of the processes so far."""
        self._ended += 1
        self._done = min(self._done + 1, self._total)
        each = (self._clock() - self._pace_from) / self._ended
        self._ends = self._clock() + each * (self._total - self._done)

    def times(self) -> str:
        """Return the counts and times as text: `3/12 done, 9 left · 45 s · about 2 min 10 s left`."""
        left = self._total - self._done
        parts = [f"{self._done}/{self._total} done, {left} left", format.duration(self._clock() - self._began)]
        if self._ends is not None and left:
            parts.append(f"about {format.duration(max(self._ends - self._clock(), 1.0))} left")
        return " · ".join(parts)

    def __rich__(self) -> RenderableType:
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        line = Table.grid(padding=(0, 1))
        line.add_row(ProgressBar(total=max(self._total, 1), completed=self._done, width=24), Text(self.times()))
        return Group(line, Text(printable(self.doing), overflow="ellipsis", no_wrap=True))


def outcome(record: Record) -> str:
    """Return the line of a process that has ended: the figures of its case so far, or its status and reason."""
    from xibench.record.summary import summarise

    name, last = terminal.case_name(record.case), record.attempts[-1]
    if last.status != "ok":
        return f"{name}: {last.status}: {last.reason}"
    parts = []

    # The headline figures of the scenario, over all processes of the case so far
    if record.counted and not last.superseded:
        summary = summarise(record)
        several = summary.processes > 1
        figures = []
        for metric in (METRICS[m] for m in described(record.case.scenario).headline if m in METRICS):
            value = summary[metric]
            if value is None and metric is HIGHEST_RATE_HZ:  # a result: no rate met the latency bound
                figures.append("no rate kept the bound" + (" in more than half" if several else ""))
            elif metric is HIGHEST_RATE_HZ:
                figures.append(shown(f"{format.figure(metric, value)} {metric.shown_unit}", summary))
            elif value is not None:
                figures.append(shown(format.sentence(metric, value), summary))
        parts.append(", ".join(figures) + (f" over {summary.processes} processes" if several else ""))

    # Disturbances of the last process
    if last.surroundings and last.surroundings.disturbed:
        kept = "to be repeated" if last.superseded else "kept and marked"
        parts.append(f"disturbed ({kept}): {'; '.join(last.surroundings.disturbed)}")
    return f"{name}: {'; '.join(parts)}"
