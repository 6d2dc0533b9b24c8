"""What an expression may cost, so that no policy can hang or fill its host.

The environment may say otherwise; it is read once a process. The steps of a decision are counted by `budget`.
"""

from __future__ import annotations

import os

from engine.errors import RequestError


def setting(name: str, default: int) -> int:
    """A limit: what the environment says, else the default.

    Raises:
        RequestError: the environment says something other than a whole number from 1.
    """
    text = os.environ.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and int(text[:18]) > 0):
        raise RequestError(f"{name}: expected a whole number from 1, found {text[:40]!r}")
    return int(text[:18])


EXPRESSION_LENGTH = setting("ENGINE_EXPRESSION_LENGTH", 32_768)
"""Characters of an expression."""

EXPRESSION_DEPTH = setting("ENGINE_EXPRESSION_DEPTH", 100)
"""Levels of an expression's syntax tree."""

LONGEST_VALUE = setting("ENGINE_VALUE_SIZE", 1_000_000)
"""Characters, bytes or elements that one value may have when an expression makes it."""

LARGEST_RESULT = setting("ENGINE_RESULT_SIZE", 1_000_000)
"""Elements that a value may have when it leaves an expression; parts that it shares count anew."""
