"""Faces of rooms: the names that a room exports, each imported when it is first used."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import import_module


def face(
    room: str, names: Mapping[str, str], modules: str = ""
) -> tuple[Callable[[str], object], Callable[[], list[str]]]:
    """Return `__getattr__` and `__dir__` of a room's `__init__.py`.

    Args:
        room: its `__name__`.
        names: the exported names, separated by spaces, by the module below the room that has them.
        modules: modules and folders below the room that are exported as a whole.
    """

    def get(name: str) -> object:
        """Import an exported name."""
        for module, exported in names.items():
            if name in exported.split():
                value: object = getattr(import_module(f"{room}.{module}"), name)
                vars(sys.modules[room])[name] = value
                return value
        if name in modules.split():
            return import_module(f"{room}.{name}")
        raise AttributeError(f"module {room!r} has no attribute {name!r}")

    def listed() -> list[str]:
        """Return what the room exports."""
        return sorted(sys.modules[room].__all__)

    return get, listed
