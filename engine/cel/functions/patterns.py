"""cel-go's regex extension and Kubernetes' regex library: what RE2 patterns find in text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from engine.base.errors import quote
from engine.cel.costs import CHARGING, MADE, Spend
from engine.cel.functions.text import compiled_pattern
from engine.cel.library import Library
from engine.cel.limits import LONGEST_VALUE
from engine.cel.values import CelError, OptionalValue, Value, no_overload, require_type, too_long

LIBRARY = Library(
    __name__,
    "Regular expressions",
    source="cel-go regex extension, Kubernetes regex library",
    namespace="regex",
)

_MATCH = 64
"""Steps for a match, besides the search for it."""


def _require_texts(name: str, *texts: Value) -> None:
    if not all(isinstance(text, str) for text in texts):
        raise no_overload(name, *texts)


def _matches(spend: Spend, name: str, text: str, pattern: str, most: int) -> Iterator[Any]:
    """Yield at most `most` matches, all if it is negative; the rest of the text is charged for each search.

    An empty match directly after another match does not count.
    """
    compiled, instructions = compiled_pattern(spend, name, pattern)
    end, found = 0, -1
    matches = compiled.finditer(text)
    while most != 0:
        spend(steps=instructions * (8 + (len(text) - end) // 4) + _MATCH)
        match = next(matches, None)
        if match is None:
            return
        start, end = match.span()
        if start == end == found:
            continue
        found = end
        most -= 1
        yield match


def _group(name: str, text: str, pattern: str, spend: Spend) -> int:
    """Return the group that a pattern extracts: its only one, or 0 for the whole match."""
    compiled, _ = compiled_pattern(spend, name, pattern)
    if compiled.groups > 1:
        raise CelError(f"{name}: {quote(pattern)} has {compiled.groups} capturing groups, at most 1")
    return int(compiled.groups)


@LIBRARY.function(
    "regex.extract",
    "regex.extract(string, string) -> optional_type(string)",
    description="What the pattern matches first, or what its only group captures; none if there is no match.",
    example=r"regex.extract('item-A, item-B', r'item-(\w+)') == optional.of('A')",
    cost=CHARGING,
    operations=40,
)
def extract(spend: Spend, text: Value, pattern: Value) -> OptionalValue:
    """Return `regex.extract(text, pattern)`; none for a group that captures nothing."""
    name = "regex.extract"
    _require_texts(name, text, pattern)
    group = _group(name, text, pattern, spend)
    match = next(_matches(spend, name, text, pattern, 1), None)
    found = None if match is None else match.group(group)
    return OptionalValue() if found is None or (group and not found) else OptionalValue(True, found)


@LIBRARY.function(
    "regex.extractAll",
    "regex.extractAll(string, string) -> list(string)",
    description="What the pattern matches, or what its only group captures, at every match.",
    example=r"regex.extractAll('id:1, id:22', r'id:(\d+)') == ['1', '22']",
    cost=CHARGING,
    operations=40,
)
def extract_all(spend: Spend, text: Value, pattern: Value) -> list[str]:
    """Return `regex.extractAll(text, pattern)`; a group that captures nothing is left out."""
    name = "regex.extractAll"
    _require_texts(name, text, pattern)
    group = _group(name, text, pattern, spend)
    found = [match.group(group) for match in _matches(spend, name, text, pattern, -1)]
    return [each for each in found if each or not group]


@LIBRARY.function(
    "regex.replace",
    "regex.replace(string, string, string) -> string",
    "regex.replace(string, string, string, int) -> string",
    description=r"Replace matches, at most a number of them; \1 in the replacement is group 1, \0 all.",
    example=r"regex.replace('10-20', r'(\d+)-(\d+)', r'\2-\1') == '20-10'",
    cost=CHARGING,
    operations=40,
)
def replace(spend: Spend, text: Value, pattern: Value, replacement: Value, count: Value = -1) -> str:
    """Return `regex.replace(text, pattern, replacement, count)`; a negative count means all."""
    name = "regex.replace"
    _require_texts(name, text, pattern, replacement)
    require_type(name, count, int)
    compiled, _ = compiled_pattern(spend, name, pattern)
    parts = list(_parts(replacement, compiled.groups))
    pieces: list[str] = []
    end = length = 0
    for match in _matches(spend, name, text, pattern, max(count, -1)):
        spend(parts)
        made = [text[end : match.start()]]
        made += (part if isinstance(part, str) else match.group(part) or "" for part in parts)
        length += _charged(spend, sum(map(len, made)), length)
        pieces += made
        end = match.end()
    _charged(spend, len(text) - end, length)
    return "".join((*pieces, text[end:]))


def _charged(spend: Spend, more: int, length: int) -> int:
    """Charge for text that is added to a text of that length; return its length."""
    if length + more > LONGEST_VALUE:
        raise too_long("")
    spend(steps=more // MADE)
    return more


def _parts(replacement: str, groups: int) -> Iterator[str | int]:
    r"""Yield a replacement's text, and its groups as numbers: `\0` to `\9`; `\\` is a backslash."""
    for text, escaped in re.findall(r"(?s)([^\\]+)|\\(.?)", replacement):
        if text or escaped == "\\":
            yield text or escaped
        elif not (escaped.isascii() and escaped.isdigit()):
            raise CelError(rf"regex.replace: a digit or a backslash must follow \ in {quote(replacement)}")
        elif int(escaped) > groups:
            raise CelError(
                f"regex.replace: {quote(replacement)} refers to group {escaped}, the pattern has {groups}"
            )
        else:
            yield int(escaped)


@LIBRARY.function(
    "find",
    "string.find(string) -> string",
    description="The first match of the pattern; an empty string if there is none.",
    example="'abc 123'.find('[0-9]+') == '123'",
    cost=CHARGING,
    operations=40,
)
def find(spend: Spend, text: Value, pattern: Value) -> str:
    """Return `text.find(pattern)`."""
    _require_texts("find", text, pattern)
    match = next(_matches(spend, "find", text, pattern, 1), None)
    return "" if match is None else str(match.group())


@LIBRARY.function(
    "findAll",
    "string.findAll(string) -> list(string)",
    "string.findAll(string, int) -> list(string)",
    description="The matches of the pattern, at most a number of them.",
    example="'1, 22, 333'.findAll('[0-9]+', 2) == ['1', '22']",
    cost=CHARGING,
    operations=40,
)
def find_all(spend: Spend, text: Value, pattern: Value, count: Value = -1) -> list[str]:
    """Return `text.findAll(pattern, count)`; a negative count means all."""
    _require_texts("findAll", text, pattern)
    require_type("findAll", count, int)
    return [match.group() for match in _matches(spend, "findAll", text, pattern, max(count, -1))]
