"""Paths into plain data, as used in suites: `plan.shards[0].memory_bytes`."""

from __future__ import annotations

import re
from typing import cast

from engine.base.errors import Path

_STEP = re.compile(r"(?P<key>[^.\[\]]+)|\[(?P<index>\d+)\]")
_PATH = re.compile(r"[^.\[\]]+(?:\.[^.\[\]]+|\[\d+\])*\Z")


def parse_path(text: str) -> Path:
    """Parse a path into steps.

    Raises:
        ValueError: the text is not a path.
    """
    if not _PATH.match(text):
        raise ValueError(f"'{text}' is not a path; expected the form plan.shards[0].memory_bytes")
    return tuple(
        step["key"] if step["key"] is not None else int(step["index"]) for step in _STEP.finditer(text)
    )


def get(value: object, path: Path) -> object:
    """Return the value at a path.

    Raises:
        LookupError: the path does not exist.
    """
    for step in path:
        if not isinstance(value, list if isinstance(step, int) else dict):
            raise LookupError(step)
        value = cast("dict[str | int, object]", value)[step]
    return value


def replaced(value: object, path: Path, new: object) -> object:
    """Return a copy with another value at a path; unchanged parts are shared.

    Raises:
        LookupError: the parent does not exist.
    """
    if not path:
        return new
    step, rest = path[0], path[1:]
    if isinstance(value, dict) and isinstance(step, str):
        return {**value, step: replaced(value[step], rest, new) if rest else new}
    if isinstance(value, list) and isinstance(step, int) and step < len(value):
        return [*value[:step], replaced(value[step], rest, new), *value[step + 1 :]]
    raise LookupError(step)
