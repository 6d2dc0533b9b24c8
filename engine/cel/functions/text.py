"""Searches in text: CEL's `contains`, `startsWith`, `endsWith` and `matches`."""

from __future__ import annotations

import functools
from typing import Any

from engine.base.errors import quote
from engine.cel.costs import CHARGING, READING, Spend, searched
from engine.cel.library import Library
from engine.cel.values import CelError, Value, no_overload

LIBRARY = Library(__name__, "Text", source="CEL standard library")


@LIBRARY.function(
    "contains",
    "string.contains(string) -> bool",
    description="True if the string contains another.",
    example="'abc'.contains('b')",
    cost=CHARGING,
    operations=12,
)
def contains(spend: Spend, text: Value, part: Value) -> bool:
    """Return `text.contains(part)`."""
    if not (isinstance(text, str) and isinstance(part, str)):
        raise no_overload("contains", text, part)
    searched(spend, text, part)
    return part in text


@LIBRARY.function(
    "startsWith",
    "string.startsWith(string) -> bool",
    description="True if the string begins with another.",
    example="'abc'.startsWith('a')",
    cost=READING,
)
def starts_with(text: Value, part: Value) -> bool:
    """Return `text.startsWith(part)`."""
    if not (isinstance(text, str) and isinstance(part, str)):
        raise no_overload("startsWith", text, part)
    return text.startswith(part)


@LIBRARY.function(
    "endsWith",
    "string.endsWith(string) -> bool",
    description="True if the string ends with another.",
    example="'abc'.endsWith('c')",
    cost=READING,
)
def ends_with(text: Value, part: Value) -> bool:
    """Return `text.endsWith(part)`."""
    if not (isinstance(text, str) and isinstance(part, str)):
        raise no_overload("endsWith", text, part)
    return text.endswith(part)


_PATTERN_BYTES = 1 << 20
"""Memory that a compiled pattern may take: some 10,000 instructions, 20 ms to compile."""
_PATTERN_LENGTH = 1_000
_FAULTY_PATTERN = 200_000
"""Steps for a pattern that does not compile, however long that took to find out."""


@LIBRARY.function(
    "matches",
    "string.matches(string) -> bool",
    "matches(string, string) -> bool",
    description="True if a part of the string matches the RE2 pattern.",
    example="'H100-SXM'.matches('^H[0-9]+')",
    cost=CHARGING,
    operations=30,
)
def matches(spend: Spend, text: Value, pattern: Value) -> bool:
    """Return `text.matches(pattern)`.

    Every instruction of a pattern may be tried at every character; that many are charged before the search,
    and for compiling, whether or not the pattern is cached.
    """
    if not (isinstance(text, str) and isinstance(pattern, str)):
        raise no_overload("matches", text, pattern)
    compiled, instructions = compiled_pattern(spend, "matches", pattern)
    spend(steps=instructions * (8 + len(text) // 4))
    return compiled.search(text) is not None


def compiled_pattern(spend: Spend, name: str, pattern: str) -> tuple[Any, int]:
    """Return a compiled RE2 pattern and its number of instructions.

    Raises:
        CelError: it is not a pattern, or too large; `name` is the function that takes it.
    """
    try:
        return _compiled(pattern)
    except CelError as error:
        spend(steps=_FAULTY_PATTERN)
        raise CelError(f"{name}: {error.message}") from None


@functools.lru_cache(maxsize=64)
def _compiled(pattern: str) -> tuple[Any, int]:
    import re2  # deferred: start-up time

    if len(pattern) > _PATTERN_LENGTH:
        raise CelError(f"a pattern of {len(pattern)} characters, at most {_PATTERN_LENGTH}")
    options = re2.Options()
    options.log_errors = False  # the C++ library would write to standard error by itself
    options.max_mem = _PATTERN_BYTES
    try:
        compiled = re2.compile(pattern, options=options)
    except re2.error as error:
        (reason,) = error.args or ("not a pattern",)
        reason = reason.decode("utf-8", "replace") if isinstance(reason, bytes) else reason
        raise CelError(f"{quote(pattern)} is not a pattern: {reason}") from None
    return compiled, compiled.programsize
