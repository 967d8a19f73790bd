r"""Text from outside, such as file names, the command line, variables and process names, made fit to be written.

Python decodes such bytes as UTF-8 and represents each byte that it cannot decode as a lone surrogate (PEP 383), which
neither JSON nor HTML nor a terminal can hold. It is written as `\xe9`.
"""

from __future__ import annotations

import json
import re
import shlex
from typing import Any, Final

import msgspec

_OTHER_SURROGATES: Final = re.compile("[\ud800-\udc7f\udd00-\udfff]")  # which stand for no byte
_CONTROLS: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
"""Characters that would end a line, move the cursor, set colours or reverse the text around them."""


def escaped(text: str) -> str:
    r"""Return the text as valid Unicode: each undecodable byte as `\xe9`. Any other text is returned unchanged."""
    try:
        text.encode()
    except UnicodeEncodeError:
        # Without a UTF-8 locale, bytes that are UTF-8 have not been decoded either
        known = _OTHER_SURROGATES.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
        return known.encode(errors="surrogateescape").decode(errors="backslashreplace")
    return text


def printable(text: str) -> str:
    r"""Return the text as one line: as `escaped`, and every control character as an escape such as `\n` or `\x1b`."""
    if text.isascii() and text.isprintable():
        return text
    return _CONTROLS.sub(lambda found: found[0].encode("unicode_escape").decode(), escaped(text))


def shell_word(text: str) -> str:
    r"""Quote a word for a shell; one that cannot be printed is written as `$'caf\xe9'`, which bash and zsh read."""
    if printable(text) == text:
        return shlex.quote(text)
    quoted = (
        f"\\x{ord(c) & 0xFF:02x}" if "\udc80" <= c <= "\udcff" or c < " "
        else f"\\u{ord(c):04x}" if _CONTROLS.match(c)
        else f"\\{c}" if c in "'\\"
        else c
        for c in text
    )  # fmt: skip
    return f"$'{''.join(quoted)}'"


def encode(value: Any) -> bytes:
    """Return a value as JSON, whatever its strings hold: as `escaped`."""
    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError:
        return msgspec.json.encode(_escaped(msgspec.to_builtins(value)))


def encode_exactly(value: Any) -> bytes:
    """Return a value as JSON that `decode_exactly` reads back with the same strings, for messages between processes."""
    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError:
        return json.dumps(msgspec.to_builtins(value)).encode()


def decode_exactly(line: bytes | bytearray, kind: Any) -> Any:
    """Return a value of `encode_exactly`. Raises ValueError if it is not JSON or not of this kind."""
    try:
        return msgspec.json.decode(line, type=kind)
    except msgspec.DecodeError:  # a lone surrogate, or no message at all
        return msgspec.convert(json.loads(line), kind)


def _escaped(value: Any) -> Any:
    match value:
        case str():
            return escaped(value)
        case dict():
            return {_escaped(name): _escaped(one) for name, one in value.items()}
        case list() | tuple():
            return [_escaped(one) for one in value]
    return value
