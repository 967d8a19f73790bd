"""Documents with parts that are generated from records, each between two marks."""

from __future__ import annotations

from xibench.errors import InputError


def marks(name: str) -> tuple[str, str]:
    """The marks of a generated part."""
    return f"<!-- {name}:begin -->", f"<!-- {name}:end -->"


def embed(document: str, text: str, name: str) -> str:
    """Return the document with `text` between its marks. Raises InputError if they are missing."""
    begin, end = marks(name)
    if document.count(begin) != 1 or document.count(end) != 1 or document.index(begin) > document.index(end):
        raise InputError(f"the document has no place for the {name}: expected one {begin} and, after it, one {end}")
    before, rest = document.split(begin)
    return f"{before}{begin}\n{text}\n{end}{rest.split(end)[1]}"
