"""What a run shows while it goes on: a live bar on a terminal, a line per process elsewhere. All of it on stderr."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TextIO

from xibench.cli.render import terminal
from xibench.record import format
from xibench.record.metrics import HIGHEST_RATE_HZ, METRICS
from xibench.scenarios import described

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from xibench.analysis.tuning_folder import SearchListener
    from xibench.record.comparison import Compared
    from xibench.record.metrics import Metric
    from xibench.record.pairs import Pair
    from xibench.record.schema import Case, Record
    from xibench.record.summary import Summary


@contextmanager
def showing_progress(output: TextIO | None = None) -> Iterator[SearchListener]:
    """A watch for a run or a search: live where `output` is a terminal, plain lines elsewhere.

    output: where it is shown; None for the process's stderr as it is now, which a caller may have replaced.
    """
    output = output or sys.stderr
    if not output.isatty():
        yield PlainProgress(output)
        return
    from rich.live import Live

    view = ProgressView(terminal.console(output))
    with Live(view, console=view.console, transient=True, refresh_per_second=4):
        yield LiveProgress(view)


class PlainProgress:
    """One line per process, when it is finished."""

    def __init__(self, output: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._output = output
        self._clock = clock
        self._began = clock()
        self._index = self._total = 0

    def preparing(self, text: str) -> None:
        """Says nothing: a log wants results."""

    def started(self, case: Case, index: int, total: int) -> None:
        """Keeps the position: the line is written when the process is finished."""
        self._index, self._total, self._began = index, total, self._clock()

    def phase(self, case: Case, text: str) -> None:
        """Says nothing: a log wants results."""

    def finished(self, record: Record) -> None:
        """Writes the process's line."""
        took = format.duration(self._clock() - self._began)
        line = f"[{self._index + 1}/{self._total}] {outcome(record)} ({took})"
        print(line, file=self._output, flush=True)

    def warned(self, text: str) -> None:
        """Writes the warning."""
        print(f"warning: {text}", file=self._output, flush=True)

    def stage(self, text: str) -> None:
        """Writes what begins, as a heading of its processes' lines."""
        print(text, file=self._output, flush=True)


class PairProgress:
    """One line per pair of a comparison, when it is finished."""

    def __init__(self, output: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._output = output
        self._clock = clock
        self._began = clock()
        self._open = 0

    def pair_begins(self, case: Case, number: int, open_cases: int) -> None:
        """Keeps how many cases are open."""
        self._open = open_cases

    def pair_ended(self, pair: Pair, so_far: Compared | None) -> None:
        """Writes what is known of the case."""
        known = f"failed: {pair.reason}"
        if so_far is not None:
            bounds = "" if so_far.low is None else f" [{so_far.low:.3f}, {so_far.high:.3f}]"
            known = f"{so_far.ratio:.3f}{bounds} {so_far.verdict}"
        aside = " (disturbed, to be repeated)" if pair.superseded else ""
        spent = format.duration(self._clock() - self._began)
        line = f"pair {pair.number + 1} of {terminal.case_name(pair.case)}: {known}{aside}"
        print(f"{line} ({format.counted(self._open, 'case')} open, {spent})", file=self._output, flush=True)


class LiveProgress:
    """A bar: the case being measured, its phase, what is done and about how long the rest takes."""

    def __init__(self, view: ProgressView) -> None:
        self._view = view

    def preparing(self, text: str) -> None:
        """Shows what is measured before the first process."""
        self._view.doing = text

    def started(self, case: Case, index: int, total: int) -> None:
        """Shows the case."""
        self._view.begin(index, total)
        self._view.doing = terminal.case_name(case)

    def phase(self, case: Case, text: str) -> None:
        """Shows what the worker does now."""
        self._view.doing = f"{terminal.case_name(case)}: {text}"

    def finished(self, record: Record) -> None:
        """Writes the process's line above the bar and moves the bar on."""
        self._view.console.print(outcome(record))
        self._view.end()

    def warned(self, text: str) -> None:
        """Writes the warning above the bar."""
        self._view.console.print(f"warning: {text}")

    def stage(self, text: str) -> None:
        """Writes what begins above the bar, as a heading of its processes' lines."""
        self._view.console.print(text)


class ProgressView:
    """What the bar shows: two lines, drawn anew a few times a second so that the times run."""

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self.console = console
        self.doing = "starting"
        self._clock = clock
        self._began = self._pace_from = clock()
        self._ended = 0
        self._done = self._total = 0
        self._ends: float | None = None

    def begin(self, done: int, total: int) -> None:
        """A process begins; `done` of `total` need not be taken any more. A resumed run begins with some done."""
        if self._total == 0:
            self._pace_from = self._clock()
        self._done, self._total = done, total

    def end(self) -> None:
        """A process has ended; each of the rest is expected to take as long as those that this view has seen."""
        self._ended += 1
        self._done = min(self._done + 1, self._total)
        each = (self._clock() - self._pace_from) / self._ended
        self._ends = self._clock() + each * (self._total - self._done)

    def times(self) -> str:
        """`3/12 done, 9 left · 45 s · about 2 min 10 s left`."""
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
        return Group(line, Text(self.doing, overflow="ellipsis", no_wrap=True))


def outcome(record: Record) -> str:
    """The case of a process that has ended, in one line: its figure so far, or its status with the reason."""
    from xibench.record.summary import summarise

    name, last = terminal.case_name(record.case), record.attempts[-1]
    if last.status != "ok":
        return f"{name}: {last.status}: {last.reason}"
    disturbed = last.surroundings.disturbed if last.surroundings else []
    said = [headline(summarise(record))] if record.counted and not last.superseded else []
    if disturbed:
        kept = "to be repeated" if last.superseded else "kept and marked"
        said.append(f"disturbed ({kept}): {'; '.join(disturbed)}")
    return f"{name}: {'; '.join(said)}"


def headline(summary: Summary) -> str:
    """The figures that the case's scenario is about, and over how many processes if there are several."""
    named = (METRICS[name] for name in described(summary.case.scenario).headline if name in METRICS)
    said = ", ".join(text for metric in named if (text := _said(metric, summary)))
    return said if summary.processes == 1 else f"{said} over {summary.processes} processes"


def _said(metric: Metric[Any], summary: Summary) -> str:
    """A metric with its value; nothing where the case has none, except that a server which kept no rate is said so."""
    value = summary[metric]
    if metric is not HIGHEST_RATE_HZ:
        return "" if value is None else format.sentence(metric, value)
    if value is None:
        return "no rate kept the bound" + (" in more than half" if summary.processes > 1 else "")
    return f"{format.figure(metric, value)} {metric.shown_unit}"
