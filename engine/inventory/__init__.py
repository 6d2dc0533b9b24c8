"""Inventories: their types, and one reader a source."""

from __future__ import annotations

from typing import Any

from engine.documents import validate
from engine.errors import Path, RequestError
from engine.inventory.native import read_native
from engine.inventory.registry import read_registry
from engine.inventory.types import Device, Interconnect, Inventory

__all__ = ["Device", "Interconnect", "Inventory", "read_inventory"]


def read_inventory(value: Any, path: Path = ()) -> Inventory:
    """The inventory in a decoded document: the engine's own form, or a registry (known by `profiles`).

    Raises:
        RequestError: what is wrong, with the paths under `path`.
    """
    is_registry = isinstance(value, dict) and "profiles" in value
    problems = validate(value, "registry" if is_registry else "inventory")
    if problems:
        raise RequestError([problem.under(path) for problem in problems])
    return read_registry(value, path) if is_registry else read_native(value, path)
