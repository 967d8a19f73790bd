"""A history in the terminal: the changes, and the sentence that sums them up."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from xibench.cli.render import terminal

if TYPE_CHECKING:
    from xibench.history.report import Found, History
    from xibench.history.series import Point

COLUMNS: Final = (
    "series", "machine", "new / old", "evidence", "last before", "first with", "points\nto find it", "state",
)  # fmt: skip
CERTAIN: Final = 1e6  # a Bayes factor from which on its digits say nothing


def show(found: History) -> None:
    """Print the changes of a history, newest first, then what to do about those that are not confirmed."""
    changed = [(each, change) for each in found.series for change in each.changes]
    changed.sort(key=lambda pair: pair[1].first.order, reverse=True)
    if changed:
        rows = [(each.key.name, each.key.machine, *_cells(change)) for each, change in changed]
        terminal.show(terminal.table_of("Changes", COLUMNS, rows, right=(COLUMNS[2], COLUMNS[3], COLUMNS[6])))
    terminal.say(found.sentence)
    named = [c for _, c in changed if c.state == "candidate" and c.before.commit and c.first.commit]
    if named:
        base, new = _commit(named[0].before), _commit(named[0].first)
        terminal.say(f"To confirm the newest: xibench ab --base git:{base} --new git:{new}")


def _cells(change: Found) -> tuple[str, ...]:
    factor = change.bayes_factor
    evidence = f"{factor:,.0f} : 1" if factor < CERTAIN else f"> {CERTAIN:,.0f} : 1"
    commits = _commit(change.before), _commit(change.first)
    return f"{change.ratio:.3f}", evidence, *commits, str(change.after), change.state


def _commit(point: Point) -> str:
    if point.commit:
        return point.commit[:10]
    return datetime.fromtimestamp(point.order[0], UTC).strftime("%Y-%m-%d %H:%M")
