"""CEL's values as plain Python, shared by every runtime.

| CEL | Python |
|---|---|
| null, bool, int, double, string, bytes | None, bool, int, float, str, bytes |
| uint | `Uint` |
| list, map | list, dict |
| an object type | dict of its declared fields, None where a nullable field is unset; `ObjectValue` where |
| | the compiled runtime evaluates |
| timestamp, duration | datetime (aware), timedelta |
| type | `TypeValue` |
"""

from __future__ import annotations

import datetime
import math
from collections.abc import Iterable
from keyword import iskeyword
from typing import Any

from engine.cel.limits import LARGEST_RESULT
from engine.cel.literals import INT_MAX, INT_MIN, UINT_MAX
from engine.records import record

Value = Any
"""A CEL value as plain Python; see the table above."""


class Uint(int):
    """A CEL uint; arithmetic on it gives plain ints, so that only the runtime decides what a uint is."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"{int(self)}u"


@record
class TypeValue:
    """What `type(x)` gives: the type by its CEL name."""

    name: str

    def __str__(self) -> str:
        return self.name


class ObjectValue:
    """A value of an object type: its fields are slots, in a class that `object_class` makes of the type."""

    __slots__: tuple[str, ...] = ()
    type_name = "object"

    def __eq__(self, other: object) -> bool:
        return self is other or (
            self.__class__ is other.__class__
            and all(equal(getattr(self, name), getattr(other, name)) for name in self.__slots__)
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"{self.type_name}({', '.join(f'{name}={getattr(self, name)!r}' for name in self.__slots__)})"


def object_class(name: str, fields: Iterable[str]) -> type[ObjectValue]:
    """The class of an object type's values."""
    slots = tuple(fields)
    made: type[ObjectValue] = type(name, (ObjectValue,), {"__slots__": slots, "type_name": name})
    parameters = "".join(f", p{position}" for position in range(len(slots)))
    # A schema's or a catalog's word for a field is written as code only if it is a plain name.
    stores = "".join(
        f" self.{slot} = p{position}\n"
        if slot.isidentifier() and not iskeyword(slot)
        else f" setattr(self, {slot!r}, p{position})\n"
        for position, slot in enumerate(slots)
    )
    names: dict[str, Any] = {}
    exec(f"def __init__(self{parameters}):\n{stores or ' pass'}", names)
    made.__init__ = names["__init__"]  # type: ignore[method-assign]
    return made


def limited(value: Value) -> Value:
    """`value`, if it is not too large to be written out.

    Raises:
        CelError: it has more than `LARGEST_RESULT` elements.
    """
    left = LARGEST_RESULT
    waiting = [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, (list, dict)):
            left -= len(each)
            if left < 0:
                raise CelError(f"a value of more than {LARGEST_RESULT} elements")
            waiting.extend(each.values() if isinstance(each, dict) else each)
    return value


def plain(value: Value) -> Value:
    """A value with its objects as mappings."""
    if isinstance(value, list):
        return [plain(element) for element in value]
    if isinstance(value, dict):
        return {key: plain(element) for key, element in value.items()}
    if isinstance(value, ObjectValue):
        return {field: plain(getattr(value, field)) for field in value.__slots__}
    return value


class CelError(Exception):
    """An expression ended in an error: `offset` is where in the expression, where the runtime knows it."""

    def __init__(self, message: str, offset: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.offset = offset


def to_json(value: Value) -> Any:
    """A value as JSON has it, by the rules of protocol buffers' JSON mapping; ints stay numbers.

    Bytes become base64, timestamps RFC 3339, durations seconds, doubles that are not finite their names,
    map keys text.
    """
    if isinstance(value, float):
        return value if math.isfinite(value) else _NOT_FINITE[repr(value)]
    if isinstance(value, bytes):
        import base64

        return base64.b64encode(value).decode("ascii")
    if isinstance(value, datetime.datetime):
        return format_timestamp(value)
    if isinstance(value, datetime.timedelta):
        return format_duration(value)
    if isinstance(value, TypeValue):
        return value.name
    if isinstance(value, Uint):
        return int(value)
    if isinstance(value, list):
        return [to_json(element) for element in value]
    if isinstance(value, dict):
        return {json_key(key): to_json(element) for key, element in value.items()}
    if isinstance(value, ObjectValue):
        return {name: to_json(getattr(value, name)) for name in value.__slots__}
    return value


_NOT_FINITE = {"inf": "Infinity", "-inf": "-Infinity", "nan": "NaN"}


def json_key(key: Value) -> str:
    """A map's key as JSON has it."""
    return str(key).lower() if isinstance(key, bool) else str(int(key)) if isinstance(key, Uint) else str(key)


def mapping(pairs: Iterable[tuple[Value, Value]]) -> dict[Value, Value]:
    """A map of these pairs.

    Raises:
        CelError: two keys are one to Python, as 1 and true are.
    """
    result: dict[Value, Value] = {}
    for key, value in pairs:
        if key in result:
            raise CelError(f"a map with two keys that can't be told apart: {to_json(key)!r}")
        result[key] = value
    return result


def type_name(value: Value) -> str:
    """The CEL name of a value's type."""
    if value is None:
        return "null_type"
    if isinstance(value, ObjectValue):
        return value.type_name
    for python, name in _TYPE_NAMES:
        if isinstance(value, python):
            return name
    return type(value).__name__


_TYPE_NAMES: tuple[tuple[type, str], ...] = (
    (bool, "bool"),
    (Uint, "uint"),
    (int, "int"),
    (float, "double"),
    (str, "string"),
    (bytes, "bytes"),
    (list, "list"),
    (dict, "map"),
    (datetime.datetime, "google.protobuf.Timestamp"),
    (datetime.timedelta, "google.protobuf.Duration"),
    (TypeValue, "type"),
)


def is_number(value: Value) -> bool:
    """True for an int, a uint or a double."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def aligned(first: Value, second: Value) -> tuple[Value, Value]:
    """Two numbers made comparable as CEL does it: an int or uint beside a double becomes a double."""
    if isinstance(first, float) is not isinstance(second, float):
        return float(first), float(second)
    return first, second


def equal(first: Value, second: Value) -> bool:
    """CEL's equality across types: numbers by value, lists and maps element by element, else same type."""
    if is_number(first) and is_number(second):
        first, second = aligned(first, second)
        return bool(first == second)
    if isinstance(first, list) and isinstance(second, list):
        return len(first) == len(second) and all(map(equal, first, second))
    if isinstance(first, dict) and isinstance(second, dict):
        return len(first) == len(second) and all(
            key in second and equal(value, second[key]) for key, value in first.items()
        )
    return type_name(first) == type_name(second) and bool(first == second)


def checked_int(value: int) -> int:
    """`value` if it is a 64-bit int.

    Raises:
        CelError: it is not.
    """
    if not INT_MIN <= value <= INT_MAX:
        raise CelError("integer overflow")
    return value


def checked_uint(value: int) -> Uint:
    """`value` as a uint.

    Raises:
        CelError: it does not fit 64 bits.
    """
    if not 0 <= value <= UINT_MAX:
        raise CelError("unsigned integer overflow")
    return Uint(value)


def format_double(value: float) -> str:
    """A double as cel-go's `string()` writes it: fewest digits that read back, an exponent from 1e6 on."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    from decimal import Decimal

    sign, digits, written = Decimal(repr(value)).normalize().as_tuple()
    exponent = int(written)
    power = len(digits) + exponent - 1
    prefix = "-" if sign else ""
    text = "".join(map(str, digits))
    if -4 <= power < 6:
        return f"{prefix}{Decimal((0, digits, exponent)):f}"
    mantissa = text[0] + ("." + text[1:] if len(text) > 1 else "")
    return f"{prefix}{mantissa}e{'-' if power < 0 else '+'}{abs(power):02d}"


def format_timestamp(value: datetime.datetime) -> str:
    """A timestamp as RFC 3339 has it, in UTC."""
    utc = value.astimezone(datetime.UTC)
    fraction = f".{utc.microsecond:06d}".rstrip("0") if utc.microsecond else ""
    return utc.strftime("%Y-%m-%dT%H:%M:%S").rjust(19, "0") + fraction + "Z"


def format_duration(value: datetime.timedelta) -> str:
    """A duration in seconds: `90s`, `-0.5s`."""
    microseconds = value // datetime.timedelta(microseconds=1)
    sign, microseconds = ("-", -microseconds) if microseconds < 0 else ("", microseconds)
    seconds, rest = divmod(microseconds, 1_000_000)
    fraction = f".{rest:06d}".rstrip("0") if rest else ""
    return f"{sign}{seconds}{fraction}s"
