"""The data that pages are made from, and the definition of a page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from dashboards.content import FigureBlock, Note, Page, Section
from dashboards.runs import Group, LoadedRun, families, groups, load


@dataclass(frozen=True, slots=True)
class Site:
    """Everything a site shows, read once. Further inputs, such as history, become fields here.

    Attributes:
        runs: The run files in the order given, without duplicates.
    """

    runs: tuple[LoadedRun, ...]

    @classmethod
    def read(cls, run_paths: Sequence[Path]) -> Site:
        """Read the run files of a site; duplicates are dropped.

        Raises:
            StoreError: a run file cannot be read.
            NewerFormat: a run file was written by a newer xibench.
        """
        return cls(tuple({run.digest: run for run in map(load, run_paths)}.values()))

    @property
    def measured(self) -> bool:
        """Whether any case has a result."""
        return any(row.ok for run in self.runs for row in run.rows)

    @property
    def steady_runs(self) -> tuple[LoadedRun, ...]:
        """Runs that are not batch sweeps."""
        return tuple(run for run in self.runs if not run.header.sampling.sweep)

    def groups(self, metric: str | None = None, *, sweeps: bool = True) -> tuple[Group, ...]:
        """Groups of comparable cases in which at least one case has a result.

        Args:
            metric: Only groups of scenarios with this metric; None: all groups.
            sweeps: Whether to include batch sweeps, which have their own page.
        """
        found = groups(self.runs if sweeps else self.steady_runs, metric)
        return tuple(group for group in found if group.measured)

    def families(self, metric: str | None = None) -> tuple[Group, ...]:
        """Like `groups`, but cases that differ only in batch stay together."""
        return tuple(group for group in families(self.runs, metric) if group.measured)


@dataclass(frozen=True, slots=True)
class Content:
    """The content of a page: its sections, and a paragraph above them."""

    sections: tuple[Section, ...]
    intro: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PageKind:
    """A registered page: one question, and the function that answers it.

    Attributes:
        path: File name inside the site.
        label: Name in the navigation.
        question: Heading of the page.
        content: Answers the question from a site.
        title: Title of the browser window; empty: the label.
        applies: Whether the page has something to show; otherwise it is not built.
    """

    path: str
    label: str
    question: str
    content: Callable[[Site], Content]
    title: str = ""
    applies: Callable[[Site], bool] = lambda site: True

    def page(self, site: Site) -> Page:
        """Make the page of a site."""
        content = self.content(site)
        captions = [
            line
            for section in content.sections
            for block in section.blocks if isinstance(block, FigureBlock)
            for line in block.caption
        ]
        cases: dict[str, dict[str, None]] = {}  # of each note, once
        for note in captions:
            if isinstance(note, Note):
                cases.setdefault(note.text, {}).update(dict.fromkeys(note.cases))
        return Page(
            file=self.path, short=self.label, title=self.title or self.label, question=self.question,
            sections=content.sections, intro=content.intro,
            notes=tuple(str(Note(text, tuple(names))) for text, names in cases.items()),
        )  # fmt: skip
