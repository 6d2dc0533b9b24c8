"""Values from documents held against CEL types; numbers are coerced by the type that is declared."""

from __future__ import annotations

import base64
import datetime
import math
import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from engine.cel import types as t
from engine.cel.literals import INT_MAX, INT_MIN, UINT_MAX
from engine.cel.types import Kind, ObjectType, Type
from engine.cel.values import Uint, Value
from engine.errors import Path, near, quote


class CoercionError(ValueError):
    """A value is not of the type that is declared; `path` is where, `key` whether its key is meant."""

    def __init__(self, message: str, path: Path, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.path = path
        self.hint = hint


def coerce(value: Any, type_: Type, objects: Mapping[str, ObjectType], path: Path = ()) -> Value:
    """`value` as a plain CEL value of that type.

    An int becomes a double where a double is declared, a double without fraction an int; a nullable field
    of an object may be absent.

    Raises:
        CoercionError: it is not of the type.
    """
    if type_.kind is Kind.DYN:
        return _coerce_dyn(value, path)
    if type_.kind is Kind.NULL and value is None:
        return None
    if type_.kind is Kind.WRAPPER:
        return None if value is None else coerce(value, type_.element, objects, path)
    if type_.kind is Kind.LIST and isinstance(value, list):
        return [coerce(element, type_.element, objects, (*path, i)) for i, element in enumerate(value)]
    if type_.kind is Kind.MAP and isinstance(value, dict):
        return {
            coerce(key, type_.key, objects, (*path, key)): coerce(element, type_.value, objects, (*path, key))
            for key, element in value.items()
        }
    if type_.kind is Kind.OBJECT and isinstance(value, dict):
        return _coerce_object(value, objects[type_.name], objects, path)
    scalar = _SCALARS.get(type_)
    if scalar is None or value is None or isinstance(value, (list, dict)):
        raise _mismatch(value, type_, path)
    return scalar(value, path)


def _mismatch(value: Any, type_: Type, path: Path) -> CoercionError:
    return CoercionError(f"expected {_WORDS.get(type_.name, type_)}, found {quote(value)}", path)


_WORDS = {
    "int": "a whole number",
    "uint": "a whole number from 0",
    "double": "a number",
    "string": "text",
    "bool": "true or false",
    "list": "a list",
    "map": "a mapping",
}


def _coerce_object(
    value: dict[str, Any], object_type: ObjectType, objects: Mapping[str, ObjectType], path: Path
) -> Value:
    for key in value:
        if key not in object_type.fields:
            raise CoercionError(
                f"unknown field {quote(key)} of {object_type.name}",
                (*path, key),
                near(str(key), object_type.fields),
            )
    result: dict[str, Value] = {}
    for name, field in object_type.fields.items():
        if name not in value and field.type.kind is not Kind.WRAPPER:
            raise CoercionError(f"{object_type.name} has no field '{name}'", path, field.description or None)
        result[name] = coerce(value.get(name), field.type, objects, (*path, name))
    return result


def _coerce_dyn(value: Any, path: Path) -> Value:
    if isinstance(value, dict):
        return {key: _coerce_dyn(element, (*path, key)) for key, element in value.items()}
    if isinstance(value, list):
        return [_coerce_dyn(element, (*path, i)) for i, element in enumerate(value)]
    if isinstance(value, int) and not isinstance(value, bool):
        return _int(value, path)
    return _double(value, path) if isinstance(value, float) else value


def _number(value: Any, type_: Type, path: Path) -> int | float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise _mismatch(value, type_, path)
    return value


def _whole(value: Any, type_: Type, low: int, high: int, path: Path) -> int:
    number = _number(value, type_, path)
    if isinstance(number, float) and not number.is_integer():
        raise _mismatch(value, type_, path)
    if not low <= number <= high:
        raise CoercionError(f"{quote(value)} does not fit a 64-bit {type_}", path)
    return int(number)


def _int(value: Any, path: Path) -> Value:
    return _whole(value, t.INT, INT_MIN, INT_MAX, path)


def _uint(value: Any, path: Path) -> Value:
    return Uint(_whole(value, t.UINT, 0, UINT_MAX, path))


def _double(value: Any, path: Path) -> Value:
    number = _number(value, t.DOUBLE, path)
    try:
        result = float(number)
    except OverflowError:
        result = math.inf
    if not math.isfinite(result):
        raise CoercionError(f"{quote(value)} is not a finite double", path)
    return result


def _of(python: type, type_: Type) -> Callable[[Any, Path], Value]:
    def scalar(value: Any, path: Path) -> Value:
        if not isinstance(value, python):
            raise _mismatch(value, type_, path)
        return value

    return scalar


def _bytes(value: Any, path: Path) -> Value:
    if not isinstance(value, (str, bytes)):
        raise _mismatch(value, t.BYTES, path)
    if isinstance(value, bytes):
        return value
    try:
        return base64.b64decode(value, validate=True)
    except ValueError:
        raise CoercionError(f"expected bytes as base64, found {quote(value)}", path) from None


def _timestamp(value: Any, path: Path) -> Value:
    try:
        moment = value if isinstance(value, datetime.datetime) else datetime.datetime.fromisoformat(value)
    except (TypeError, ValueError):
        raise CoercionError(
            f"expected a time like 2026-01-31T12:00:00Z, found {quote(value)}", path
        ) from None
    if moment.tzinfo is None:
        raise CoercionError(f"{quote(value)} has no time zone", path, "end it with Z for UTC")
    return moment


_UNITS = {
    "h": Decimal(3600),
    "m": Decimal(60),
    "s": Decimal(1),
    "ms": Decimal("0.001"),
    "us": Decimal("0.000001"),
}
_DURATION = re.compile(r"(?P<sign>-?)(?P<parts>(?:\d+(?:\.\d+)?(?:h|ms|us|m|s))+)\Z")
_DURATION_PART = re.compile(r"(\d+(?:\.\d+)?)(h|ms|us|m|s)")


def _duration(value: Any, path: Path) -> Value:
    if isinstance(value, datetime.timedelta):
        return value
    match = _DURATION.match(value) if isinstance(value, str) and len(value) <= 64 else None
    if match is None:
        raise CoercionError(f"expected a duration like 90s or 1h30m, found {quote(value)}", path)
    parts = _DURATION_PART.findall(match["parts"])
    seconds = sum(Decimal(number) * _UNITS[unit] for number, unit in parts)
    try:
        return datetime.timedelta(microseconds=int(seconds * 1_000_000)) * (-1 if match["sign"] else 1)
    except OverflowError:
        raise CoercionError(f"the duration {quote(value)} is too long", path) from None


_SCALARS: dict[Type, Callable[[Any, Path], Value]] = {
    t.BOOL: _of(bool, t.BOOL),
    t.INT: _int,
    t.UINT: _uint,
    t.DOUBLE: _double,
    t.STRING: _of(str, t.STRING),
    t.BYTES: _bytes,
    t.TIMESTAMP: _timestamp,
    t.DURATION: _duration,
}
