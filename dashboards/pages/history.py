"""History: what changed over many nights or commits, and whether that was confirmed."""

from __future__ import annotations

import itertools
import math
import re
import statistics
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from dashboards import words
from dashboards.content import Block, Cell, Chart, Facts, Figure, FigureBlock, Note, Prose, Section, Table, Tile, Wall
from dashboards.site import Content, LoadedHistory, PageKind, Site
from dashboards.style import layout as layout_of
from dashboards.style import named
from xibench.history.report import Found, Judged
from xibench.history.series import Point, Series
from xibench.record import format as fmt

MAX_CHARTS: Final = 40  # each is some KB of the page; the wall and the table have every series
ASV_NAME: Final = re.compile(
    r"(?:\w+\.)*(?P<group>\w+)\.(?:time|track|peakmem|mem)_(?P<figure>\w+)(?:\((?P<parameters>.*)\))?"
)
MAX_TAGS: Final = 6  # versions that a chart names
ATTENTION: Final = ("confirmed", "undecided", "candidate", "suspected")
"""States that ask for attention, most first. Of the others nothing is to be done."""
CAPTION: Final = (
    "Each point is a commit or a night, the band its interval (asv's are of 99 %, those of runs of 95 %). A vertical "
    "line stands before the first point after a change, solid if it was confirmed; dotted lines are new versions of "
    "packages. Lower is better"
)


class Shown(NamedTuple):
    """A series with what was found in it, and the unit in which its page shows it."""

    series: Series
    judged: Judged
    factor: float
    unit: str
    number: int  # position among all series

    @property
    def worst(self) -> Found | None:
        """The change that asks for most attention, else the newest; None if it never changed."""
        changes = sorted(self.judged.changes, key=lambda change: change.first.order, reverse=True)
        return min(changes, key=_urgency, default=None)

    def text(self, value: float) -> str:
        """A value with its unit."""
        return f"{fmt.number(self.factor * value)} {self.unit}"


def content(site: Site) -> Content:
    """Counts, the changes, all series as a wall, and a chart of those that need attention first."""
    history = site.history
    assert history is not None
    series = sorted(map(_shown, *zip(*_numbered(history), strict=True)), key=_order)
    charted = series[:MAX_CHARTS]
    places = [f"#series-{n}" if n <= MAX_CHARTS else "#wall" for n in range(1, len(series) + 1)]  # ids of figures
    rest = f"The {len(series) - MAX_CHARTS} series further down have no chart." if len(series) > MAX_CHARTS else ""
    sections = [
        Section("counts", "What changed", tuple(_counts(history, series))),
        Section("wall", "All series", (Wall(tuple(map(_tile, series, places))), _table(series))),
        Section("series", "Series by series", tuple(_chart(each) for each in charted)),
    ]
    return Content(tuple(sections), intro=" ".join(filter(None, [history.found.sentence, rest])))


PAGE: Final = PageKind(
    path="history.html",
    label="History",
    question="What became slower or faster, and since when?",
    content=content,
    applies=lambda site: site.history is not None and bool(site.history.series),
    of_runs=False,
)


def _numbered(history: LoadedHistory) -> list[tuple[Series, Judged, int]]:
    return [(one, two, n) for n, (one, two) in enumerate(zip(history.series, history.found.series, strict=True))]


def _shown(series: Series, judged: Judged, number: int) -> Shown:
    middle = statistics.median(point.value for point in series.points)
    if series.unit == "seconds":
        return Shown(series, judged, *((1e3, "ms") if middle < 1 else (1.0, "s")), number)
    if series.unit == "bytes":
        return Shown(series, judged, 1 / fmt.MIB, "MiB", number)
    return Shown(series, judged, 1.0, series.unit, number)


def _urgency(change: Found) -> int:
    """How little attention a change asks for: regressions before improvements, by state, muted ones last."""
    if change.muted or change.state not in ATTENTION:
        return 2 * len(ATTENTION)
    return ATTENTION.index(change.state) + len(ATTENTION) * (change.ratio < 1)


def _order(each: Shown) -> tuple[int, float, int]:
    """Place on the page: by urgency, then by the size of the change, then by name."""
    worst = each.worst
    if worst is None:
        return 3 * len(ATTENTION), 0.0, each.number
    return _urgency(worst), -abs(math.log(worst.ratio)), each.number


def _counts(history: LoadedHistory, series: Sequence[Shown]) -> list[Block]:
    changes = [change for each in history.found.series for change in each.changes]
    states = Counter(change.state for change in changes)
    blocks: list[Block] = [
        Facts((
            ("series", str(len(series))),
            ("changed", str(sum(bool(each.judged.changes) for each in series))),
            ("to confirm", str(states["candidate"] + states["suspected"])),
            ("confirmed, of which fixed", f"{states['confirmed'] + states['fixed']}, {states['fixed']}"),
            ("withdrawn or went away", str(states["withdrawn"] + states["went away"])),
            ("drift", str(sum(each.drift is not None for each in history.found.series))),
            ("machine events", str(len({c.first.order[0] for c in changes if c.state == "machine event"}))),
        ))
    ]  # fmt: skip
    rows = [
        (_name(each), *_cells(change), each.series.key.machine)
        for each in series for change in sorted(each.judged.changes, key=_urgency)
    ]  # fmt: skip
    if rows:
        columns = ("Series", "State", "New / old", "Measured again", "Last before", "First with", "Note", "Machine")
        blocks.append(Table(columns, tuple(rows), frozenset({2, 3})))
    else:
        blocks.append(Prose(("No series changed its level.",)))
    return blocks


def _cells(change: Found) -> tuple[Cell, ...]:
    known = change.confirmation
    first = known.commit[:10] if known and known.commit else _when(change.first)
    state = f"fixed by {change.fixed_by[:10]}" if change.fixed_by else change.state
    note = "; ".join(filter(None, [change.note, known.why if known else None, "muted" * change.muted]))
    again = known.found.text if known and known.found else fmt.NONE
    return state, f"{change.ratio:.3f}", again, _when(change.before), first, note


def _name(each: Shown) -> str:
    """The name of a series; of a benchmark of asv, without the words that only asv needs."""
    name = each.series.key.name
    found = ASV_NAME.fullmatch(name)
    if found is None:
        return name
    figure = found["figure"].replace("_", " ")
    return f"{found['group']}, {figure}{': ' + found['parameters'] if found['parameters'] else ''}"


def _when(point: Point) -> str:
    return point.commit[:10] if point.commit else _day(point)


def _day(point: Point) -> str:
    return f"{datetime.fromtimestamp(point.order[0], UTC):%Y-%m-%d %H:%M}"


def _tile(each: Shown, address: str) -> Tile:
    """A sparkline: logarithms, so that equal steps are equal shares, over at least 10 % so that noise stays small."""
    logs = [math.log(point.value) for point in each.series.points]
    low, high = min(logs), max(logs)
    spread = max(high - low, 0.1)
    top = (high + low + spread) / 2
    across = 100 / max(len(logs) - 1, 1)
    places = [(round(n * across, 1), round(24 * (top - value) / spread, 1)) for n, value in enumerate(logs)]
    worst = each.worst
    state = _state(each) if each.judged.drift is not None else ""
    state = state if worst is None else f"{worst.state}, {100 * (worst.ratio - 1):+.1f} %"
    starts = dict(zip(map(_identity, each.series.points), places, strict=True))
    return Tile(
        title=_name(each), state=state, alert=worst is not None and _urgency(worst) < len(ATTENTION),
        value=each.text(each.series.points[-1].value), line=" ".join(f"{x},{y}" for x, y in places),
        marks=tuple(starts[_identity(change.first)] for change in each.judged.changes),
        address=address,
    )  # fmt: skip


def _identity(point: Point) -> tuple[tuple[float, float], str]:
    return point.order, point.source


def _table(series: Sequence[Shown]) -> Table:
    rows = []
    for each in series:
        points = each.series.points
        moves = [abs(math.log(new.value / old.value)) for old, new in itertools.pairwise(points)]
        noise = fmt.percent(statistics.median(moves)) if moves else fmt.NONE
        rows.append((
            _name(each), each.series.key.machine, str(len(points)), each.text(points[-1].value), noise,
            _state(each),
        ))  # fmt: skip
    columns = ("Series", "Machine", "Points", "Last", "Median move from one point to the next", "State")
    return Table(columns, tuple(rows), frozenset({2, 3, 4}), fold="Data table")


def _state(each: Shown) -> str:
    """What is known of a series, in words."""
    if each.judged.drift is not None:
        return f"drifts, {100 * (each.judged.drift - 1):+.1f} %"
    if each.worst:
        return each.worst.state
    return "too few points to tell" if each.judged.absent else "unchanged"


def _chart(each: Shown) -> FigureBlock:
    worst = each.worst
    said = "No change."
    if worst is not None:
        said = f"{worst.state}: {100 * (worst.ratio - 1):+.1f} % since {_when(worst.first)}."
    return FigureBlock(
        title=_name(each), takeaways=(said[0].upper() + said[1:],), columns=1,
        charts=(Chart(_figure(each), f"{each.series.key.machine}, {each.series.key.place}", f"{_name(each)}: {said}"),),
        caption=(Note(CAPTION),),
    )  # fmt: skip


def _figure(each: Shown) -> Figure:
    points = each.series.points
    places = list(range(len(points)))
    scale = each.factor
    layout = layout_of("commit or night, oldest first")
    layout |= {"height": 260, "showlegend": False, "margin": {"l": 64, "r": 16, "t": 18, "b": 50}, "shapes": []}
    layout["yaxis"] = named(each.unit)
    ticks = places[:: max(1, len(places) // 6)]
    layout["xaxis"] |= {
        "tickmode": "array", "tickvals": ticks, "ticktext": [_day(points[place])[:10] for place in ticks],
        "zeroline": False,
    }  # fmt: skip
    layout["annotations"] = []
    at = {_identity(point): place for place, point in zip(places, points, strict=True)}
    for change in each.judged.changes:
        place = at[_identity(change.first)] - 0.5
        firm = change.state in ("confirmed", "fixed")
        layout["shapes"].append(_line(place, "solid" if firm else "dash", "var(--part-3)"))
        layout["annotations"].append(_label(place, f"{change.state} {100 * (change.ratio - 1):+.1f} %"))
    for place, text in _upgrades(points)[-MAX_TAGS:]:
        layout["shapes"].append(_line(place - 0.5, "dot", "var(--axis)"))
        layout["annotations"].append(_label(place - 0.5, text, below=True))
    line = {
        "type": "scatter", "mode": "lines+markers", "cliponaxis": False, "x": places,
        "y": [scale * point.value for point in points],
        "line": {"color": "var(--link)", "width": 1.5}, "marker": {"color": "var(--link)", "size": 6},
        "customdata": [words.chart_text(_hover(each, point)) for point in points],
        "hovertemplate": "%{customdata}<extra></extra>",
    }  # fmt: skip
    return {"data": [*_band(each, places), line], "layout": layout}


def _band(each: Shown, places: Sequence[int]) -> list[dict[str, Any]]:
    """The intervals as a band, drawn as its two edges; empty if a point has none."""
    bounds = [(point.low, point.high) for point in each.series.points]
    if any(low is None or high is None or not math.isfinite(low) or not math.isfinite(high) for low, high in bounds):
        return []
    edge = {"type": "scatter", "mode": "lines", "line": {"width": 0}, "hoverinfo": "skip", "x": list(places)}
    lows, highs = ([each.factor * (pair[side] or 0.0) for pair in bounds] for side in (0, 1))
    return [edge | {"y": lows}, edge | {"y": highs, "fill": "tonexty", "fillcolor": "var(--band)"}]


def _upgrades(points: Sequence[Point]) -> list[tuple[int, str]]:
    """Where versions of packages differ from the point before, and which."""
    found = []
    for place, (old, new) in enumerate(itertools.pairwise(points), 1):
        changed = [
            f"{name} {version}" for name, version in new.versions.items()
            if old.versions.get(name, version) != version
        ]  # fmt: skip
        if changed:
            found.append((place, fmt.few(changed)))
    return found


def _hover(each: Shown, point: Point) -> str:
    interval = ""
    if point.low is not None and point.high is not None:
        interval = f" [{fmt.number(each.factor * point.low)}, {fmt.number(each.factor * point.high)}]"
    commit = f"{point.commit[:10]}, " if point.commit else ""
    return f"{commit}{_day(point)}: {fmt.number(each.factor * point.value)}{interval} {each.unit}"


def _line(place: float, dash: str, colour: str) -> dict[str, Any]:
    return {
        "type": "line", "xref": "x", "yref": "paper", "x0": place, "x1": place, "y0": 0, "y1": 1, "layer": "below",
        "line": {"width": 1.5, "dash": dash, "color": colour},
    }  # fmt: skip


def _label(place: float, text: str, below: bool = False) -> dict[str, Any]:
    return {
        "x": place, "xref": "x", "xanchor": "left", "y": 0.02 if below else 1.0, "yref": "paper",
        "yanchor": "bottom", "showarrow": False, "text": words.chart_text(f" {text}"),
        "font": {"size": 11, "color": "var(--muted)"},
    }  # fmt: skip
