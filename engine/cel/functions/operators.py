"""CEL's operators, and what a compiled expression needs of them, over plain Python values.

Where the static types of the operands are known, the compiled runtime uses Python's own operators; these
functions are for `dyn`, and for operations whose result in CEL differs from Python's. Each raises CelError
where CEL ends in an error.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence

from engine.base.errors import quote
from engine.cel.costs import CHARGING, COPYING, EQUAL, MADE, READ, READING, Spend, ordering
from engine.cel.library import Library
from engine.cel.limits import LONGEST_VALUE
from engine.cel.literals import INT_MAX
from engine.cel.times import Duration, TimeRangeError, Timestamp
from engine.cel.values import (
    CelError,
    ObjectValue,
    OptionalValue,
    TypeValue,
    Uint,
    Value,
    aligned,
    attribute,
    checked_int,
    checked_uint,
    equal,
    is_number,
    mapping,
    no_overload,
    too_long,
    type_name,
)

LIBRARY = Library(__name__, "Operators", source="CEL standard library")

_ORDERED = "bool int uint double string bytes timestamp duration"


# --- arithmetic -----------------------------------------------------------------------------------------


@LIBRARY.function(
    "_+_",
    "_+_(T, T) -> T",
    "_+_(list(A), list(A)) -> list(A)",
    "_+_(timestamp, duration) -> timestamp",
    "_+_(duration, timestamp) -> timestamp",
    "_+_(duration, duration) -> duration",
    types="int uint double string bytes",
    description="Sum; strings, bytes and lists are concatenated. Integer overflow is an error.",
    example="1 + 2 == 3",
    cost=COPYING,
)
def add(first: Value, second: Value) -> Value:
    """Return `first + second`."""
    kind = _same_kind("_+_", first, second)
    if kind is int or kind is Uint:
        return _whole(kind, int(first) + int(second))
    if kind is float:
        return first + second
    if kind in (str, bytes, list):
        return _concatenate(first, second)
    return _moment("_+_", operator.add, first, second)


@LIBRARY.function(
    "_-_",
    "_-_(T, T) -> T",
    "_-_(timestamp, timestamp) -> duration",
    "_-_(timestamp, duration) -> timestamp",
    "_-_(duration, duration) -> duration",
    types="int uint double",
    description="Difference.",
    example="3 - 2 == 1",
)
def subtract(first: Value, second: Value) -> Value:
    """Return `first - second`."""
    kind = _same_kind("_-_", first, second)
    if kind is int or kind is Uint:
        return _whole(kind, int(first) - int(second))
    return first - second if kind is float else _moment("_-_", operator.sub, first, second)


@LIBRARY.function(
    "_*_",
    "_*_(T, T) -> T",
    types="int uint double",
    description="Product.",
    example="2.0 * 3.0 == 6.0",
)
def multiply(first: Value, second: Value) -> Value:
    """Return `first * second`."""
    kind = _same_kind("_*_", first, second)
    if kind is float:
        return first * second
    if kind is int or kind is Uint:
        return _whole(kind, int(first) * int(second))
    raise no_overload("_*_", first, second)


@LIBRARY.function(
    "_/_",
    "_/_(T, T) -> T",
    types="int uint double",
    description="Quotient. Integers truncate toward zero and fail on 0; doubles give infinity or NaN.",
    example="7 / 2 == 3",
)
def divide(first: Value, second: Value) -> Value:
    """Return `first / second`: ints truncate toward zero, doubles follow IEEE 754."""
    kind = _same_kind("_/_", first, second)
    if kind is float:
        return divide_doubles(first, second)
    if kind is int or kind is Uint:
        return _whole(kind, divide_ints(int(first), int(second)))
    raise no_overload("_/_", first, second)


@LIBRARY.function(
    "_%_",
    "_%_(T, T) -> T",
    types="int uint",
    description="Remainder, with the sign of the left operand.",
    example="7 % 2 == 1",
)
def modulo(first: Value, second: Value) -> Value:
    """Return `first % second`, with the sign of `first`."""
    kind = _same_kind("_%_", first, second)
    if kind is int or kind is Uint:
        return _whole(kind, modulo_ints(int(first), int(second)))
    raise no_overload("_%_", first, second)


@LIBRARY.function("-_", "-_(T) -> T", types="int double", description="Negation.", example="-(1) == -1")
def negate(value: Value) -> Value:
    """Return `-value`."""
    if type(value) is float:
        return -value
    if type(value) is int:
        return checked_int(-value)
    raise no_overload("-_", value)


def divide_ints(first: int, second: int) -> int:
    """Return the quotient of 64-bit ints, truncated toward zero."""
    if first >= 0 and second > 0:
        return first // second
    if second == 0:
        raise CelError("divide by zero")
    if (first < 0) is (second < 0):
        return checked_int(abs(first) // abs(second)) if first < 0 else first // second
    return -(abs(first) // abs(second))


def modulo_ints(first: int, second: int) -> int:
    """Return the remainder of 64-bit ints, with the sign of `first`."""
    if second == 0:
        raise CelError("modulus by zero")
    if second == -1:
        checked_int(-first)  # CEL's remainder is an error where its quotient is
    return abs(first) % abs(second) * (-1 if first < 0 else 1)


def divide_doubles(first: float, second: float) -> float:
    """Return the quotient of doubles: infinity or NaN where Python raises."""
    if second:
        return first / second
    if math.isnan(first) or first == 0:
        return math.nan
    return math.copysign(math.inf, first) * math.copysign(1.0, second)


def concat(spend: Spend, first: Value, second: Value) -> Value:
    """Concatenate two strings, two byte strings or two lists."""
    total = len(first) + len(second)
    if total >= READ:
        spend(steps=total if isinstance(first, list) else total // MADE)
    return _concatenate(first, second)


def _concatenate(first: Value, second: Value) -> Value:
    if len(first) + len(second) > LONGEST_VALUE:
        raise too_long(first)
    return first + second


def _same_kind(name: str, first: Value, second: Value) -> type:
    kind = type(first)
    if kind is not type(second):
        if {kind, type(second)} == {Timestamp, Duration}:
            return kind
        raise no_overload(name, first, second)
    return kind


def _whole(kind: type, value: int) -> int:
    return checked_int(value) if kind is int else checked_uint(value)


def _moment(name: str, function: Callable[[Value, Value], Value], first: Value, second: Value) -> Value:
    moments = (Timestamp, Duration)
    if not (isinstance(first, moments) and isinstance(second, moments)):
        raise no_overload(name, first, second)
    try:
        return function(first, second)
    except TimeRangeError as error:
        raise CelError(str(error)) from None
    except TypeError:
        raise no_overload(name, first, second) from None


# --- logic and comparison -------------------------------------------------------------------------------

LIBRARY.define("!_", "!_(bool) -> bool", description="Logical not.", example="!false")
LIBRARY.define(
    "_&&_",
    "_&&_(bool, bool) -> bool",
    description="Logical and: false if one side is false, even if the other side is an error.",
    example="true && true",
)
LIBRARY.define(
    "_||_",
    "_||_(bool, bool) -> bool",
    description="Logical or: true if one side is true, even if the other side is an error.",
    example="true || false",
)
LIBRARY.define(
    "_?_:_",
    "_?_:_(bool, A, A) -> A",
    description="The second operand if the first is true, else the third; only that one is evaluated.",
    example="(true ? 1 : 2) == 1",
)


def boolean(value: Value) -> bool:
    """Return `value`, which must be a bool."""
    if value is True or value is False:
        return value
    raise CelError(f"no such overload: a {type_name(value)} where a bool is needed")


_UNORDERED = (list, dict, type(None), TypeValue, ObjectValue)


def _comparison(
    symbol: str, description: str, example: str, function: Callable[[Value, Value], bool]
) -> Callable[[Value, Value], bool]:
    name = f"_{symbol}_"

    @LIBRARY.function(
        name,
        f"{name}(T, T) -> bool",
        types=_ORDERED,
        description=description,
        example=example,
        cost=READING,
    )
    def compare(first: Value, second: Value) -> bool:
        if type(first) is type(second) and not isinstance(first, _UNORDERED):
            return function(first, second)
        if not (is_number(first) and is_number(second)):
            raise no_overload(name, first, second)
        return function(*aligned(first, second))

    return compare


less = _comparison("<", "Less than.", "1 < 2", operator.lt)
less_or_equal = _comparison("<=", "Less than or equal.", "1 <= 1", operator.le)
greater = _comparison(">", "Greater than.", "2 > 1", operator.gt)
greater_or_equal = _comparison(">=", "Greater than or equal.", "1 >= 1", operator.ge)


@LIBRARY.function(
    "_==_",
    "_==_(A, A) -> bool",
    description="Equality, element by element.",
    example="[1] == [1]",
    cost=CHARGING,
)
def equal_values(spend: Spend, first: Value, second: Value) -> bool:
    """Return `first == second`."""
    return equal(first, second, spend)


@LIBRARY.function("_!=_", "_!=_(A, A) -> bool", description="Inequality.", example="1 != 2", cost=CHARGING)
def unequal(spend: Spend, first: Value, second: Value) -> bool:
    """Return `first != second`."""
    return not equal(first, second, spend)


# --- lists, maps, objects -------------------------------------------------------------------------------


@LIBRARY.function(
    "_in_",
    "_in_(A, list(A)) -> bool",
    "_in_(A, map(A, B)) -> bool",
    description="True for an element of the list, or a key of the map.",
    example="1 in [1, 2]",
    cost=CHARGING,
    operations=12,
)
def is_in(spend: Spend, item: Value, container: Value) -> bool:
    """Return `item in container`."""
    if isinstance(container, list):
        spend(container, EQUAL)
        return any(equal(item, element, spend) for element in container)
    if isinstance(container, dict):
        return _lookup(spend, container, item)[0]
    raise no_overload("_in_", item, container)


def text_in(spend: Spend, item: str, values: list[str]) -> bool:
    """Return `item in values` for a string and a list of strings."""
    spend(values, 1 + len(item) // READ)
    return item in values


@LIBRARY.function(
    "_[_]",
    "_[_](list(A), int) -> A",
    "_[_](map(A, B), A) -> B",
    "_[_](optional_type(list(A)), int) -> optional_type(A)",
    "_[_](optional_type(map(A, B)), A) -> optional_type(B)",
    description="The element at an index from 0, or the value of a key; an error if there is none.",
    example="[1, 2][1] == 2",
    cost=CHARGING,
    operations=12,
)
def index(spend: Spend, container: Value, key: Value) -> Value:
    """Return `container[key]`; of an optional, an optional."""
    if isinstance(container, OptionalValue):
        return index_optional(spend, container, key)
    if isinstance(container, list):
        if isinstance(key, float) and key.is_integer():
            key = int(key)
        if not isinstance(key, int) or isinstance(key, bool):
            raise no_overload("_[_]", container, key)
        if not 0 <= key < len(container):
            raise CelError(f"index {key} out of range of a list of {len(container)}")
        return container[key]
    if not isinstance(container, dict):
        raise no_overload("_[_]", container, key)
    present, value = _lookup(spend, container, key)
    if not present:
        raise CelError(f"no such key: {quote(key)}")
    return value


def index_optional(spend: Spend, container: Value, key: Value) -> OptionalValue:
    """Return `container[?key]`: none where there is no such element or entry."""
    if isinstance(container, OptionalValue):
        if not container.present:
            return container
        container = container.value
    if isinstance(container, list):
        if isinstance(key, float) and key.is_integer():
            key = int(key)
        if not isinstance(key, int) or isinstance(key, bool):
            raise no_overload("_[?_]", container, key)
        there = 0 <= key < len(container)
        return OptionalValue(there, container[key] if there else None)
    if not isinstance(container, dict):
        raise no_overload("_[?_]", container, key)
    return OptionalValue(*_lookup(spend, container, key))


def element(values: list[Value], position: int) -> Value:
    """Return `values[position]` for a list and an int."""
    if 0 <= position < len(values):
        return values[position]
    raise CelError(f"index {position} out of range of a list of {len(values)}")


def bound(value: Value, error: Exception | None) -> Value:
    """Return the value that `cel.bind` bound, or raise the error that computing it ended in."""
    if error is not None:
        raise error
    return value


def _lookup(spend: Spend, container: dict[Value, Value], key: Value) -> tuple[bool, Value]:
    """Look a key up; to Python, the keys 1 and true are one."""
    if isinstance(key, float):
        if not key.is_integer():
            return False, None
    elif not isinstance(key, (str, int)):
        raise CelError(f"map keys cannot be of type {type_name(key)}")
    if key not in container:
        return False, None
    if not isinstance(key, str):
        spend(container)
        stored = next(candidate for candidate in container if candidate == key)
        if isinstance(stored, bool) is not isinstance(key, bool):
            return False, None
    return True, container[key]


def select(operand: Value, name: str) -> Value:
    """Return `operand.name`; of an optional, an optional."""
    if isinstance(operand, OptionalValue):
        return select_optional(operand, name)
    if isinstance(operand, dict):
        if name not in operand:
            raise CelError(f"no such key: '{name}'")
        return operand[name]
    if isinstance(operand, ObjectValue) and name in operand.__fields__:
        return getattr(operand, attribute(name))
    raise CelError(f"no such overload: a {type_name(operand)} has no field '{name}'")


def select_optional(operand: Value, name: str) -> OptionalValue:
    """Return `operand.?name`: none where `has(operand.name)` is false."""
    if isinstance(operand, OptionalValue):
        if not operand.present:
            return operand
        operand = operand.value
    there = has(operand, name)
    return OptionalValue(there, select(operand, name) if there else None)


def has(operand: Value, name: str) -> bool:
    """Return `has(operand.name)`.

    A collection field of an object is set if it is not empty, but of a declared type if it is there.
    """
    if isinstance(operand, OptionalValue):
        return select_optional(operand, name).present
    if isinstance(operand, dict):
        return name in operand
    if isinstance(operand, ObjectValue):
        value = getattr(operand, attribute(name)) if name in operand.__fields__ else None
        empty = isinstance(value, (list, dict)) and not value and not operand.__declared__
        return value is not None and not empty
    raise CelError(f"no such overload: has() of a {type_name(operand)}")


def map_of(*parts: Value) -> dict[Value, Value]:
    """Build a map literal from alternating keys and values."""
    return mapping(zip(map(map_key, parts[0::2]), parts[1::2], strict=True))


def map_with(optionals: tuple[int, ...], *parts: Value) -> dict[Value, Value]:
    """Build a map literal of which the entries at some positions are optional."""
    pairs: list[tuple[Value, Value]] = []
    for position, (key, value) in enumerate(zip(parts[0::2], parts[1::2], strict=True)):
        if position not in optionals:
            pairs.append((map_key(key), value))
        elif optional(value).present:
            pairs.append((map_key(key), value.value))
    return mapping(pairs)


def optional(value: Value) -> OptionalValue:
    """Return `value`, which must be an optional."""
    if isinstance(value, OptionalValue):
        return value
    raise CelError(f"no such overload: a {type_name(value)} where an optional is needed")


def held(value: Value) -> list[Value]:
    """Return what an optional element adds to a list: its value, or nothing."""
    return [value.value] if optional(value).present else []


def held_or(value: Value, otherwise: Value) -> Value:
    """Return what an optional field is set to: its value, or what it has if it is left out."""
    return value.value if optional(value).present else otherwise


def pairs(value: Value) -> list[tuple[Value, Value]]:
    """Return what a macro with two variables iterates over: indices and elements, keys and values."""
    if isinstance(value, list):
        return list(enumerate(value))
    if isinstance(value, dict):
        return list(value.items())
    raise CelError(f"no such overload: a macro over a {type_name(value)}")


def merged(maps: Sequence[Value]) -> dict[Value, Value]:
    """Return a map of the entries of all maps, whose keys must differ."""
    for each in maps:
        if not isinstance(each, dict):
            raise CelError(f"no such overload: transformMapEntry() of a {type_name(each)}")
    return mapping(entry for each in maps for entry in each.items())


def map_key(value: Value) -> Value:
    """Return a value as the key of a map."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if not isinstance(value, (bool, int, str)):
        raise CelError(f"map keys cannot be of type {type_name(value)}")
    return value


def elements(value: Value) -> Sequence[Value]:
    """Return what a macro iterates over: a list's elements, a map's keys."""
    if isinstance(value, list):
        return value
    if isinstance(value, dict):
        return list(value)
    raise CelError(f"no such overload: a macro over a {type_name(value)}")


_SIZED = ("string", "bytes", "list(A)", "map(A,B)")


@LIBRARY.function(
    "size",
    *(f"size({kind}) -> int" for kind in _SIZED),
    *(f"{kind}.size() -> int" for kind in _SIZED),
    description="The number of characters, bytes, elements or entries.",
    example="size('abc') == 3",
)
def size(value: Value) -> int:
    """Return `size(value)`."""
    if isinstance(value, (str, bytes, list, dict)):
        return len(value)
    raise no_overload("size", value)


# --- what the compiled runtime calls where types are known ----------------------------------------------


def join_pieces(spend: Spend, pieces: Sequence[str]) -> str:
    """Join the pieces of a formatted string."""
    total = sum(map(len, pieces))
    if total >= READ:
        spend(steps=total // MADE)
    if total > LONGEST_VALUE:
        raise too_long("")
    return "".join(pieces)


def sum_ints(spend: Spend, values: list[int]) -> int:
    """Return the sum of a list of ints; a partial sum that overflows is an error."""
    if not values:
        return 0
    spend(values)
    total = sum(values)
    if min(values) < 0 or total > INT_MAX:  # a partial sum may overflow though the whole does not
        spend(values, 2)
        total = 0
        for value in values:
            total = checked_int(total + value)
    return total


def least_of(spend: Spend, values: list[Value]) -> Value:
    """Return `list.min()` of values that are ordered by their static type."""
    if not values:
        raise CelError("min() of an empty list")
    ordering(spend, values)
    return min(values)


def greatest_of(spend: Spend, values: list[Value]) -> Value:
    """Return `list.max()` of values that are ordered by their static type."""
    if not values:
        raise CelError("max() of an empty list")
    ordering(spend, values)
    return max(values)
