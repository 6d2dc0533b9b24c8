"""An expression contains a number that should be a constant.

A number that decides needs a name, a unit and a reason; under `constants` it can be found, changed and
tested. Exempt are 0, 1 and list positions, results (numbers that an output states), elements of lists and
maps, and the cells of a table: three or more matches of one rule whose conditions differ only in their
literals.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import islice

from engine.base.errors import Problem
from engine.cel import syntax as ast
from engine.cel.checker import Checked
from engine.policy.checks.check import Check
from engine.policy.compiled import CompiledPolicy, Use, collected, rules, uses

_PLAIN = (0, 1)
_MOST = 50
"""Numbers of an expression that are reported."""


_TABLE = 3
"""Least number of matches in a table."""


def find(policy: CompiledPolicy) -> Iterator[Problem]:
    """Numbers that decide, other than 0 and 1."""
    conditions = Counter(
        (id(use.rule), _form(use.expression.checked)) for use in uses(policy) if _is_condition(use)
    )
    outputs = {
        id(match.output) for rule in rules(policy.rule) for match in collected(rule.collects) if match.output
    }
    for use in uses(policy):
        expression = use.expression
        if expression.is_generated:
            continue
        if _is_condition(use) and conditions[id(use.rule), _form(expression.checked)] >= _TABLE:
            continue
        results = id(expression) in outputs or (use.match is not None and expression is use.match.output)
        for node in islice(_numbers(expression.checked, results), _MOST):
            text = expression.checked.source(node)
            yield Problem(
                f"{text} should be a constant", expression.place(node.position), path=expression.path
            )


def _is_condition(use: Use) -> bool:
    return use.match is not None and use.expression is use.match.condition


def _form(checked: Checked) -> str:
    """Return the text of an expression without its literals."""
    pieces, end = [], 0
    for node in sorted(checked.root.walk(), key=lambda node: node.start):
        if isinstance(node, ast.Literal) and node.start >= end:
            pieces.append(checked.text[end : node.start])
            end = node.end
    pieces.append(checked.text[end:])
    return "#".join("".join(piece.split()) for piece in pieces)


def _numbers(checked: Checked, results: bool) -> Iterator[ast.Literal]:
    """Yield the numbers of an expression that decide; with `results`, those that it states do not."""
    exempt = {call.arguments[1] for call in checked.calls.values() if call.function == "_[_]"}
    for node in checked.root.walk():
        if isinstance(node, (ast.ListLiteral, ast.MapLiteral)):
            exempt |= {_unsigned(checked, child) for child in node.children()}
    if results:
        exempt |= {_unsigned(checked, node) for node in _stated(checked, checked.root)}
    for node in checked.root.walk():
        if isinstance(node, ast.Literal) and node not in exempt:
            value = node.value
            if isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) not in _PLAIN:
                yield node


def _unsigned(checked: Checked, node: ast.Node) -> ast.Node:
    """Return the number in `-number`, `dyn(number)` or a conversion, and any other node itself."""
    call = checked.calls.get(node)
    if call is not None and call.function in ("-_", "dyn", "int", "uint", "double"):
        return _unsigned(checked, call.arguments[0])
    return node


def _stated(checked: Checked, node: ast.Node) -> Iterator[ast.Node]:
    """Yield the expressions that may be the value of an output: itself, or the branches of `?:`."""
    call = checked.calls.get(node)
    if call is not None and call.function == "_?_:_":
        yield from _stated(checked, call.arguments[1])
        yield from _stated(checked, call.arguments[2])
    else:
        yield node


CHECK = Check("W207", "magic-number", "warning", find, faulty=True)
