"""Tokens of expressions, and their kinds."""

from __future__ import annotations

from typing import NamedTuple


class Token(NamedTuple):
    """A token: its kind (a symbol is its own kind), its text and where it stands."""

    kind: str
    text: str
    start: int
    end: int


END = "end"
"""The kind of the token after the last one."""
LITERALS = frozenset({"double", "uint", "int", "bytes", "string", "bool", "null"})
"""The kinds of literals."""
NUMBERS = ("double", "uint", "int")
"""The kinds of numbers."""
