"""The decision as one YAML document.

It holds the same fields as JSON (`schemas/decision.schema.json`).
"""

from __future__ import annotations

from engine.decide.decision import Decision
from engine.documents.yaml_writer import dump
from engine.render import Screen, Target


def render(decision: Decision, screen: Screen) -> str:
    """Return the decision as a YAML document."""
    return dump(decision.to_dict(), width=100)


TARGET = Target("yaml", render, "yaml", shows_trace=True)
