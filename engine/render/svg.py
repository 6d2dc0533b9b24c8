"""The plan as a picture: an SVG document."""

from __future__ import annotations

from engine.decision import Decision
from engine.errors import RenderError
from engine.render import Screen
from engine.render.picture import svg
from engine.render.text import headline


def render(decision: Decision, screen: Screen) -> str:
    """The picture.

    Raises:
        RenderError: the policy reads no inventory, so there is nothing to draw.
    """
    inventory = None if decision.request is None else decision.request.inventory
    if inventory is None:
        raise RenderError("a picture needs an inventory, and the policy reads none")
    return svg(inventory, headline(decision), decision.explanation or "", decision.plan)
