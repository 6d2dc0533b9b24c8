"""Text as it may be printed: nothing in it that a terminal, a log or a reader's eye takes for something else.

Names of devices, models and tests, explanations and files come from documents, and documents from anybody.
A character that doesn't show as itself is written as an escape, such as `\\u202e`: control characters, with
which escape sequences begin; marks, overrides and isolates of direction; characters without a width;
separators of lines; lone surrogates; and code points that are no characters.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Any, TypeVar

_Value = TypeVar("_Value")

HIDDEN = (
    "\x00-\x08\x0b-\x1f\x7f-\x9f"  # controls, C0 and C1, but for tab and newline
    "\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f"  # without a width, or of Arabic's direction
    "\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff\uffa0"  # the same, and separators
    "\ud800-\udfff\ufdd0-\ufdef\ufff0-\ufffb\ufffe\uffff"  # surrogates, annotations, no characters
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"  # of shorthand and music; tags
)
"""The inside of a pattern's brackets."""

_HIDDEN_ASCII = re.compile("[\x00-\x08\x0b-\x1f\x7f]")
_SHORT = {"\n": "\\n", "\t": "\\t", "\r": "\\r"}

_MARK = re.compile(r"#(?=#(?:\[|vso\[|teamcity\[))")
"""Where a build's log finds a command anywhere in a line: `##[group]`, `##vso[task.setvariable]`."""
_COMMAND = re.compile(r"^([^\S\n]*):(?=:)", re.MULTILINE)
"""Where it finds one at a line's begin: `::error::`."""
_COLORS = re.compile(r"(\x1b\[[0-9;]*m)")


def printable(text: str) -> str:
    """A name or a value on one line: newlines and tabs are escaped too."""
    if not (text.isascii() and text.isprintable()):
        text = _hidden("\t\n").sub(_escape, text)
    return _MARK.sub(r"\\u0023", text) if "##" in text else text


def printable_lines(text: str) -> str:
    """Lines of text, none of which is a command to what reads a build's log."""
    hidden = _HIDDEN_ASCII if text.isascii() else _hidden()
    return _COMMAND.sub(r"\1\\u003a", _MARK.sub(r"\\u0023", hidden.sub(_escape, text)))


def finished(text: str, color: bool = False) -> str:
    """What a renderer has made for people, as it leaves the engine.

    With `color`, ANSI's colours are the renderer's own and stay: values are `printable` before they get any.
    """
    if not color:
        return printable_lines(text)
    return "".join(
        part if number % 2 else printable_lines(part) for number, part in enumerate(_COLORS.split(text))
    )


def cleaned(value: _Value) -> _Value:
    """A copy of a record, or of plain data, in which every text is `printable`."""
    result: object = value
    if isinstance(value, str):
        result = printable(value)
    elif isinstance(value, list):
        result = [cleaned(each) for each in value]
    elif isinstance(value, tuple):
        result = tuple(cleaned(each) for each in value)
    elif isinstance(value, Mapping):
        result = {cleaned(key): cleaned(each) for key, each in value.items()}
    elif hasattr(value, "__record__"):
        made: Any = type(value)
        result = made(**{name: cleaned(getattr(value, name)) for name in made.__record__})
    return result  # type: ignore[return-value]


@cache
def _hidden(others: str = "") -> re.Pattern[str]:
    """Return the pattern of hidden characters and `others`, compiled on first use: most text is ASCII."""
    return re.compile(f"[{HIDDEN}{others}]")


def _escape(match: re.Match[str]) -> str:
    character = match[0]
    return _SHORT.get(character) or (
        f"\\u{ord(character):04x}" if character <= "\uffff" else f"\\U{ord(character):08x}"
    )
