"""A constant or a number in an expression is not what it looks like.

`yes`, `no`, `on` and `off` without quotes are text in YAML 1.2, though bools in YAML 1.1: write `true` or
`false`, or put text in quotes. So are numbers with a unit or with grouped digits: `80%`, `2_000.5`. A number
that begins with 0 is decimal in CEL, though octal in many languages: `017` is 17. Nothing is filled into text
by itself: `"{name}"` and `"${name}"` are the text as it is written, and `format()` alone fills `"%s"`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from engine.base.errors import Problem, quote
from engine.cel import syntax as ast
from engine.cel.checker import Checked
from engine.cel.suffixes import duration_text
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
        untyped = document.at((*path, "type")) is None
        if untyped and isinstance(constant.value, str) and document.is_plain((*path, "value")):
            number = _AMOUNT.fullmatch(constant.value)
            is_duration = duration_text(constant.value) == constant.value  # which duration() may read
            if number is not None and not is_duration:
                yield Problem(
                    f"the value {constant.value} of constant '{name}' is text, not a number",
                    policy.constant_place(name, value=True),
                    _amount_hint(constant.value, number[1].replace("_", "")),
                    path=("constants", name),
                )
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
            if isinstance(node, ast.Literal) and isinstance(node.value, str):
                hint = _unfilled(node.value, checked, node)
                if hint is not None:
                    message = f"{quote(node.value)} is not filled in: it is the text as it is written"
                    yield Problem(
                        message, use.expression.place(node.position), hint, path=use.expression.path
                    )
                continue
            if isinstance(node, ast.Literal) and re.fullmatch(r"-?0[0-9]+[uU]?", checked.source(node)):
                place = use.expression.place(node.position)
                hint = f"write {node.value}, or {_octal(checked.source(node))} if the octal number is meant"
                message = f"{checked.source(node)} is {node.value}: CEL has no octals"
                yield Problem(message, place, hint, path=use.expression.path)


def _amount_hint(text: str, number: str) -> str:
    """Return the hint for text that is a number with a unit."""
    return f'write {number} and state its unit under unit; if text is meant, "{text}"'


def _unfilled(text: str, checked: Checked, node: ast.Node) -> str | None:
    """Return the hint for text with a declared name in braces, as other languages fill it in."""
    for found in _BRACES.finditer(text):
        name = found[1].strip()
        if name in checked.environment.variables:
            filled = _BRACES.sub("%s", text)
            names = ", ".join(each[1].strip() for each in _BRACES.finditer(text))
            return f"write {json.dumps(filled, ensure_ascii=False)}.format([{names}])"
    if node is checked.root and re.search(r"%(s|d|\.[0-9]f)(?![a-z])", text):
        return "write text.format([value, …])"
    return None


_BRACES = re.compile(r"\$?\{\{?\s*([A-Za-z_][\w.]{0,99})\s*\}?\}")
_AMOUNT = re.compile(r"(-?[0-9][0-9_]*(?:\.[0-9]+)?)(?:\s*(?:%|[A-Za-z]{1,5}))?")


def _octal(text: str) -> str:
    digits = text.lstrip("-").rstrip("uU")
    return str(int(digits, 8)) if set(digits) <= set("01234567") else "another"


CHECK = Check("W210", "misread-literal", "warning", find, faulty=True)
