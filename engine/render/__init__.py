"""Decisions as text, JSON, YAML, pictures and launch commands: one module per target, imported on use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.base.lazy import face
from engine.decide.decision import Decision
from engine.render.target import Screen, Target, find_target, target_names, targets

__all__ = ["Screen", "Target", "find_target", "render", "target_names", "targets"]

if not TYPE_CHECKING:  # type checkers would take every name for exported
    __getattr__, __dir__ = face(
        __name__, {}, "ai_hwaccel as_json inventory model picture policy_page report table"
    )


def render(decision: Decision, target: str, screen: Screen | None = None) -> str:
    """Return a decision in the form of the named target, ending in a newline.

    Raises:
        RenderError: no target has that name, or it cannot express the decision.
    """
    return find_target(target).render(decision, screen or Screen())
