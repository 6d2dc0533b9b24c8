"""CEL's conversions between types, and the types of values."""

from __future__ import annotations

import math
import re

from engine.cel.costs import COPYING, READING
from engine.cel.library import Library
from engine.cel.limits import LONGEST_VALUE
from engine.cel.literals import INT_MAX, INT_MIN, UINT_MAX
from engine.cel.times import SECOND, Duration, Timestamp
from engine.cel.values import (
    CelError,
    OpaqueValue,
    TypeValue,
    Uint,
    Value,
    format_double,
    is_number,
    no_overload,
    too_long,
    type_name,
)

LIBRARY = Library(__name__, "Conversions", source="CEL standard library")

_INT_TEXT = r"[-+]?[0-9]+\Z"
# No part of it can match one text in two ways, so that it takes time in proportion to the text.
_DOUBLE_TEXT = r"(?i)[-+]?(?:(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:e[-+]?[0-9]+)?|inf(?:inity)?|nan)\Z"
_LONGEST_NUMBER = 1_000
_TRUE, _FALSE = ("1", "t", "true", "TRUE", "True"), ("0", "f", "false", "FALSE", "False")


@LIBRARY.function(
    "int",
    "int(T) -> int",
    types="int uint double string timestamp",
    description="Convert to int. Doubles truncate toward zero, timestamps give Unix seconds.",
    example="int(2.9) == 2",
    cost=READING,
    operations=12,
)
def to_int(value: Value) -> int:
    """Return `int(value)`."""
    if isinstance(value, Timestamp):
        return value.nanoseconds // SECOND
    if isinstance(value, str):
        return _parse_integer(value, INT_MIN, INT_MAX, "int")
    if isinstance(value, float):
        return double_to_int(value)
    if not is_number(value):
        raise no_overload("int", value)
    if value > INT_MAX:
        raise CelError("range error: the uint does not fit an int")
    return int(value)


@LIBRARY.function(
    "uint",
    "uint(T) -> uint",
    types="uint int double string",
    description="Convert to uint.",
    example="uint(2) == 2u",
    cost=READING,
    operations=20,
)
def to_uint(value: Value) -> Uint:
    """Return `uint(value)`."""
    if isinstance(value, str):
        if value[:1] in ("+", "-"):
            raise CelError(f"uint: cannot convert {value[:40]!r}")
        return Uint(_parse_integer(value, 0, UINT_MAX, "uint"))
    if not is_number(value):
        raise no_overload("uint", value)
    if not 0 <= value < UINT_MAX + 1:
        raise CelError("range error: the number does not fit a uint")
    return Uint(math.trunc(value))


def double_to_int(value: float) -> int:
    """Return a double truncated toward zero.

    Raises:
        CelError: NaN, an infinity, or beyond 64 bits.
    """
    if math.isnan(value) or math.isinf(value) or not INT_MIN < value < INT_MAX:
        raise CelError("range error: the double does not fit an int")
    return math.trunc(value)


def _parse_integer(text: str, low: int, high: int, name: str) -> int:
    if len(text) > 32 or not re.match(_INT_TEXT, text) or not low <= int(text) <= high:
        raise CelError(f"{name}: cannot convert {text[:40]!r}")
    return int(text)


@LIBRARY.function(
    "double",
    "double(T) -> double",
    types="double int uint string",
    description="Convert to double.",
    example="double(2) == 2.0",
    cost=READING,
)
def to_double(value: Value) -> float:
    """Return `double(value)`."""
    if isinstance(value, str):
        if len(value) > _LONGEST_NUMBER or not re.match(_DOUBLE_TEXT, value):
            raise CelError(f"double: cannot convert {value[:40]!r}")
        return float(value)
    if not is_number(value):
        raise no_overload("double", value)
    return float(value)


@LIBRARY.function(
    "bool",
    "bool(T) -> bool",
    types="bool string",
    description="Convert to bool.",
    example="bool('true')",
    cost=READING,
)
def to_bool(value: Value) -> bool:
    """Return `bool(value)`."""
    if isinstance(value, bool):
        return value
    if not isinstance(value, str):
        raise no_overload("bool", value)
    if value in _TRUE or value in _FALSE:
        return value in _TRUE
    raise CelError(f"bool: cannot convert {value[:40]!r}")


@LIBRARY.function(
    "bytes",
    "bytes(T) -> bytes",
    types="bytes string",
    description="Convert to bytes: the UTF-8 encoding of a string.",
    example="bytes('a') == b'a'",
    cost=COPYING,
    operations=12,
)
def to_bytes(value: Value) -> bytes:
    """Return `bytes(value)`."""
    if isinstance(value, str):
        encoded = value.encode("utf-8")
        if len(encoded) > LONGEST_VALUE:
            raise too_long(encoded)
        return encoded
    if isinstance(value, bytes):
        return value
    raise no_overload("bytes", value)


@LIBRARY.function(
    "string",
    "string(T) -> string",
    types="string bool int uint double bytes timestamp duration net.IP net.CIDR",
    description="Convert to string; bytes must be UTF-8.",
    example="string(12) == '12'",
    cost=COPYING,
    operations=8,
)
def to_string(value: Value) -> str:
    """Return `string(value)`."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return format_double(value)
    if isinstance(value, bytes):
        try:
            return value.decode("utf-8")
        except UnicodeDecodeError:
            raise CelError("bytes that are not UTF-8") from None
    if isinstance(value, (Timestamp, Duration, OpaqueValue)):
        return str(value)
    if isinstance(value, int):
        return str(int(value))
    if isinstance(value, str):
        return value
    raise no_overload("string", value)


@LIBRARY.function("type", "type(A) -> type(A)", description="The type of a value.", example="type(1) == int")
def type_of(value: Value) -> TypeValue:
    """Return `type(value)`."""
    return TypeValue(type_name(value))


@LIBRARY.function(
    "dyn",
    "dyn(A) -> dyn",
    description="The value itself, with its type left to evaluation.",
    example="dyn(1) == 1",
)
def as_dyn(value: Value) -> Value:
    """Return `value`; only the checker sees a difference."""
    return value
