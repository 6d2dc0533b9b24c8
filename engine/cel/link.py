"""From the names that generated code uses to what they mean: the one list of what such code may call."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.cel import extensions, standard
from engine.cel.values import CelError, TypeValue, Uint, checked_int, equal

FAULTS = (CelError, TypeError, ValueError, LookupError, ArithmeticError)
"""What `&&`, `||`, `all` and `exists` absorb: CEL's errors, and Python's of operators on `dyn` values."""

HELPERS: dict[str, Any] = {
    "FAULTS": FAULTS,
    "Uint": Uint,
    "TypeValue": TypeValue,
    "int64": checked_int,
    "equal": equal,
    "boolean": standard.boolean,
    "select": standard.select,
    "has_field": standard.has,
    "map_of": standard.map_of,
    "elements": standard.elements,
    "element": standard.element,
    "bound": standard.bound,
    "concat": standard.concat,
    "divide_ints": standard.divide_ints,
    "modulo_ints": standard.modulo_ints,
    "divide_doubles": standard.divide_doubles,
    "sum_ints": standard.sum_ints,
    "least_of": standard.least_of,
    "greatest_of": standard.greatest_of,
    "format_fixed": extensions.format_fixed,
    "format_clause": extensions.format_clause,
}
"""Names that generated code may use beside those of CEL's functions."""

UNSET = object()
"""What a variable of a policy holds before it is computed."""

Symbol = tuple[Any, ...]
"""`("helper", name)`, `("function", name, signature)`, `("class", type)`, `("catalog", name)`, or
`("unset",)`."""


def link(
    symbols: Mapping[str, Symbol], classes: Mapping[str, Any], catalogs: Mapping[str, Any]
) -> dict[str, Any]:
    """The values of names, `classes` by object types and `catalogs` by their names."""
    return {identifier: _meaning(symbol, classes, catalogs) for identifier, symbol in symbols.items()}


def _meaning(symbol: Symbol, classes: Mapping[str, Any], catalogs: Mapping[str, Any]) -> Any:
    kind = symbol[0]
    if kind == "helper":
        return HELPERS[symbol[1]]
    if kind == "function":
        return standard.implementation(symbol[1], symbol[2])
    if kind == "class":
        return classes[symbol[1]]
    if kind == "constant":
        return symbol[2]
    return UNSET if kind == "unset" else catalogs[symbol[1]]
