"""Policies in CEL's own policy format, converted to the engine's: a policy, its environment, its tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.base.lazy import face

if TYPE_CHECKING:
    from engine.policy.imports.convert import Imported, import_policy

__all__ = ["Imported", "import_policy"]

if not TYPE_CHECKING:  # type checkers would take every name for exported
    __getattr__, __dir__ = face(__name__, {"convert": "Imported import_policy"})
