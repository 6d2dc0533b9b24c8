"""ANSI colours for text that people read."""

from __future__ import annotations

from collections.abc import Callable

Paint = Callable[[str, str], str]

RED, GREEN, BOLD = "31", "32", "1"


def painter(color: bool) -> Paint:
    """What puts ANSI's colours around a text, or leaves it as it is."""
    return _color if color else _plain


def _color(text: str, style: str) -> str:
    return f"\x1b[{style}m{text}\x1b[0m"


def _plain(text: str, style: str) -> str:
    return text


def is_colored(paint: Paint) -> bool:
    """Whether a painter of `painter` paints."""
    return paint is _color
