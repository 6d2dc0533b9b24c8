"""The terminal behind standard output: its width and whether it shows colours."""

from __future__ import annotations

import os
import sys

from engine.render import Screen

_NARROWEST, _WIDEST, _DEFAULT = 40, 120, 80


def screen() -> Screen:
    """Return what standard output can show, from COLUMNS, the terminal, NO_COLOR and TERM."""
    color = sys.stdout.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
    return Screen(max(_NARROWEST, min(_WIDEST, _columns())), color)


def _columns() -> int:
    """Return the terminal's width as `shutil.get_terminal_size` finds it, without importing shutil."""
    columns = os.environ.get("COLUMNS", "")
    if columns.isdecimal() and len(columns) <= 9 and int(columns) > 0:
        return int(columns)
    try:
        return os.get_terminal_size(sys.__stdout__.fileno()).columns or _DEFAULT  # type: ignore[union-attr]
    except (AttributeError, ValueError, OSError):  # closed, replaced, or not a terminal
        return _DEFAULT
