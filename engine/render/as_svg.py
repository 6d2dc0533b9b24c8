"""The plan as a picture: an SVG document.

Devices are boxes in their nodes, filled by the memory that the plan uses. The document contains no scripts
and loads nothing from elsewhere.
"""

from __future__ import annotations

from engine.base.errors import RenderError
from engine.decide.decision import Decision
from engine.render import Screen, Target
from engine.render.picture import svg
from engine.render.sanitize import sanitised
from engine.render.text import headline


def render(decision: Decision, screen: Screen) -> str:
    """Return the diagram.

    Raises:
        RenderError: The policy reads no inventory, so there is nothing to draw.
    """
    decision = sanitised(decision)
    inventory = None if decision.request is None else decision.request.inventory
    if inventory is None:
        raise RenderError("a diagram needs an inventory, but the policy reads none")
    return svg(inventory, headline(decision), decision.explanation or "", decision.plan)


TARGET = Target("svg", render, "svg")
