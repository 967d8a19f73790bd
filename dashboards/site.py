"""What the pages are made from, and what a page is before it has been made."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from dashboards.content import Page, Section
from dashboards.runs import Group, LoadedRun, families, groups, load


@dataclass(frozen=True, slots=True)
class Site:
    """Everything that a site shows, read once. What else a site is to show one day is a field here.

    Attributes:
        runs: Each run file once, in the order given.
    """

    runs: tuple[LoadedRun, ...]

    @classmethod
    def read(cls, run_paths: Sequence[Path]) -> Site:
        """Read the files of a site; the same file given twice is shown once.

        Raises:
            StoreError: a run file that cannot be read; NewerFormat: one of a newer xibench.
        """
        return cls(tuple({run.digest: run for run in map(load, run_paths)}.values()))

    @property
    def measured(self) -> bool:
        """Whether any case has a result."""
        return any(row.ok for run in self.runs for row in run.rows)

    @property
    def steady_runs(self) -> tuple[LoadedRun, ...]:
        """Runs that are not sweeps over the batch."""
        return tuple(run for run in self.runs if not run.header.sampling.sweep)

    def groups(self, metric: str | None = None, *, sweeps: bool = True) -> tuple[Group, ...]:
        """Cases that may be compared, in groups that have a result.

        Args:
            metric: Of the scenarios that give this metric; None: of all.
            sweeps: Whether runs that sweep the batch, which have a page of their own, are among them.
        """
        found = groups(self.runs if sweeps else self.steady_runs, metric)
        return tuple(group for group in found if group.measured)

    def families(self, metric: str | None = None) -> tuple[Group, ...]:
        """As `groups`, but the batches of a series stay together."""
        return tuple(group for group in families(self.runs, metric) if group.measured)


@dataclass(frozen=True, slots=True)
class Content:
    """What a page says: its sections, and a paragraph above them."""

    sections: tuple[Section, ...]
    intro: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PageKind:
    """A page as the registry has it: one question, and how it is answered.

    Attributes:
        path: File name inside the site.
        label: Its name in the navigation.
        question: Its heading.
        content: Answers the question from a site.
        title: Of the browser's window; empty: the label.
        applies: Whether a site has anything for it; a page that does not apply is not built.
    """

    path: str
    label: str
    question: str
    content: Callable[[Site], Content]
    title: str = ""
    applies: Callable[[Site], bool] = lambda site: True

    def page(self, site: Site) -> Page:
        """The page of a site."""
        content = self.content(site)
        return Page(
            file=self.path, short=self.label, title=self.title or self.label, question=self.question,
            sections=content.sections, intro=content.intro,
        )  # fmt: skip
