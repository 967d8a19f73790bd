"""Text that is generated into a document, between two marks."""

from __future__ import annotations


def embed(document: str, text: str, name: str) -> str:
    """The document with `text` between its marks. Raises ValueError if it lacks them."""
    begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
    if document.count(begin) != 1 or document.count(end) != 1:
        raise ValueError(f"the document has no place for the {name}: expected one {begin} and, after it, one {end}")
    before, rest = document.split(begin)
    return f"{before}{begin}\n{text}\n{end}{rest.split(end)[1]}"
