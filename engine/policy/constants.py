"""Values and types of constants: stated, inferred from how they are written, and changed by overlays."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from engine.base.errors import quote
from engine.cel import celtypes as t
from engine.cel.celtypes import Type, TypeSyntaxError, parse_type
from engine.cel.coercion import CoercionError, coerce
from engine.cel.literals import INT_MAX, INT_MIN, UINT_MAX
from engine.cel.times import Duration, Timestamp
from engine.cel.values import Value

if TYPE_CHECKING:
    from engine.base.jsontypes import Json


def inferred_type(value: object) -> Type | None:
    """Return the type that a value has as it is written; None for elements of several types."""
    if isinstance(value, list):
        element = _common(value)
        return None if element is None else t.list_of(element)
    if isinstance(value, dict):
        element = _common(value.values())
        return None if element is None else t.map_of(t.STRING, element)
    if isinstance(value, bool):
        return t.BOOL
    if isinstance(value, int):
        return t.INT if INT_MIN <= value <= INT_MAX else None
    if isinstance(value, float):
        return t.DOUBLE
    return t.STRING if isinstance(value, str) else None


def _common(elements: Iterable[object]) -> Type | None:
    """Return the type that all elements have; dyn if there are none."""
    types = {inferred_type(element) for element in elements} or {t.DYN}
    return types.pop() if len(types) == 1 else None


def untyped(value: object) -> tuple[str, str | None]:
    """Return what is wrong with a value that has no type by itself, and a hint."""
    if not isinstance(value, dict):
        hint = "state a type: uint" if isinstance(value, int) and INT_MAX < value <= UINT_MAX else None
        if isinstance(value, list):
            hint = f"state a type, such as list({_joint(value)})"
        return "an int beyond 64 bits, or elements of several types", hint
    return "the values of the map are of several types", f"state a type, such as {_map_text(value.values())}"


def _map_text(values: Iterable[object]) -> str:
    return f'"map(string, {_joint(values)})"'


def _joint(values: Iterable[object]) -> str:
    """Return the type to state for values of several types."""
    numbers = all(isinstance(each, (int, float)) and not isinstance(each, bool) for each in values)
    return "double" if numbers else "dyn"


def declared_values(declared: Mapping[str, Mapping[str, Any]]) -> dict[str, Value]:
    """Return the values of constants by name, as far as they are of their types; tables have none."""
    found: dict[str, Value] = {}
    for name, each in declared.items():
        if "value" not in each:
            continue
        try:
            type_ = parse_type(each["type"]) if "type" in each else None
            found[name] = each["value"] if type_ is None else coerce(each["value"], type_, {})
        except (TypeSyntaxError, CoercionError, LookupError):
            continue  # reported where the constant is compiled
    return found


# --- other values -------------------------------------------------------------------------------------------


def plain_constant(value: object) -> Any:
    """Return a value that Python code gives a constant as a document would write it."""
    if isinstance(value, datetime.timedelta):
        return str(Duration.of(value))
    if isinstance(value, (Duration, Timestamp)):
        return str(value)
    if isinstance(value, datetime.datetime):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {key: plain_constant(each) for key, each in value.items()}
    return [plain_constant(each) for each in value] if isinstance(value, (list, tuple)) else value


def fit_constant(name: str, declared: Mapping[str, Any], new: Json) -> Json:
    """Return the new value of a constant as the constant's type.

    Args:
        name: the constant.
        declared: its declaration, with a value and perhaps a type.
        new: its new value.

    Raises:
        CoercionError: it is of another type.
    """
    old = declared["value"]
    its_value = f"its value is {written(old)}"
    if "type" not in declared:
        fitted = _fitted(old, new)
        if fitted is None:
            raise CoercionError(f"constant '{name}' is {_kind(old)}, found {written(new)}", (), its_value)
        return fitted
    try:
        coerce(new, parse_type(declared["type"]), {})
    except (TypeSyntaxError, LookupError):
        pass  # reported where the constant is compiled
    except CoercionError as error:
        message = f"constant '{name}': {error.message}"
        raise CoercionError(message, error.path, error.hint or its_value, at_key=error.at_key) from None
    return new


def written(value: object) -> str:
    """Return a value in a message."""
    return json.dumps(value, ensure_ascii=False)[:60] if isinstance(value, (list, dict)) else quote(value)


def _kind(value: object) -> str:
    for type_, noun in ((list, "list"), (dict, "map")):
        if isinstance(value, type_):
            first = next(iter(value.values() if isinstance(value, dict) else value), None)
            return f"a {noun}" if first is None else f"a {noun} of {_kind(first).partition(' ')[2]}s"
    names: tuple[tuple[type, str], ...] = ((bool, "a bool"), (int, "an int"), (float, "a double"))
    return next((name for type_, name in names if isinstance(value, type_)), "a string")


def _fitted(old: Json, new: Json) -> Json:
    """Return a new value of a constant as its type; None if it is of another type."""
    if isinstance(old, list):
        if not isinstance(new, list):
            return None
        fitted = [_fitted(old[0], each) if old else each for each in new]
        return None if any(each is None for each in fitted) else fitted
    if isinstance(old, dict):
        if not isinstance(new, dict):
            return None
        first = next(iter(old.values()), None)
        values = {key: each if first is None else _fitted(first, each) for key, each in new.items()}
        return None if any(each is None for each in values.values()) else values
    if type(new) is type(old):
        return new
    if isinstance(old, float) and isinstance(new, int) and not isinstance(new, bool) and float(new) == new:
        return float(new)
    return None
