"""Check values from documents against CEL types; convert numbers to the declared type."""

from __future__ import annotations

import base64
import datetime
import math
import re
from collections.abc import Callable, Mapping

from engine.base.errors import Path, near, quote
from engine.cel import celtypes as t
from engine.cel.celtypes import Bounds, Kind, ObjectType, Type
from engine.cel.literals import INT_MAX, INT_MIN, UINT_MAX
from engine.cel.suffixes import duration_text
from engine.cel.times import Duration, TimeRangeError, Timestamp
from engine.cel.values import Uint, Value


class CoercionError(ValueError):
    """A value that is not of the declared type; `path` is its place."""

    def __init__(self, message: str, path: Path, hint: str | None = None, *, at_key: bool = False) -> None:
        super().__init__(message)
        self.at_key = at_key
        self.message = message
        self.path = path
        self.hint = hint


def coerce(value: object, type_: Type, objects: Mapping[str, ObjectType], path: Path = ()) -> Value:
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
        return _coerce_map(value, type_, objects, path)
    if type_.kind is Kind.OBJECT and isinstance(value, dict):
        return _coerce_object(value, objects[type_.name], objects, path)
    scalar = _SCALARS.get(type_)
    if scalar is None or value is None or isinstance(value, (list, dict)):
        raise _mismatch(value, type_, path)
    result = scalar(value, path)
    if type_.bounds is not None:
        _check_bounds(value, result, type_.bounds, path)
    return result


def _check_bounds(given: object, value: Value, bounds: Bounds, path: Path) -> None:
    """Refuse a value that is not allowed.

    Raises:
        CoercionError: with the allowed values.
    """
    if bounds.enum and value not in bounds.enum:
        options = [str(option) for option in bounds.enum]
        hint = near(str(given), options) or "known: " + ", ".join(options)
        raise CoercionError(f"{quote(given)} is not allowed", path, hint)
    if bounds.minimum is not None and value < bounds.minimum:
        raise CoercionError(f"{quote(given)} is less than {_shown(bounds.minimum)}, the least allowed", path)
    if bounds.maximum is not None and value > bounds.maximum:
        raise CoercionError(f"{quote(given)} is more than {_shown(bounds.maximum)}, the most allowed", path)


def _shown(limit: Value) -> str:
    """Return a limit as people write it: 256 for a double, too."""
    return str(int(limit)) if isinstance(limit, float) and limit.is_integer() else str(limit)


def _mismatch(value: object, type_: Type, path: Path) -> CoercionError:
    return CoercionError(
        f"expected {_WORDS.get(type_.name, type_)}, found {quote(value)}", path, _advice(value, type_)
    )


def _advice(value: object, type_: Type) -> str | None:
    """Return the hint for a value that is written as one of another type."""
    if isinstance(value, str) and type_ in (t.INT, t.UINT, t.DOUBLE):
        return _number_advice(value)
    if isinstance(value, str) and type_ == t.BOOL:
        meant = _BOOLS.get(value.lower())
        return f"write {meant}" if meant else None
    if type_ == t.STRING and isinstance(value, (int, float)):
        return f'write "{quote(value)}" in quotes'
    if type_.kind is Kind.LIST and isinstance(value, (str, int, float)) and len(str(value)) < _SHOWN:
        return f"write [{value}]"
    return None


_BOOLS = {
    **dict.fromkeys(("yes", "on", "y", "true"), "true"),
    **dict.fromkeys(("no", "off", "n", "false"), "false"),
}
_SHOWN = 60


def _number_advice(text: str) -> str | None:
    """Return the hint for a number in quotes, with grouped digits, a decimal comma or a unit."""
    if len(text) > _SHOWN:
        return None
    bare = text.strip().strip("\"'")
    if re.fullmatch(r"(?a)-?\d+(\.\d+)?", bare):
        return f"write {bare} without quotes"
    if re.fullmatch(r"(?a)-?\d{1,3}([,_ ']\d{3})+", bare):
        plain = re.sub(r"[,_ ']", "", bare)
        return f"digits are not grouped: write {plain}"
    if re.fullmatch(r"(?a)-?\d+,\d+", bare):
        return f"the decimal sign is a point: write {bare.replace(',', '.')}"
    number = re.fullmatch(r"(?a)(-?\d+(?:\.\d+)?)\s*([%a-zA-Z€$][\w/%]*)", bare)
    if number is not None:
        return f"a number without its unit, such as {number[1]}"
    return None


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
    value: dict[str, object], object_type: ObjectType, objects: Mapping[str, ObjectType], path: Path
) -> Value:
    for key in value:
        if key not in object_type.fields and not object_type.open:
            raise CoercionError(
                f"unknown field {quote(key)} of {object_type.name}",
                (*path, key),
                near(str(key), object_type.fields),
                at_key=True,
            )
    result: dict[str, Value] = {}
    for name, field in object_type.fields.items():
        given = value.get(name)
        if given is None and field.default is not None:
            given = field.default
        if name not in value and given is None and field.type.kind is not Kind.WRAPPER:
            raise CoercionError(f"{object_type.name} has no field '{name}'", path, field.description or None)
        result[name] = coerce(given, field.type, objects, (*path, name))
    return result


def _coerce_map(
    value: dict[object, object], type_: Type, objects: Mapping[str, ObjectType], path: Path
) -> Value:
    result: dict[Value, Value] = {}
    for key, element in value.items():
        own: Path = (*path, key)  # type: ignore[arg-type]  # a key of YAML may be a number
        name = _coerce_key(key, type_.key, objects, own)
        if name in result:
            raise CoercionError(f"the key {quote(name)} is there twice", own, at_key=True)
        result[name] = coerce(element, type_.value, objects, own)
    return result


def _whole_of_text(text: str) -> int:
    if not re.fullmatch(r"(?a)-?\d{1,30}", text):
        raise ValueError
    return int(text)


_KEY_OF_TEXT: Mapping[Type, Callable[[str], object]] = {
    t.INT: _whole_of_text,
    t.UINT: _whole_of_text,
    t.BOOL: {"true": True, "false": False}.__getitem__,
}
"""What keys mean that JSON can only write as text."""


def _coerce_key(key: object, type_: Type, objects: Mapping[str, ObjectType], path: Path) -> Value:
    """Return a key of a map; a number and a bool may be written as text, which is all that JSON has."""
    if type_.kind is Kind.DYN:
        return key
    if type_ == t.STRING and not isinstance(key, str):
        hint = f'write "{quote(key)}" in quotes'
        raise CoercionError(f"expected text as a key, found {quote(key)}", path, hint, at_key=True)
    given = key
    if isinstance(key, str) and type_ in _KEY_OF_TEXT:
        try:
            given = _KEY_OF_TEXT[type_](key)
        except (KeyError, ValueError):
            message = f"expected {_WORDS[type_.name]} as a key, found {quote(key)}"
            raise CoercionError(message, path, at_key=True) from None
    return coerce(given, type_, objects, path)


def _coerce_dyn(value: object, path: Path) -> Value:
    if isinstance(value, dict):
        return {key: _coerce_dyn(element, (*path, key)) for key, element in value.items()}
    if isinstance(value, list):
        return [_coerce_dyn(element, (*path, i)) for i, element in enumerate(value)]
    if isinstance(value, int) and not isinstance(value, bool):
        return _int(value, path)
    return _double(value, path) if isinstance(value, float) else value


def _number(value: object, type_: Type, path: Path) -> int | float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise _mismatch(value, type_, path)
    return value


def _whole(value: object, type_: Type, low: int, high: int, path: Path) -> int:
    number = _number(value, type_, path)
    if isinstance(number, float) and not number.is_integer():
        raise _mismatch(value, type_, path)
    if not low <= number <= high:
        raise CoercionError(f"{quote(value)} does not fit a 64-bit {type_}", path)
    return int(number)


def _int(value: object, path: Path) -> Value:
    return _whole(value, t.INT, INT_MIN, INT_MAX, path)


def _uint(value: object, path: Path) -> Value:
    return Uint(_whole(value, t.UINT, 0, UINT_MAX, path))


def _double(value: object, path: Path) -> Value:
    number = _number(value, t.DOUBLE, path)
    try:
        result = float(number)
    except OverflowError:
        result = math.inf
    if not math.isfinite(result):
        raise CoercionError(f"{quote(value)} is not a finite double", path)
    return result


def _of(python: type, type_: Type) -> Callable[[object, Path], Value]:
    def scalar(value: object, path: Path) -> Value:
        if not isinstance(value, python):
            raise _mismatch(value, type_, path)
        return value

    return scalar


def _bytes(value: object, path: Path) -> Value:
    if not isinstance(value, (str, bytes)):
        raise _mismatch(value, t.BYTES, path)
    if isinstance(value, bytes):
        return value
    try:
        return base64.b64decode(value, validate=True)
    except ValueError:
        raise CoercionError(f"expected bytes as base64, found {quote(value)}", path) from None


def _timestamp(value: object, path: Path) -> Value:
    if isinstance(value, Timestamp):
        return value
    try:
        if isinstance(value, str):
            try:
                return Timestamp.parse(value)
            except TimeRangeError:
                raise
            except ValueError:
                if re.search(_FINE_FRACTION, value):  # datetime would drop nanoseconds
                    raise
        moment = value if isinstance(value, datetime.datetime) else _parse_time(value)
        if moment.tzinfo is None:
            hint = f"write {value}T00:00:00Z" if len(str(value)) == _DATE else "end it with Z for UTC"
            raise CoercionError(f"{quote(value)} has no time zone", path, hint)
        return Timestamp.of(moment)
    except CoercionError:
        raise
    except TimeRangeError as error:
        raise CoercionError(f"{quote(value)}: {error}", path) from None
    except (TypeError, ValueError):
        raise CoercionError(
            f"expected a time like 2026-01-31T12:00:00Z, found {quote(value)}", path
        ) from None


_DATE = len("2026-01-31")
_FINE_FRACTION = r"(?a)[.,]\d{7}"


def _parse_time(value: object) -> datetime.datetime:
    if not isinstance(value, str):
        raise TypeError
    return datetime.datetime.fromisoformat(value)


def _duration(value: object, path: Path) -> Value:
    if isinstance(value, Duration):
        return value
    try:
        if isinstance(value, datetime.timedelta):
            return Duration.of(value)
        if isinstance(value, str):
            return Duration.parse(value)
    except TimeRangeError:
        raise CoercionError(f"the duration {quote(value)} is too long", path) from None
    except ValueError:
        pass
    time = duration_text(value) if isinstance(value, str) and len(value) < _SHOWN else None
    hint = f"write {time}" if time else None
    raise CoercionError(f"expected a duration like 90s or 1h30m, found {quote(value)}", path, hint)


_SCALARS: dict[Type, Callable[[object, Path], Value]] = {
    t.BOOL: _of(bool, t.BOOL),
    t.INT: _int,
    t.UINT: _uint,
    t.DOUBLE: _double,
    t.STRING: _of(str, t.STRING),
    t.BYTES: _bytes,
    t.TIMESTAMP: _timestamp,
    t.DURATION: _duration,
}
