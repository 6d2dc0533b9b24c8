"""Reading nodes of which nothing is known, with a problem for each that has another form."""

from __future__ import annotations

import json
from collections.abc import Sequence

from engine.base.errors import Problem
from engine.documents.composed import Node


class Reader:
    """Collects what cannot be imported."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []

    def fail(self, node: Node, message: str, hint: str | None = None, *, key: bool = False) -> None:
        self.problems.append(node.problem(message, hint, key=key))

    def mapping(self, node: Node, what: str, known: Sequence[str] = ()) -> bool:
        """Return True for a mapping; report what is none, and keys that are not known."""
        if not isinstance(node.value, dict):
            self.fail(node, f"{what}: expected a mapping")
            return False
        for key, each in node.items():
            if known and key not in known:
                hint = "known: " + ", ".join(known)
                if key.startswith("context"):
                    hint = "protobuf messages cannot be imported"
                self.fail(each, f"{what}: '{key}' cannot be imported", hint, key=True)
        return True

    def listed(self, node: Node, *keys: str) -> list[Node]:
        """Return the elements of the list that one of these keys has; none if there is no such key."""
        for key in keys:
            found = node.get(key)
            if found is not None:
                if isinstance(found.value, list):
                    return list(found)
                self.fail(found, f"{key}: expected a list")
        return []

    def text(self, node: Node, what: str) -> str:
        """Return a text; report what is none."""
        if isinstance(node.value, str):
            return node.value
        self.fail(node, f"{what}: expected text")
        return ""

    def expression(self, node: Node) -> Node:
        """Return an expression, which YAML may read as a number or a bool; report what is none."""
        if isinstance(node.value, str):
            return node
        if node.value is None or isinstance(node.value, (list, dict)):
            self.fail(node, "expected a CEL expression")
            return node.derived("null")
        return node.derived(json.dumps(node.value))
