"""Plans: their types, the builders, the validator, and the functions on layers that expressions may call."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.base.lazy import face
from engine.cel.library import add_library

if TYPE_CHECKING:
    from engine.plan.builders import BUILDERS, signatures
    from engine.plan.errors import BuilderError
    from engine.plan.plan import (
        Estimates,
        Fleet,
        GroupLoad,
        Leftover,
        Plan,
        SearchEffort,
        Shard,
        ShardDevice,
        Strategy,
    )
    from engine.plan.validator import device_memory, with_warnings

__all__ = [
    "BUILDERS",
    "BuilderError",
    "Estimates",
    "Fleet",
    "GroupLoad",
    "Leftover",
    "Plan",
    "SearchEffort",
    "Shard",
    "ShardDevice",
    "Strategy",
    "device_memory",
    "signatures",
    "with_warnings",
]

if not TYPE_CHECKING:  # type checkers would take every name for exported
    __getattr__, __dir__ = face(
        __name__,
        {
            "builders": "BUILDERS signatures",
            "errors": "BuilderError",
            "plan": "Estimates Fleet GroupLoad Leftover Plan SearchEffort Shard ShardDevice Strategy",
            "validator": "device_memory with_warnings",
        },
        "dicts search",
    )

add_library("engine.plan.layers")
