"""Files of the kernel in /sys: short, and read with every error as "nothing there"."""

from __future__ import annotations

from pathlib import Path

from engine.base.errors import DocumentError
from engine.documents.files import open_regular

_PAGE = 4096
"""Bytes of a file in /sys at most."""


def text_of(path: Path) -> str | None:
    """Return the text of a file; None if it cannot be read, is not regular or is too long."""
    try:
        with open_regular(path) as file:
            data = file.read(_PAGE + 1)
            return None if len(data) > _PAGE else data.decode("ascii").strip()
    except (DocumentError, OSError, UnicodeDecodeError):
        return None


def hexadecimal(path: Path) -> str:
    """Return a file's hexadecimal number without its `0x`, in lower case; "" if it cannot be read."""
    return (text_of(path) or "").removeprefix("0x").lower()


def entries_of(folder: Path) -> list[Path]:
    """Return what is in a folder, numbers and addresses in order; nothing if it cannot be read."""
    try:
        return sorted(folder.iterdir(), key=lambda path: (len(path.name), path.name))
    except OSError:
        return []
