"""A history in the terminal and as Markdown: the changes, and the sentence that sums them up."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from xibench.cli.render import terminal
from xibench.errors import StoreError

if TYPE_CHECKING:
    from pathlib import Path

    from xibench.history.report import Found, History, Judged
    from xibench.history.series import Point

COLUMNS: Final = (
    "series", "machine", "new / old", "evidence", "measured again", "last before", "first with", "points\nto find it",
    "state",
)  # fmt: skip
CERTAIN: Final = 1e6  # a Bayes factor from which on its digits say nothing


def show(found: History) -> None:
    """Print the changes of a history, newest first, then what to do about those that are not confirmed."""
    changed = _changed(found)
    if changed:
        rows = [(each.key.name, each.key.machine, *_cells(change)) for each, change in changed]
        right = (COLUMNS[2], COLUMNS[3], COLUMNS[7])
        terminal.show(terminal.table_of("Changes", COLUMNS, rows, right=right))
    for each, change in changed:
        if change.note:
            terminal.say(f"{each.key.name}, {_commit(change.first)}: {change.note}{' (muted)' * change.muted}")
        if change.confirmation and change.confirmation.why:
            terminal.say(f"{each.key.name}, {_commit(change.first)}: {change.state}, {change.confirmation.why}")
    for each in found.series:
        if each.drift is not None:
            terminal.say(f"{each.key.name} drifts: {100 * (each.drift - 1):+.1f} % since its last change or its start")
    terminal.say(found.sentence)
    named = [c for _, c in changed if c.state in ("candidate", "suspected") and c.before.commit and c.first.commit]
    if named:
        base, new = _commit(named[0].before), _commit(named[0].first)
        terminal.say(f"To confirm all: --confirm. The newest alone: xibench ab --base git:{base} --new git:{new}")


def markdown(found: History) -> str:
    """Return the changes as a Markdown table, newest first, and the sentence."""
    from xibench.history.feed import headline

    lines = [found.sentence]
    if changed := _changed(found):
        lines += ["", "| change | machine | measured again | commits |", "|---|---|---|---|"]
        for each, change in changed:
            note = f" ({change.note})" if change.note else ""
            commits = f"`{_commit(change.before)}`..`{_commit(change.first)}`"
            row = (headline(each, change) + note, each.key.machine, _again(change) or "no", commits)
            lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |")
    return "\n".join(lines)


def write(path: Path, content: bytes) -> None:
    """Write a file, and the folders to it. Raises StoreError if that fails."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    except (OSError, ValueError) as error:  # ValueError: a name with a null character
        raise StoreError(f"history: {path} cannot be written: {error}") from error


def _changed(found: History) -> list[tuple[Judged, Found]]:
    changed = [(each, change) for each in found.series for change in each.changes]
    return sorted(changed, key=lambda pair: pair[1].first.order, reverse=True)


def _cells(change: Found) -> tuple[str, ...]:
    factor = change.bayes_factor
    evidence = "–" if factor is None else f"{factor:,.0f} : 1" if factor < CERTAIN else f"> {CERTAIN:,.0f} : 1"
    known = change.confirmation
    first = known.commit[:10] if known and known.commit else _commit(change.first)
    state = f"fixed by {change.fixed_by[:10]}" if change.fixed_by else change.state
    return f"{change.ratio:.3f}", evidence, _again(change), _commit(change.before), first, str(change.after), state


def _again(change: Found) -> str:
    """Return the ratio that measuring again found, with its interval; empty if it was not."""
    found = change.confirmation.found if change.confirmation else None
    return found.text if found else ""


def _commit(point: Point) -> str:
    if point.commit:
        return point.commit[:10]
    return datetime.fromtimestamp(point.order[0], UTC).strftime("%Y-%m-%d %H:%M")
