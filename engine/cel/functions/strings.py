"""cel-go's strings extension, except `format` (see `formatting`)."""

from __future__ import annotations

from collections.abc import Sequence

from engine.cel.costs import CHARGING, COPYING, EQUAL, MADE, READ, REWRITING, Spend, searched
from engine.cel.library import Library
from engine.cel.limits import LONGEST_VALUE
from engine.cel.values import CelError, Value, equal, require_type, too_long

LIBRARY = Library(__name__, "Strings", source="cel-go strings extension", namespace="strings")


def _position(text: Sequence[object], position: Value) -> int:
    require_type("a position", position, int)
    if not 0 <= position <= len(text):
        raise CelError(f"position {position} is outside of 0 to {len(text)}")
    return int(position)


@LIBRARY.function(
    "charAt",
    "string.charAt(int) -> string",
    description="The character at an index.",
    example="'abc'.charAt(1) == 'b'",
    operations=12,
)
def char_at(text: str, position: Value) -> str:
    """Return `text.charAt(position)`."""
    index = _position(text, position)
    return text[index : index + 1]


@LIBRARY.function(
    "indexOf",
    "string.indexOf(string) -> int",
    "string.indexOf(string, int) -> int",
    "list(A).indexOf(A) -> int",
    description="The index of the first occurrence, at or after an index; -1 if there is none.",
    example="'banana'.indexOf('an') == 1",
    cost=CHARGING,
    operations=12,
)
def index_of(spend: Spend, target: Value, wanted: Value, start: Value = 0) -> int:
    """Return `target.indexOf(wanted, start)`."""
    if isinstance(target, list):
        spend(target, EQUAL)
        return next((i for i, element in enumerate(target) if equal(element, wanted, spend)), -1)
    searched(spend, target, wanted)
    index = _position(target, start)
    return index if not wanted else target.find(wanted, index)


@LIBRARY.function(
    "lastIndexOf",
    "string.lastIndexOf(string) -> int",
    "string.lastIndexOf(string, int) -> int",
    "list(A).lastIndexOf(A) -> int",
    description="The index of the last occurrence, at or before an index; -1 if there is none.",
    example="'banana'.lastIndexOf('an') == 3",
    cost=CHARGING,
    operations=12,
)
def last_index_of(spend: Spend, target: Value, wanted: Value, end: Value = None) -> int:
    """Return `target.lastIndexOf(wanted, end)`."""
    if isinstance(target, list):
        spend(target, EQUAL)
        return next((i for i in range(len(target) - 1, -1, -1) if equal(target[i], wanted, spend)), -1)
    # Backward, Python compares the whole part at every position.
    spend(steps=len(target) * max(0, min(len(wanted), len(target) - len(wanted) + 1)) // READ)
    index = len(target) if end is None else _position(target, end)
    return index if not wanted else target.rfind(wanted, 0, index + len(wanted))


@LIBRARY.function(
    "lowerAscii",
    "string.lowerAscii() -> string",
    description="ASCII letters in lower case.",
    example="'NVLink'.lowerAscii() == 'nvlink'",
    cost=REWRITING,
    operations=12,
)
def lower_ascii(text: str) -> str:
    """Return `text.lowerAscii()`."""
    return "".join(c.lower() if c.isascii() else c for c in text)


@LIBRARY.function(
    "upperAscii",
    "string.upperAscii() -> string",
    description="ASCII letters in upper case.",
    example="'bf16'.upperAscii() == 'BF16'",
    cost=REWRITING,
    operations=12,
)
def upper_ascii(text: str) -> str:
    """Return `text.upperAscii()`."""
    return "".join(c.upper() if c.isascii() else c for c in text)


@LIBRARY.function(
    "replace",
    "string.replace(string, string) -> string",
    "string.replace(string, string, int) -> string",
    description="Replace a substring, at most a number of times.",
    example="'a-b-c'.replace('-', '+', 1) == 'a+b-c'",
    cost=CHARGING,
    operations=20,
)
def replace(spend: Spend, text: str, old: str, new: str, count: Value = -1) -> str:
    """Return `text.replace(old, new, count)`."""
    searched(spend, text, old)
    occurrences = text.count(old)
    replaced = occurrences if count < 0 else min(occurrences, count)
    length = len(text) + replaced * (len(new) - len(old))
    if length > LONGEST_VALUE:
        raise too_long(text)
    if max(length, occurrences) >= READ:
        spend(steps=occurrences + length // MADE)
    return text.replace(old, new, count)


@LIBRARY.function(
    "split",
    "string.split(string) -> list(string)",
    "string.split(string, int) -> list(string)",
    description="Split at a separator, into at most a number of parts.",
    example="'a,b,c'.split(',') == ['a', 'b', 'c']",
    cost=CHARGING,
    operations=20,
)
def split(spend: Spend, text: str, separator: str, count: Value = -1) -> list[str]:
    """Return `text.split(separator, count)`."""
    if count == 0:
        return []
    searched(spend, text, separator)
    occurrences = text.count(separator) if separator else len(text)
    parts = occurrences if count < 0 else min(occurrences, count)
    # A part is an object of its own, whatever its length.
    spend(steps=parts * 4 + len(text) // MADE)
    if not separator:
        pieces = list(text)
        keep = len(pieces) if count < 0 else count
        return pieces if keep >= len(pieces) else [*pieces[: keep - 1], "".join(pieces[keep - 1 :])]
    return text.split(separator, -1 if count < 0 else count - 1)


@LIBRARY.function(
    "substring",
    "string.substring(int) -> string",
    "string.substring(int, int) -> string",
    description="The characters from an index up to (not including) another.",
    example="'tacocat'.substring(0, 4) == 'taco'",
    cost=COPYING,
    operations=12,
)
def substring(text: str, start: Value, end: Value = None) -> str:
    """Return `text.substring(start, end)`."""
    first = _position(text, start)
    last = len(text) if end is None else _position(text, end)
    if first > last:
        raise CelError(f"substring from {first} to {last}")
    return text[first:last]


_WHITE_SPACE = (
    "\t\n\v\f\r \x85\xa0" + "\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))
)


@LIBRARY.function(
    "trim",
    "string.trim() -> string",
    description="The string without white space at both ends.",
    example="' a '.trim() == 'a'",
    cost=COPYING,
    operations=20,
)
def trim(text: str) -> str:
    """Return `text.trim()`."""
    return text.strip(_WHITE_SPACE)


@LIBRARY.function(
    "join",
    "list(string).join() -> string",
    "list(string).join(string) -> string",
    description="Concatenate strings, with a separator between them.",
    example="['a', 'b'].join(', ') == 'a, b'",
    cost=CHARGING,
    operations=20,
)
def join(spend: Spend, parts: list[Value], separator: str = "") -> str:
    """Return `parts.join(separator)`."""
    spend(parts, 2)
    for part in parts:
        require_type("join", part, str)
    length = sum(map(len, parts)) + len(separator) * max(0, len(parts) - 1)
    if length > LONGEST_VALUE:
        raise too_long("")
    spend(steps=length // MADE)
    return separator.join(parts)


@LIBRARY.function(
    "reverse",
    "string.reverse() -> string",
    "list(A).reverse() -> list(A)",
    description="A string or a list in reverse order.",
    example="'abc'.reverse() == 'cba'",
    cost=COPYING,
    operations=20,
)
def reverse(target: Value) -> Value:
    """Return `target.reverse()`."""
    return target[::-1]


_ESCAPES = {
    "\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v",
    "\\": "\\\\", '"': '\\"',
}  # fmt: skip


@LIBRARY.function(
    "strings.quote",
    "strings.quote(string) -> string",
    description="The string in double quotes, escaped.",
    example="strings.quote('a') == '\"a\"'",
    cost=REWRITING,
    operations=20,
)
def quote_string(text: str) -> str:
    """Return `strings.quote(text)`."""
    quoted = '"' + "".join(_ESCAPES.get(c, c) for c in text) + '"'
    if len(quoted) > LONGEST_VALUE:
        raise too_long(text)
    return quoted
