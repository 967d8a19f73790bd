"""The changes of a history as an Atom feed (RFC 4287), for feed readers and chat bridges."""

from __future__ import annotations

from datetime import UTC, datetime
from xml.etree import ElementTree

from xibench.history.report import Found, History, Judged

NAMESPACE = "http://www.w3.org/2005/Atom"


def atom(found: History, title: str = "xibench history") -> bytes:
    """Return the feed of a history: an entry per change, newest first.

    An entry's id depends on the series and the commits alone, so that a change that is confirmed later replaces its
    entry. Ids are tag URIs (RFC 4151).
    """
    feed = ElementTree.Element("feed", xmlns=NAMESPACE)
    entries = sorted(
        ((each, change) for each in found.series for change in each.changes),
        key=lambda one: one[1].found.measured, reverse=True,
    )  # fmt: skip
    newest = max((each.last.measured for each in found.series), default=0.0)
    _add(feed, "title", title)
    _add(feed, "id", _tag(newest=None, path="history"))
    _add(feed, "updated", _time(newest))
    _add(_add(feed, "author"), "name", "xibench")
    for each, change in entries:
        feed.append(_entry(each, change))
    ElementTree.indent(feed)
    return bytes(ElementTree.tostring(feed, encoding="utf-8", xml_declaration=True))


def headline(each: Judged, change: Found) -> str:
    """Return a change in one line: the state, the series, by how much, since which commit."""
    direction = "slower" if change.ratio > 1 else "faster"
    if not each.unit.startswith("second"):
        direction = "more" if change.ratio > 1 else "less"
    size = abs(change.ratio - 1)
    commit = f" since {change.commit[:10]}" if change.commit else ""
    return f"{change.state}: {each.key.name} {size:.1%} {direction}{commit}"


def _entry(each: Judged, change: Found) -> ElementTree.Element:
    entry = ElementTree.Element("entry")
    since = change.first.commit or f"{change.first.order[0]:.0f}"
    path = "/".join([each.key.machine, each.key.place, each.key.name, since])
    _add(entry, "title", headline(each, change))
    _add(entry, "id", _tag(newest=change.first.measured, path=path))
    _add(entry, "updated", _time(change.found.measured))
    _add(entry, "summary", "; ".join(filter(None, [each.key.machine, change.note, _confirmed(change)])))
    return entry


def _confirmed(change: Found) -> str:
    known = change.confirmation
    if known is None:
        return "not measured again"
    if known.found is None:
        return known.why or ""
    found = known.found
    return f"measured again: {found.verdict}, new / old {found.text}, {found.pairs} pairs"


def _tag(newest: float | None, path: str) -> str:
    day = datetime.fromtimestamp(newest or 0, UTC).strftime("%Y-%m-%d")
    return f"tag:xibench,{day}:{path.replace(' ', '_')}"


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def _add(parent: ElementTree.Element, name: str, text: str | None = None) -> ElementTree.Element:
    element = ElementTree.SubElement(parent, name)
    element.text = text
    return element
