"""A number inside of an expression that should be a constant.

A number that decides has a name, a unit and a reason; it is found, changed and tested under `constants`.
Only 0 and 1 are left alone, and positions in lists.
"""

from __future__ import annotations

from collections.abc import Iterator

from engine.cel import ast
from engine.cel.checker import Checked
from engine.errors import Problem
from engine.policy.checks.check import Check
from engine.policy.compiled import CompiledPolicy, uses

_PLAIN = (0, 1)


def find(policy: CompiledPolicy) -> Iterator[Problem]:
    """Numbers other than 0 and 1."""
    for use in uses(policy):
        expression = use.expression
        for node in _numbers(expression.checked):
            text = expression.checked.source(node)
            yield Problem(
                f"{text} should be a constant", expression.place(node.position), path=expression.path
            )


def _numbers(checked: Checked) -> Iterator[ast.Literal]:
    indices = {call.arguments[1] for call in checked.calls.values() if call.function == "_[_]"}
    for node in checked.root.walk():
        if isinstance(node, ast.Literal) and node not in indices:
            value = node.value
            if isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) not in _PLAIN:
                yield node


CHECK = Check("W207", "magic-number", "warning", find, faulty=True)
