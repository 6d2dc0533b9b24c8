"""Paths in plain data, as suites write them: `plan.shards[0].memory_bytes`."""

from __future__ import annotations

import copy
import re
from typing import Any

from engine.errors import Path

_STEP = re.compile(r"(?P<key>[^.\[\]]+)|\[(?P<index>\d+)\]")
_PATH = re.compile(r"[^.\[\]]+(?:\.[^.\[\]]+|\[\d+\])*\Z")


def parse_path(text: str) -> Path:
    """The steps of a path.

    Raises:
        ValueError: it is none.
    """
    if not _PATH.match(text):
        raise ValueError(f"'{text}' is not a path, like plan.shards[0].memory_bytes")
    return tuple(
        step["key"] if step["key"] is not None else int(step["index"]) for step in _STEP.finditer(text)
    )


def get(value: Any, path: Path) -> Any:
    """The value at a path.

    Raises:
        LookupError: there is none.
    """
    step: Any
    for step in path:
        if not isinstance(value, list if isinstance(step, int) else dict):
            raise LookupError(step)
        value = value[step]
    return value


def replaced(value: Any, path: Path, new: Any) -> Any:
    """The same value with another at a path, in copies of what it stands in.

    Raises:
        LookupError: what it would stand in isn't there.
    """
    if not path:
        return new
    step, rest = path[0], path[1:]
    made = copy.copy(value)
    if isinstance(value, dict) and isinstance(step, str):
        made[step] = replaced(value[step], rest, new) if rest else new
    elif isinstance(value, list) and isinstance(step, int) and step < len(value):
        made[step] = replaced(value[step], rest, new)
    else:
        raise LookupError(step)
    return made
