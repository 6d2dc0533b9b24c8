"""From the names that generated code uses to their values: the one list of what such code may call.

Only the libraries that a program uses are imported.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from engine.cel.library import load_library
from engine.cel.values import CelError

FAULTS = (CelError, TypeError, ValueError, LookupError, ArithmeticError, AttributeError)
"""What `&&`, `||`, `all` and `exists` absorb: CEL's errors, and Python's from operators on `dyn` values."""

_VALUES = "engine.cel.values"
_OPERATORS = "engine.cel.functions.operators"
_OPTIONALS = "engine.cel.functions.optionals"
_FORMATTING = "engine.cel.functions.formatting"

HELPERS: Mapping[str, tuple[str, str]] = {
    "FAULTS": (__name__, "FAULTS"),
    "Uint": (_VALUES, "Uint"),
    "TypeValue": (_VALUES, "TypeValue"),
    "int64": (_VALUES, "checked_int"),
    "equal": (_OPERATORS, "equal_values"),
    "boolean": (_OPERATORS, "boolean"),
    "select": (_OPERATORS, "select"),
    "has_field": (_OPERATORS, "has"),
    "map_of": (_OPERATORS, "map_of"),
    "map_with": (_OPERATORS, "map_with"),
    "optional": (_OPERATORS, "optional"),
    "held": (_OPERATORS, "held"),
    "held_or": (_OPERATORS, "held_or"),
    "is_present": (_OPTIONALS, "has_value"),
    "elements": (_OPERATORS, "elements"),
    "pairs": (_OPERATORS, "pairs"),
    "merged": (_OPERATORS, "merged"),
    "element": (_OPERATORS, "element"),
    "bound": (_OPERATORS, "bound"),
    "concat": (_OPERATORS, "concat"),
    "join_pieces": (_OPERATORS, "join_pieces"),
    "text_in": (_OPERATORS, "text_in"),
    "read_text": ("engine.cel.costs", "read_text"),
    "divide_ints": (_OPERATORS, "divide_ints"),
    "modulo_ints": (_OPERATORS, "modulo_ints"),
    "divide_doubles": (_OPERATORS, "divide_doubles"),
    "sum_ints": (_OPERATORS, "sum_ints"),
    "least_of": (_OPERATORS, "least_of"),
    "greatest_of": (_OPERATORS, "greatest_of"),
    "format_fixed": (_FORMATTING, "format_fixed"),
    "format_clause": (_FORMATTING, "format_clause"),
}
"""Names that generated code may use besides those of CEL's functions: their modules and names there."""

UNSET = object()
"""The value of a policy's variable before it is computed."""

Symbol = tuple[Any, ...]
"""`("helper", name)`, `("function", name, signature, module)`, `("class", type)`,
`("constant", name, value)`, `("coerced", type, JSON)`: a value of that type, `("table", row type, rows)`,
`("catalog", name)`, `("unset",)`, or `("shared", names)`: a class whose attributes are UNSET."""


def link(
    symbols: Mapping[str, Symbol], classes: Mapping[str, type], catalogs: Mapping[str, object]
) -> dict[str, Any]:
    """Return the values of names.

    Args:
        symbols: what the names mean.
        classes: the classes of values by object type.
        catalogs: catalogs by name.
    """
    return {identifier: _meaning(symbol, classes, catalogs) for identifier, symbol in symbols.items()}


def is_built_in(symbols: Mapping[str, Symbol]) -> bool:
    """True if all functions are of the engine: a package outside may change while an artifact is kept."""
    return all(symbol[3].startswith("engine.") for symbol in symbols.values() if symbol[0] == "function")


def _meaning(symbol: Symbol, classes: Mapping[str, type], catalogs: Mapping[str, object]) -> object:
    kind = symbol[0]
    if kind == "helper":
        module, attribute = HELPERS[symbol[1]]
        __import__(module)
        return getattr(sys.modules[module], attribute)
    if kind == "function":
        return load_library(symbol[3]).functions[symbol[1]].linked(symbol[2])
    if kind == "class":
        return classes[symbol[1]]
    if kind == "constant":
        return symbol[2]
    if kind == "coerced":
        return _coerced(symbol[1], symbol[2])
    if kind == "table":
        return [classes[symbol[1]](*row) for row in symbol[2]]
    if kind == "shared":
        return type("Shared", (), dict.fromkeys(symbol[1], UNSET))
    return UNSET if kind == "unset" else catalogs[symbol[1]]


def _coerced(type_text: str, value: object) -> object:
    """Return a value of a type that artifacts cannot hold, from its JSON."""
    from engine.cel.celtypes import parse_type  # deferred: start-up time
    from engine.cel.coercion import coerce

    return coerce(value, parse_type(type_text), {})
