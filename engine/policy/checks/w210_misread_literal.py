"""A constant or a number in an expression is not what it looks like.

`yes`, `no`, `on` and `off` without quotes are text in YAML 1.2, though bools in YAML 1.1: write `true` or
`false`, or put text in quotes. A number that begins with 0 is decimal in CEL, though octal in many languages:
`017` is 17.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from engine.base.errors import Problem
from engine.cel import syntax as ast
from engine.policy.checks.check import Check
from engine.policy.compiled import CompiledPolicy, uses

_BOOLS = {
    **dict.fromkeys(("yes", "on", "y"), "true"),
    **dict.fromkeys(("no", "off", "n"), "false"),
}


def find(policy: CompiledPolicy) -> Iterator[Problem]:
    """Words of YAML 1.1 for bools, and numbers that look octal."""
    for name, constant in policy.constants.items():
        meant = _BOOLS.get(constant.value.lower()) if isinstance(constant.value, str) else None
        document, path = policy.constant_origin(name)
        if meant is not None and document.is_plain((*path, "value")):
            yield Problem(
                f"the value {constant.value} of constant '{name}' is text, not a bool",
                policy.constant_place(name, value=True),
                f'write {meant}, or "{constant.value}" if text is meant',
                path=("constants", name),
            )
    for use in uses(policy):
        checked = use.expression.checked
        for node in checked.types:
            if isinstance(node, ast.Literal) and re.fullmatch(r"-?0[0-9]+[uU]?", checked.source(node)):
                place = use.expression.place(node.position)
                hint = f"write {node.value}, or {_octal(checked.source(node))} if the octal number is meant"
                message = f"{checked.source(node)} is {node.value}: CEL has no octals"
                yield Problem(message, place, hint, path=use.expression.path)


def _octal(text: str) -> str:
    digits = text.lstrip("-").rstrip("uU")
    return str(int(digits, 8)) if set(digits) <= set("01234567") else "another"


CHECK = Check("W210", "misread-literal", "warning", find, faulty=True)
