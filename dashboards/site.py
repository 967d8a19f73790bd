"""The data that pages are made from, and the definition of a page."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from dashboards.content import FigureBlock, Note, Page, Section
from dashboards.runs import Group, LoadedRun, families, groups, load
from xibench.history.report import History
from xibench.history.series import Series
from xibench.record import pair_comparison, pair_store
from xibench.record.comparison import Comparison
from xibench.record.pair_store import Pairs


@dataclass(frozen=True, slots=True)
class LoadedPairs:
    """A file of pairs with what follows from it."""

    name: str
    anchor: str  # identifies it in anchors and file names
    pairs: Pairs
    comparison: Comparison
    content: bytes

    @classmethod
    def read(cls, path: Path) -> LoadedPairs:
        """Read a file of pairs. Raises StoreError or NewerFormat if it cannot be read."""
        pairs, content = pair_store.read(path), path.read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        return cls(path.name, digest[:12], pairs, pair_comparison.of_file(pairs), content)


@dataclass(frozen=True, slots=True)
class LoadedHistory:
    """Series of many nights or commits, and what was found in each, in the same order."""

    series: tuple[Series, ...]
    found: History


@dataclass(frozen=True, slots=True)
class Site:
    """Everything a site shows, read once. Further inputs become fields here.

    Attributes:
        runs: The run files in the order given, without duplicates.
        comparisons: The files of pairs, likewise.
        history: Series of many nights; None if none was given.
    """

    runs: tuple[LoadedRun, ...]
    comparisons: tuple[LoadedPairs, ...] = ()
    history: LoadedHistory | None = None

    @classmethod
    def read(cls, paths: Sequence[Path], history: LoadedHistory | None = None) -> Site:
        """Read the run files and files of pairs of a site; duplicates are dropped.

        Args:
            paths: The files.
            history: Series of many nights.

        Raises:
            StoreError: a file cannot be read.
            NewerFormat: a file was written by a newer xibench.
        """
        of_pairs = [path for path in paths if pair_store.is_pairs_file(path)]
        runs = {run.digest: run for run in (load(path) for path in paths if path not in of_pairs)}
        comparisons = {one.anchor: one for one in map(LoadedPairs.read, of_pairs)}
        return cls(tuple(runs.values()), tuple(comparisons.values()), history)

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
        of_runs: Whether the page is about runs, so that a site of comparisons alone does not have it.
    """

    path: str
    label: str
    question: str
    content: Callable[[Site], Content]
    title: str = ""
    applies: Callable[[Site], bool] = lambda site: True
    of_runs: bool = True

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
