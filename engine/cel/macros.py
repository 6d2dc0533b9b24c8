"""Macros: calls that the parser turns into nodes of their own, or writes out as other expressions.

`all`, `exists`, `exists_one`, `filter`, `map` and their forms with two variables become comprehensions,
`cel.bind` a binding, `has` a test of a field. `sortBy`, `optMap` and `optFlatMap` are written out.
"""

from __future__ import annotations

import json

from engine.cel import syntax as ast
from engine.cel.errors import CelSyntaxError

SORT_BY_KEYS = "@sortByAssociatedKeys"
"""cel-go's name of what its macro `list.sortBy(x, key)` expands to: `list.@…(list.map(x, key))`."""

_ACCUMULATOR = "__result__"
"""The name of the accumulator in CEL's own macros, which no variable of a macro may have."""

_ONE_VARIABLE = {
    "all": (2,),
    "exists": (2,),
    "exists_one": (2,),
    "existsOne": (2,),
    "filter": (2,),
    "map": (2, 3),
}
_TWO_VARIABLES = {
    "all": (3,),
    "exists": (3,),
    "exists_one": (3,),
    "existsOne": (3,),
    "transformList": (3, 4),
    "transformMap": (3, 4),
    "transformMapEntry": (3, 4),
}
LEVELS = {"sortBy": 2, "optMap": 4, "optFlatMap": 3}
"""The levels of a syntax tree that macros which are written out add to that of a call."""
_OTHER_NAMES = {"existsOne": "exists_one"}


def expand(call: ast.Call) -> ast.Node:
    """Return what a call stands for if it is a macro's, else the call.

    Raises:
        CelSyntaxError: the macro takes other arguments.
    """
    if call.target is None:
        return _has(call) if call.function == "has" else call
    count = len(call.arguments)
    if call.function == "bind" and isinstance(call.target, ast.Identifier) and call.target.name == "cel":
        return _bind(call)
    if count in _ONE_VARIABLE.get(call.function, ()):
        return _comprehension(call, call.target, 1)
    if count in _TWO_VARIABLES.get(call.function, ()):
        return _comprehension(call, call.target, 2)
    if call.function == "sortBy" and count == 2:
        return _sort_by(call, call.target)
    if call.function in ("optMap", "optFlatMap") and count == 2:
        return _opt_map(call, call.target)
    return call


def _has(call: ast.Call) -> ast.Node:
    if len(call.arguments) == 1:
        select = call.arguments[0]
        if isinstance(select, ast.Select) and not select.test:
            return ast.Select(call.start, call.end, select.position, select.operand, select.field, test=True)
        if isinstance(select, ast.Call) and select.function == "_?._":
            operand, field = select.arguments
            inner = ast.Call(call.start, call.end, select.position, "_?._", (operand, field))
            return ast.Call(call.start, call.end, select.position, "hasValue", (), inner)
    raise CelSyntaxError("has() takes one field selection", call.start, _has_hint(call.arguments))


def _has_hint(arguments: tuple[ast.Node, ...]) -> str:
    """Return the hint for has() of a name, or of an element by its key."""
    only = arguments[0] if len(arguments) == 1 else None
    if isinstance(only, ast.Identifier):
        return f"has() asks for a field, has(a.b); an input that may be left out: {only.name} != null"
    if isinstance(only, ast.Call) and only.function == "_[_]":
        container, key = map(_short, only.arguments)
        return f"write {key} in {container}"
    return "write has(a.b)"


def _short(node: ast.Node) -> str:
    if isinstance(node, ast.Literal) and isinstance(node.value, (str, int)):
        return json.dumps(node.value, ensure_ascii=False) if isinstance(node.value, str) else str(node.value)
    return ast.dotted_name(node) or "…"


def _comprehension(call: ast.Call, target: ast.Node, names: int, macro: str | None = None) -> ast.Node:
    """Return the comprehension of a call whose first arguments are names."""
    variables = [_variable(node, f"{call.function}()") for node in call.arguments[:names]]
    if len(set(variables)) < names:
        position = call.arguments[1].start
        raise CelSyntaxError(f"the two variables of {call.function}() need two names", position)
    *conditions, body = call.arguments[names:]
    return ast.Comprehension(
        call.start,
        call.end,
        call.position,
        macro or _OTHER_NAMES.get(call.function, call.function),
        target,
        variables[0],
        body,
        conditions[0] if conditions else None,
        variables[1] if names == 2 else None,
    )


def _sort_by(call: ast.Call, target: ast.Node) -> ast.Node:
    """Write `list.sortBy(x, key)` out; a computed list is bound to a name, not repeated."""
    span, position = (call.start, call.end), call.position
    repeated = [target, target]
    if ast.dotted_name(target) is None:
        listed = f"sorted_at_{position}__"
        repeated = [ast.Identifier(target.start, target.end, target.position, listed) for _ in repeated]
    keys = _comprehension(call, repeated[0], 1, macro="map")
    ordered = ast.Call(*span, position, SORT_BY_KEYS, (keys,), repeated[1])
    if repeated[0] is target:
        return ordered
    return ast.Bind(*span, position, listed, target, ordered)


def _opt_map(call: ast.Call, target: ast.Node) -> ast.Node:
    """Write `o.optMap(x, t)` out: `o.hasValue() ? optional.of(t with x = o.value()) : optional.none()`."""
    span = call.start, call.end, call.position
    variable = _variable(call.arguments[0], f"{call.function}()")
    bound = f"optional_at_{call.position}__"

    def read(method: str) -> ast.Node:
        return ast.Call(*span, method, (), ast.Identifier(*span, bound))

    value: ast.Node = ast.Bind(*span, variable, read("value"), call.arguments[1])
    if call.function == "optMap":
        value = ast.Call(*span, "of", (value,), ast.Identifier(*span, "optional"))
    nothing = ast.Call(*span, "none", (), ast.Identifier(*span, "optional"))
    chosen = ast.Call(*span, "_?_:_", (read("hasValue"), value, nothing))
    return ast.Bind(*span, bound, target, chosen)


def _bind(call: ast.Call) -> ast.Node:
    if len(call.arguments) != 3:
        raise CelSyntaxError("cel.bind() takes a name, its value and an expression", call.position)
    name, value, body = call.arguments
    return ast.Bind(call.start, call.end, call.position, _variable(name, "cel.bind()"), value, body)


def _variable(node: ast.Node, macro: str) -> str:
    if not isinstance(node, ast.Identifier) or node.name.startswith("."):
        raise CelSyntaxError(f"the first argument of {macro} must be a simple name", node.start)
    if node.name == _ACCUMULATOR:
        raise CelSyntaxError(f"the variable of {macro} can't be called {node.name}", node.start)
    return node.name
