"""A literal argument does not fit its call.

`timestamp("2026-13-01T00:00:00Z")`, `duration("1 day")`, an invalid pattern of `matches`, an unknown time
zone, a format clause without a fitting argument, a list's element -1 or an entry that a catalog does not have
end in an error whenever they are evaluated. An argument without a clause is left out of the text.
"""

from __future__ import annotations

from collections.abc import Iterator

from engine.base.errors import Problem, near, quote
from engine.cel import celtypes as t
from engine.cel import syntax as ast
from engine.cel.budget import Budget, steps_allowed
from engine.cel.checker import Checked, ResolvedCall
from engine.cel.declarations import definition
from engine.cel.functions.formatting import format_clause, format_pieces
from engine.cel.mismatches import for_literal
from engine.cel.times import Duration, Timestamp
from engine.cel.values import CelError, Uint, Value
from engine.policy.checks.check import Check
from engine.policy.compiled import CompiledPolicy, uses

_PARTS = (
    *("getFullYear", "getMonth", "getDate", "getDayOfMonth", "getDayOfWeek", "getDayOfYear"),
    *("getHours", "getMinutes", "getSeconds", "getMilliseconds"),
)
_SAMPLES: dict[t.Type, Value] = {
    t.BOOL: True,
    t.INT: 1,
    t.UINT: Uint(1),
    t.DOUBLE: 1.5,
    t.STRING: "a",
    t.BYTES: b"a",
    t.TIMESTAMP: Timestamp(0),
    t.DURATION: Duration(0),
}


def find(policy: CompiledPolicy) -> Iterator[Problem]:
    """Calls that fail for every request."""
    for use in uses(policy):
        checked = use.expression.checked
        for node, call in checked.calls.items():
            place, message = _fault(checked, node, call) or (None, "")
            hint = None if place is None else for_literal(call.function, place)
            if place is None and call.function == "_[_]":
                place, message, hint = _no_entry(policy, checked, call) or (None, "", None)
            if place is not None:
                path = use.expression.path
                yield Problem(message, use.expression.place(place.start), hint, path=path)


def _fault(checked: Checked, node: ast.Node, call: ResolvedCall) -> tuple[ast.Node, str] | None:
    """Return the literal that makes a call fail, and why."""
    arguments = call.arguments
    try:
        if call.function in ("timestamp", "duration") and isinstance(arguments[0], ast.Literal):
            _call(call.function, arguments[0].value)
        elif call.function == "matches" and isinstance(arguments[1], ast.Literal):
            _call("matches", "", arguments[1].value)
        elif call.function in _PARTS and len(arguments) == 2 and isinstance(arguments[1], ast.Literal):
            _call(call.function, Timestamp(0), arguments[1].value)
        elif call.function == "format" and isinstance(arguments[0], ast.Literal):
            return _format_fault(checked, str(arguments[0].value), arguments)
        elif call.function == "_[_]" and checked.types[arguments[0]].kind is t.Kind.LIST:
            index = arguments[1].value if isinstance(arguments[1], ast.Literal) else 0
            if isinstance(index, int) and index < 0:
                return arguments[1], f"a list has no element {index}"
    except CelError as error:
        position = 1 if call.function in ("matches", *_PARTS) else 0
        return arguments[position], error.message
    return None


def _no_entry(
    policy: CompiledPolicy, checked: Checked, call: ResolvedCall
) -> tuple[ast.Node, str, str | None] | None:
    """Return the literal key that a catalog does not have, unless the expression asks for it first."""
    listed, key = call.arguments
    name = checked.names.get(listed, "").removeprefix("catalogs.")
    catalog = policy.catalogs.get(name)
    if catalog is None or not isinstance(key, ast.Literal) or key.value in catalog.entries:
        return None
    asked = any(each.function in ("_in_", "_[?_]") for each in checked.calls.values())
    if asked:
        return None
    return key, f"catalog {name} has no entry {quote(key.value)}", near(str(key.value), catalog.entries)


def _format_fault(
    checked: Checked, template: str, arguments: tuple[ast.Node, ...]
) -> tuple[ast.Node, str] | None:
    clauses = [piece for piece in format_pieces(template) if not isinstance(piece, str)]
    if not isinstance(arguments[1], ast.ListLiteral):
        return None
    values = arguments[1].elements
    spend = Budget(steps_allowed()).spend
    if len(clauses) != len(values):
        return arguments[0], f"format: {len(clauses)} clauses, {len(values)} arguments"
    for (letter, precision), value in zip(clauses, values, strict=True):
        sample = _SAMPLES.get(checked.types[value])
        if sample is None:
            continue
        try:
            format_clause(spend, letter, precision, sample)
        except CelError as error:
            return value, error.message
    return None


def _call(name: str, *arguments: object) -> None:
    defined = definition(name)
    function = defined.linked()
    if defined.takes_spend:
        function(Budget(steps_allowed()).spend, *arguments)
    else:
        function(*arguments)


CHECK = Check("E117", "literal-argument", "error", find)
