"""CEL's values as plain Python, shared by every runtime.

| CEL | Python |
|---|---|
| null, bool, int, double, string, bytes | None, bool, int, float, str, bytes |
| uint | `Uint` |
| list, map | list, dict |
| an object type | dict of its declared fields, None where a nullable field is unset; `ObjectValue` where |
| | the compiled runtime evaluates |
| timestamp, duration | `Timestamp`, `Duration` of engine.cel.times |
| type | `TypeValue` |
| optional | `OptionalValue` |
| an opaque type | a subclass of `OpaqueValue` |
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from itertools import repeat
from keyword import iskeyword
from typing import Any

from engine.base.jsontypes import Json
from engine.base.records import record
from engine.cel.costs import EQUAL, READ, Spend
from engine.cel.limits import LARGEST_RESULT, LONGEST_VALUE, VALUE_DEPTH
from engine.cel.literals import INT_MAX, INT_MIN, UINT_MAX
from engine.cel.times import Duration, Timestamp

Value = Any
"""A CEL value as plain Python; see the table above."""


class Uint(int):
    """A CEL uint; arithmetic on it returns plain ints, so that only the runtime decides what a uint is."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"{int(self)}u"


@record
class TypeValue:
    """The value of `type(x)`: a type by its CEL name."""

    name: str

    def __str__(self) -> str:
        return self.name


class OptionalValue:
    """A value that may be missing: `optional.of(x)`, `optional.none()`."""

    __slots__ = ("present", "value")

    def __init__(self, present: bool = False, value: Value = None) -> None:
        self.present = present
        self.value = value

    def __eq__(self, other: object) -> bool:
        return self is other or (
            isinstance(other, OptionalValue)
            and self.present is other.present
            and equal(self.value, other.value)
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"optional.of({self.value!r})" if self.present else "optional.none()"


class ObjectValue:
    """A value of an object type: its fields are slots, in a class that `object_class` creates for the type.

    A slot is called as `attribute` says; `__fields__` has the fields' own names, in the same order.
    """

    __slots__: tuple[str, ...] = ()
    __fields__: tuple[str, ...] = ()
    __type_name__ = "object"
    __declared__ = False

    def __eq__(self, other: object) -> bool:
        return self is other or (
            self.__class__ is other.__class__
            and all(equal(getattr(self, name), getattr(other, name)) for name in self.__slots__)
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={value!r}" for name, value in fields_of(self))
        return f"{self.__type_name__}({fields})"


class OpaqueValue:
    """A value of a type that only functions make and read, such as an IP address.

    A subclass defines equality, a hash that goes with it, and the text that stands for it in JSON.
    """

    __slots__: tuple[str, ...] = ()
    __type_name__ = "opaque"

    def __repr__(self) -> str:
        return f"{self.__type_name__}({str(self)!r})"


def fields_of(value: ObjectValue) -> Iterator[tuple[str, Value]]:
    """Yield an object's fields by their CEL names."""
    return zip(value.__fields__, map(value.__getattribute__, value.__slots__), strict=True)


def attribute(field: str) -> str:
    """Return the Python attribute of an object's field: the field's name wherever that is safe.

    Attributes that begin with an underscore are Python's, and keywords can't be written; both get a prefix,
    and so does what begins with that prefix itself, so that two fields never have one attribute.
    """
    return f"f_{field}" if field.startswith(("_", "f_")) or iskeyword(field) else field


def object_class(name: str, fields: Iterable[str], *, declared: bool = False) -> type[ObjectValue]:
    """Return the class of an object type's values; a policy has `declared` the type under `types:`."""
    own = tuple(fields)
    slots = tuple(map(attribute, own))
    namespace = {"__slots__": slots, "__fields__": own, "__type_name__": name, "__declared__": declared}
    made: type[ObjectValue] = type(name, (ObjectValue,), namespace)
    # `type` takes nothing as a slot but what can be written as a name.
    parameters = "".join(f", p{position}" for position in range(len(slots)))
    stores = "".join(f" self.{slot} = p{position}\n" for position, slot in enumerate(slots))
    names: dict[str, Callable[..., None]] = {}
    exec(f"def __init__(self{parameters}):\n{stores or ' pass'}", names)
    made.__init__ = names["__init__"]  # type: ignore[method-assign]
    return made


def limited(value: Value) -> Value:
    """`value`, if it is not too large to be written out.

    Raises:
        CelError: it has more than `LARGEST_RESULT` elements, or lists in lists deeper than `VALUE_DEPTH`.
    """
    within(value, LARGEST_RESULT)
    return value


def within(value: Value, limit: int) -> int:
    """What is left of `limit` once all elements of a value are taken off, those that it shares each time.

    A text counts as one element for each 64 characters.

    Raises:
        CelError: nothing is left, or it has lists in lists deeper than `VALUE_DEPTH`.
    """
    left = limit
    level = [value]
    depth = 0
    while level:
        inner: list[Value] = []
        for each in level:
            if isinstance(each, (list, dict)):
                left -= len(each)
                if left < 0:
                    raise CelError(f"a value of more than {limit} elements")
                inner.extend(each.values() if isinstance(each, dict) else each)
            elif isinstance(each, ObjectValue):
                values = (getattr(each, name) for name in each.__slots__)
                inner.extend(value for value in values if isinstance(value, (list, dict, ObjectValue)))
            elif isinstance(each, OptionalValue):
                inner.append(each.value)
            elif isinstance(each, (str, bytes)):
                left -= len(each) // READ
                if left < 0:
                    raise CelError(f"a value of more than {limit} elements")
        depth += 1
        if depth > VALUE_DEPTH:
            raise CelError(f"a value nested deeper than {VALUE_DEPTH} levels")
        level = inner
    return left


def plain(value: Value) -> Value:
    """Return a value with its objects as mappings."""
    if isinstance(value, list):
        return [plain(element) for element in value]
    if isinstance(value, dict):
        return {key: plain(element) for key, element in value.items()}
    if isinstance(value, ObjectValue):
        return {field: plain(each) for field, each in fields_of(value)}
    if isinstance(value, OptionalValue):
        return OptionalValue(value.present, plain(value.value))
    return value


class CelError(Exception):
    """An error that an expression ended in; `offset` is its character, if the runtime knows it."""

    def __init__(self, message: str, offset: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.offset = offset


def no_overload(name: str, *arguments: Value) -> CelError:
    """Return the error of a call whose arguments fit no overload, which only `dyn` lets through."""
    types = ", ".join(type_name(argument) for argument in arguments)
    return CelError(f"no such overload: {name}({types})")


def too_long(value: Value) -> CelError:
    """Return the error of a string, bytes or list beyond the longest value; `value` has its type."""
    return CelError(f"a {type_name(value)} longer than {LONGEST_VALUE}")


def require_type(name: str, value: Value, *kinds: type) -> None:
    """Refuse an argument of function `name` that is of none of these types; a bool is no int.

    Raises:
        CelError: no overload takes it.
    """
    if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
        raise no_overload(name, value)


def to_json(value: Value) -> Json:
    """Return the JSON form of a value, by protocol buffers' JSON mapping; ints stay numbers.

    Bytes become base64, timestamps RFC 3339, durations seconds, doubles that are not finite their names,
    map keys text; an optional becomes its value, or null.
    """
    if isinstance(value, float):
        return value if math.isfinite(value) else _NOT_FINITE[repr(value)]
    if isinstance(value, bytes):
        import base64  # deferred: start-up time

        return base64.b64encode(value).decode("ascii")
    if isinstance(value, (Timestamp, Duration, OpaqueValue)):
        return str(value)
    if isinstance(value, TypeValue):
        return value.name
    if isinstance(value, Uint):
        return int(value)
    if isinstance(value, list):
        return [to_json(element) for element in value]
    if isinstance(value, dict):
        return {json_key(key): to_json(element) for key, element in value.items()}
    if isinstance(value, ObjectValue):
        return {field: to_json(each) for field, each in fields_of(value)}
    if isinstance(value, OptionalValue):
        return to_json(value.value)
    scalar: str | int | bool | None = value
    return scalar


_NOT_FINITE = {"inf": "Infinity", "-inf": "-Infinity", "nan": "NaN"}


def json_key(key: Value) -> str:
    """Return the JSON form of a map's key."""
    return str(key).lower() if isinstance(key, bool) else str(int(key)) if isinstance(key, Uint) else str(key)


def mapping(pairs: Iterable[tuple[Value, Value]]) -> dict[Value, Value]:
    """Return a map of these pairs.

    Raises:
        CelError: two keys are one to Python, as 1 and true are.
    """
    result: dict[Value, Value] = {}
    for key, value in pairs:
        if key in result:
            raise CelError(f"a map with indistinguishable keys: {to_json(key)!r}")
        result[key] = value
    return result


def type_name(value: Value) -> str:
    """Return the CEL name of a value's type."""
    if value is None:
        return "null_type"
    if isinstance(value, (ObjectValue, OpaqueValue)):
        return value.__type_name__
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
    (Timestamp, "google.protobuf.Timestamp"),
    (Duration, "google.protobuf.Duration"),
    (TypeValue, "type"),
    (OptionalValue, "optional_type"),
)


def is_number(value: Value) -> bool:
    """True for an int, a uint or a double."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def aligned(first: Value, second: Value) -> tuple[Value, Value]:
    """Return two numbers made comparable: an int or uint becomes a double if the other is one."""
    if isinstance(first, float) is not isinstance(second, float):
        return float(first), float(second)
    return first, second


_PLAIN = {int, float, bool, Uint, type(None)}


def _free(values: Value = (), weight: int = 1, steps: int = 0) -> Value:
    return values


def equal(first: Value, second: Value, spend: Spend = _free) -> bool:
    """Compare by CEL's equality: numbers by value, lists and maps by element, else by type and value."""
    if type(first) is type(second) and type(first) in _PLAIN:
        return bool(first == second)
    if is_number(first) and is_number(second):
        first, second = aligned(first, second)
        return bool(first == second)
    if isinstance(first, list) and isinstance(second, list):
        if len(first) != len(second):
            return False
        spend(first, EQUAL)
        return all(map(equal, first, second, repeat(spend)))
    if isinstance(first, dict) and isinstance(second, dict):
        if len(first) != len(second):
            return False
        spend(first, EQUAL)
        return all(key in second and equal(value, second[key], spend) for key, value in first.items())
    if isinstance(first, ObjectValue) and first.__class__ is second.__class__:
        spend(first.__slots__, EQUAL)
        return first is second or all(
            equal(getattr(first, name), getattr(second, name), spend) for name in first.__slots__
        )
    if isinstance(first, OptionalValue) and isinstance(second, OptionalValue):
        return first.present is second.present and equal(first.value, second.value, spend)
    if isinstance(first, (str, bytes)) and len(first) >= READ:
        spend(steps=len(first) // READ)
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
    """Format a double as cel-go's `string()`: fewest digits that read back, an exponent from 1e6 on."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    if value == 0 or 1e-4 <= abs(value) < 1e6:  # written without an exponent by Python, too
        return repr(value).removesuffix(".0")
    from decimal import Decimal  # deferred: start-up time

    sign, digits, written = Decimal(repr(value)).normalize().as_tuple()
    exponent = int(written)
    power = len(digits) + exponent - 1
    prefix = "-" if sign else ""
    text = "".join(map(str, digits))
    if -4 <= power < 6:
        return f"{prefix}{Decimal((0, digits, exponent)):f}"
    mantissa = text[0] + ("." + text[1:] if len(text) > 1 else "")
    return f"{prefix}{mantissa}e{'-' if power < 0 else '+'}{abs(power):02d}"
