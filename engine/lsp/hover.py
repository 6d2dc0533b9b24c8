"""Hover: what a name, a function, a column or a key is."""

from __future__ import annotations

from engine.base.records import record
from engine.lsp.cursor import Found, find
from engine.lsp.describe import describe, type_text
from engine.lsp.keys import describe_key, kind_of
from engine.lsp.texts import Stretch
from engine.lsp.workspace import Workspace


@record(eq=False)
class Hover:
    """A text in Markdown, and what it is about."""

    text: str
    stretch: Stretch | None


def hover(workspace: Workspace, path: str, line: int, character: int) -> Hover | None:
    """Return what is known of what is at a position; None if nothing is."""
    found = find(workspace, path, line, character)
    if found is None:
        return None
    stretch = found.stretch if workspace.document(path) is found.spot.document else None
    if found.symbol is not None:
        return Hover(describe(found.symbol), stretch)
    if found.node_type is not None:
        return Hover(f"```cel\n{type_text(found.node_type)}\n```", stretch)
    return _key(found)


def _key(found: Found) -> Hover | None:
    spot = found.spot
    if not spot.at_key:
        return None
    text = describe_key(kind_of(spot.document), spot.path)
    span = spot.document.positions.keys.get(spot.path)
    return (
        Hover(text, None if span is None else Stretch(spot.document, span.start, span.end)) if text else None
    )
