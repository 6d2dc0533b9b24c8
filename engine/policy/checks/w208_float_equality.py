"""Doubles are compared with `==` or `!=`.

0.1 + 0.2 is not 0.3: two ways to compute a number rarely give exactly the same double, so such a condition
holds by accident. Compare with `<` and `>`, or with a tolerance: `math.abs(a - b) < constants.tolerance`.
"""

from __future__ import annotations

from collections.abc import Iterator

from engine.base.errors import Problem
from engine.cel import celtypes as t
from engine.policy.checks.check import Check
from engine.policy.compiled import CompiledPolicy, uses


def find(policy: CompiledPolicy) -> Iterator[Problem]:
    """Equality of doubles, in any expression."""
    for use in uses(policy):
        expression = use.expression
        checked = expression.checked
        for node, call in checked.calls.items():
            if call.function in ("_==_", "_!=_") and t.DOUBLE in map(checked.types.get, call.arguments):
                place = expression.place(node.position)
                yield Problem("doubles are compared for equality", place, path=expression.path)


CHECK = Check("W208", "float-equality", "warning", find, faulty=True)
