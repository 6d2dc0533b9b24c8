"""Limits of expressions, so that no policy can hang its host or exhaust its memory.

The environment may override them; it is read once per process. `budget` counts the steps of a decision.
"""

from __future__ import annotations

import os

from engine.base.errors import RequestError


def setting(name: str, default: int) -> int:
    """Return a limit: the environment variable's value, else the default.

    Raises:
        RequestError: the variable is not a whole number from 1.
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

POLICY_LENGTH = setting("ENGINE_POLICY_LENGTH", 131_072)
"""Characters of all expressions of a policy together."""

POLICY_PARTS = setting("ENGINE_POLICY_PARTS", 5_000)
"""Variables of a policy; the same limit holds for matches, constants, inputs and catalogs."""

VARIABLE_CHAIN = 500
"""The longest chain of variables that read each other."""

MOST_FAULTS = 100
"""Faults of a policy that are reported; the rest is not checked."""

TYPE_DEPTH = 32
"""Levels of a type: `list(list(int))` has three."""

VALUE_DEPTH = 100
"""Levels of lists and maps in a value that leaves an expression."""

LONGEST_VALUE = setting("ENGINE_VALUE_SIZE", 1_000_000)
"""Characters, bytes or elements of a value that an expression creates."""

TRACED_VALUE = 100_000
"""Elements of a value in a trace; a larger one is not shown."""

TRACE_PARTS = 500
"""Parts of conditions that a trace shows separately; further conditions are shown whole."""

TRACE_ELEMENTS = 2_000_000
"""Elements of all values in a trace together."""

LARGEST_RESULT = setting("ENGINE_RESULT_SIZE", 1_000_000)
"""Elements of the result of an expression; shared parts count every time."""


def limits() -> tuple[int, ...]:
    """Return the limits that decide whether a policy compiles, and what its constants are folded to."""
    return EXPRESSION_LENGTH, EXPRESSION_DEPTH, POLICY_LENGTH, POLICY_PARTS, LONGEST_VALUE, LARGEST_RESULT
