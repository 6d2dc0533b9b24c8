"""CEL's standard library over plain Python values: operators, conversions, text, time.

Every function raises CelError where CEL ends in an error. Where the static types of the arguments are known,
the compiled runtime uses Python's own operators; these are for `dyn`, and for what Python does otherwise.
"""

from __future__ import annotations

import datetime
import functools
import math
import operator
import re
from collections.abc import Callable, Sequence
from typing import Any

from engine.cel import extensions
from engine.cel.extensions import no_overload
from engine.cel.limits import LONGEST_VALUE
from engine.cel.literals import INT_MAX, INT_MIN, UINT_MAX
from engine.cel.values import (
    CelError,
    ObjectValue,
    TypeValue,
    Uint,
    Value,
    aligned,
    checked_int,
    checked_uint,
    equal,
    is_number,
    mapping,
    type_name,
)
from engine.errors import quote

_LONGEST_DURATION = datetime.timedelta(seconds=315_576_000_000)


# --- arithmetic -----------------------------------------------------------------------------------------


def add(first: Value, second: Value) -> Value:
    """`first + second`."""
    kind = _same_kind("_+_", first, second)
    if kind is int or kind is Uint:
        return _whole(kind, int(first) + int(second))
    if kind is float:
        return first + second
    if kind in (str, bytes, list):
        return concat(first, second)
    return _moment("_+_", operator.add, first, second)


def subtract(first: Value, second: Value) -> Value:
    """`first - second`."""
    kind = _same_kind("_-_", first, second)
    if kind is int or kind is Uint:
        return _whole(kind, int(first) - int(second))
    return first - second if kind is float else _moment("_-_", operator.sub, first, second)


def multiply(first: Value, second: Value) -> Value:
    """`first * second`."""
    kind = _same_kind("_*_", first, second)
    if kind is float:
        return first * second
    if kind is int or kind is Uint:
        return _whole(kind, int(first) * int(second))
    raise no_overload("_*_", first, second)


def divide(first: Value, second: Value) -> Value:
    """`first / second`: ints truncate toward zero, doubles follow IEEE 754."""
    kind = _same_kind("_/_", first, second)
    if kind is float:
        return divide_doubles(first, second)
    if kind is int or kind is Uint:
        return _whole(kind, divide_ints(int(first), int(second)))
    raise no_overload("_/_", first, second)


def modulo(first: Value, second: Value) -> Value:
    """`first % second`, with the sign of `first`."""
    kind = _same_kind("_%_", first, second)
    if kind is int or kind is Uint:
        return _whole(kind, modulo_ints(int(first), int(second)))
    raise no_overload("_%_", first, second)


def negate(value: Value) -> Value:
    """`-value`."""
    if type(value) is float:
        return -value
    if type(value) is int:
        return checked_int(-value)
    raise no_overload("-_", value)


def divide_ints(first: int, second: int) -> int:
    """The quotient of 64-bit ints, truncated toward zero."""
    if first >= 0 and second > 0:
        return first // second
    if second == 0:
        raise CelError("divide by zero")
    if (first < 0) is (second < 0):
        return checked_int(abs(first) // abs(second)) if first < 0 else first // second
    return -(abs(first) // abs(second))


def modulo_ints(first: int, second: int) -> int:
    """The remainder of 64-bit ints, with the sign of `first`."""
    if second == 0:
        raise CelError("modulus by zero")
    if second == -1:
        checked_int(-first)  # CEL's remainder is an error where its quotient is
    return abs(first) % abs(second) * (-1 if first < 0 else 1)


def divide_doubles(first: float, second: float) -> float:
    """The quotient of doubles: infinity or NaN where Python raises."""
    if second:
        return first / second
    if math.isnan(first) or first == 0:
        return math.nan
    return math.copysign(math.inf, first) * math.copysign(1.0, second)


def concat(first: Value, second: Value) -> Value:
    """Two texts, two byte strings or two lists joined."""
    if len(first) + len(second) > LONGEST_VALUE:
        raise CelError(f"a {type_name(first)} longer than {LONGEST_VALUE}")
    return first + second


def _same_kind(name: str, first: Value, second: Value) -> type:
    kind = type(first)
    if kind is not type(second):
        if {kind, type(second)} == {datetime.datetime, datetime.timedelta}:
            return kind
        raise no_overload(name, first, second)
    return kind


def _whole(kind: type, value: int) -> int:
    return checked_int(value) if kind is int else checked_uint(value)


def _moment(name: str, function: Callable[[Any, Any], Any], first: Value, second: Value) -> Value:
    moments = (datetime.datetime, datetime.timedelta)
    if not (isinstance(first, moments) and isinstance(second, moments)):
        raise no_overload(name, first, second)
    try:
        result = function(first, second)
    except (OverflowError, ValueError) as error:
        raise CelError(f"range error: {error}") from None
    except TypeError:
        raise no_overload(name, first, second) from None
    return _checked_duration(result) if isinstance(result, datetime.timedelta) else result


def _checked_duration(value: datetime.timedelta) -> datetime.timedelta:
    if abs(value) > _LONGEST_DURATION:
        raise CelError("range error: the duration is too long")
    return value


# --- logic and comparison -------------------------------------------------------------------------------


def boolean(value: Value) -> bool:
    """`value`, which must be a bool."""
    if value is True or value is False:
        return value
    raise CelError(f"no such overload: a {type_name(value)} where a bool is needed")


_UNORDERED = (list, dict, type(None), TypeValue, ObjectValue)


def _comparison(name: str, function: Callable[[Any, Any], bool]) -> Callable[[Value, Value], bool]:
    def compare(first: Value, second: Value) -> bool:
        if type(first) is type(second) and not isinstance(first, _UNORDERED):
            return function(first, second)
        if not (is_number(first) and is_number(second)):
            raise no_overload(name, first, second)
        return function(*aligned(first, second))

    return compare


less = _comparison("_<_", operator.lt)
less_or_equal = _comparison("_<=_", operator.le)
greater = _comparison("_>_", operator.gt)
greater_or_equal = _comparison("_>=_", operator.ge)


def unequal(first: Value, second: Value) -> bool:
    """`first != second`."""
    return not equal(first, second)


# --- lists, maps, objects -------------------------------------------------------------------------------


def is_in(item: Value, container: Value) -> bool:
    """`item in container`."""
    if isinstance(container, list):
        return any(equal(item, element) for element in container)
    if isinstance(container, dict):
        return _lookup(container, item)[0]
    raise no_overload("_in_", item, container)


def index(container: Value, key: Value) -> Value:
    """`container[key]`."""
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
    found, value = _lookup(container, key)
    if not found:
        raise CelError(f"no such key: {key!r}")
    return value


def element(values: list[Value], position: int) -> Value:
    """`values[position]` of a list and an int."""
    if 0 <= position < len(values):
        return values[position]
    raise CelError(f"index {position} out of range of a list of {len(values)}")


def bound(value: Value, error: Exception | None) -> Value:
    """What `cel.bind` bound: a value, or the error that computing it ended in."""
    if error is not None:
        raise error
    return value


def _lookup(container: dict[Value, Value], key: Value) -> tuple[bool, Value]:
    """A map's value; to Python, the keys 1 and true are one."""
    if isinstance(key, float):
        if not key.is_integer():
            return False, None
    elif not isinstance(key, (str, int)):
        raise CelError(f"a map's key can't be a {type_name(key)}")
    if key not in container:
        return False, None
    if not isinstance(key, str):
        stored = next(each for each in container if each == key)
        if isinstance(stored, bool) is not isinstance(key, bool):
            return False, None
    return True, container[key]


def select(operand: Value, name: str) -> Value:
    """`operand.name`."""
    if isinstance(operand, dict):
        if name not in operand:
            raise CelError(f"no such key: '{name}'")
        return operand[name]
    if isinstance(operand, ObjectValue) and name in operand.__slots__:
        return getattr(operand, name)
    raise CelError(f"no such overload: a {type_name(operand)} has no field '{name}'")


def has(operand: Value, name: str) -> bool:
    """`has(operand.name)`; a set collection of an object is one that holds something."""
    if isinstance(operand, dict):
        return name in operand
    if isinstance(operand, ObjectValue):
        value = getattr(operand, name, None)
        return value is not None and not (isinstance(value, (list, dict)) and not value)
    raise CelError(f"no such overload: has() of a {type_name(operand)}")


def map_of(*parts: Value) -> dict[Value, Value]:
    """A map literal of keys and values in turn."""
    return mapping(zip(map(map_key, parts[0::2]), parts[1::2], strict=True))


def map_key(value: Value) -> Value:
    """A value as a map's key."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if not isinstance(value, (bool, int, str)):
        raise CelError(f"a map's key can't be a {type_name(value)}")
    return value


def elements(value: Value) -> Sequence[Value]:
    """What a macro goes over: a list's elements, a map's keys."""
    if isinstance(value, list):
        return value
    if isinstance(value, dict):
        return list(value)
    raise CelError(f"no such overload: a macro over a {type_name(value)}")


def size(value: Value) -> int:
    """`size(value)`."""
    if isinstance(value, (str, bytes, list, dict)):
        return len(value)
    raise no_overload("size", value)


def sum_ints(values: list[int]) -> int:
    """The sum of a list of ints; an error where a partial sum overflows."""
    if not values:
        return 0
    total = sum(values)
    if min(values) < 0 or total > INT_MAX:  # a partial sum may overflow though the whole doesn't
        total = extensions.implementation("sum")(values)
    return total


def least_of(values: list[Value]) -> Value:
    """`list.min()` of values that have an order by their static type."""
    if not values:
        raise CelError("min() of an empty list")
    return min(values)


def greatest_of(values: list[Value]) -> Value:
    """`list.max()` of values that have an order by their static type."""
    if not values:
        raise CelError("max() of an empty list")
    return max(values)


# --- conversions ----------------------------------------------------------------------------------------

_INT_TEXT = r"[-+]?[0-9]+\Z"
_DOUBLE_TEXT = r"(?i)[-+]?(?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?|inf(?:inity)?|nan)\Z"
_TRUE, _FALSE = ("1", "t", "true", "TRUE", "True"), ("0", "f", "false", "FALSE", "False")


def to_int(value: Value) -> int:
    """`int(value)`."""
    if isinstance(value, datetime.datetime):
        return math.floor(value.timestamp())
    if isinstance(value, str):
        return _parse_integer(value, INT_MIN, INT_MAX, "int")
    if isinstance(value, float):
        return extensions.double_to_int(value)
    if not is_number(value):
        raise no_overload("int", value)
    if value > INT_MAX:
        raise CelError("range error: the uint does not fit an int")
    return int(value)


def to_uint(value: Value) -> Uint:
    """`uint(value)`."""
    if isinstance(value, str):
        if value[:1] in ("+", "-"):
            raise CelError(f"uint: can't read {value[:40]!r}")
        return Uint(_parse_integer(value, 0, UINT_MAX, "uint"))
    if not is_number(value):
        raise no_overload("uint", value)
    if not 0 <= value < UINT_MAX + 1:
        raise CelError("range error: the number does not fit a uint")
    return Uint(math.trunc(value))


def _parse_integer(text: str, low: int, high: int, name: str) -> int:
    if not re.match(_INT_TEXT, text) or len(text) > 32 or not low <= int(text) <= high:
        raise CelError(f"{name}: can't read {text[:40]!r}")
    return int(text)


def to_double(value: Value) -> float:
    """`double(value)`."""
    if isinstance(value, str):
        if not re.match(_DOUBLE_TEXT, value):
            raise CelError(f"double: can't read {value[:40]!r}")
        return float(value)
    if not is_number(value):
        raise no_overload("double", value)
    return float(value)


def to_bool(value: Value) -> bool:
    """`bool(value)`."""
    if isinstance(value, bool):
        return value
    if not isinstance(value, str):
        raise no_overload("bool", value)
    if value in _TRUE or value in _FALSE:
        return value in _TRUE
    raise CelError(f"bool: can't read {value[:40]!r}")


def to_bytes(value: Value) -> bytes:
    """`bytes(value)`."""
    if isinstance(value, str):
        return value.encode("utf-8")
    if isinstance(value, bytes):
        return value
    raise no_overload("bytes", value)


def type_of(value: Value) -> TypeValue:
    """`type(value)`."""
    return TypeValue(type_name(value))


# --- text -----------------------------------------------------------------------------------------------


def _on_texts(name: str, function: Callable[[str, str], Value]) -> Callable[[Value, Value], Value]:
    def on_texts(text: Value, part: Value) -> Value:
        if not (isinstance(text, str) and isinstance(part, str)):
            raise no_overload(name, text, part)
        return function(text, part)

    return on_texts


def matches(text: str, pattern: str) -> bool:
    """A part of `text` matches the RE2 pattern."""
    search = _pattern(pattern)
    return search(text) is not None


@functools.lru_cache(maxsize=256)
def _pattern(pattern: str) -> Callable[[str], Any]:
    import re2

    options = re2.Options()
    options.log_errors = False  # the C++ library would write to standard error by itself
    try:
        compiled = re2.compile(pattern, options=options)
    except re2.error as error:
        (reason,) = error.args or ("not a pattern",)
        reason = reason.decode("utf-8", "replace") if isinstance(reason, bytes) else reason
        raise CelError(f"matches: {quote(pattern)} is not a pattern: {reason}") from None
    search: Callable[[str], Any] = compiled.search
    return search


# --- time -----------------------------------------------------------------------------------------------

_RFC_3339 = r"(?a)\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(?:\.\d+)?(?:[Zz]|[+-]\d\d:\d\d)\Z"
_DURATION = r"(?a)[-+]?(?:0|(?:(?:\d+\.?\d*|\.\d+)(?:ns|us|µs|μs|ms|s|m|h))+)\Z"
_DURATION_PART = r"(?a)(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)"
_NANOSECONDS = {
    "ns": 1, "us": 1_000, "µs": 1_000, "μs": 1_000, "ms": 1_000_000,
    "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9,
}  # fmt: skip
_OFFSET = r"(?a)([+-]?)(\d\d?):(\d\d)\Z"
_EPOCH = datetime.datetime.fromtimestamp(0, datetime.UTC)


def to_timestamp(value: Value) -> datetime.datetime:
    """`timestamp(value)`: RFC 3339 text, or seconds since 1970; microseconds are kept."""
    if isinstance(value, datetime.datetime):
        return value
    try:
        if type(value) is int:
            return _EPOCH + datetime.timedelta(seconds=value)
        if isinstance(value, str):
            if not re.match(_RFC_3339, value):
                raise CelError(f"timestamp: can't read {value[:40]!r}")
            return datetime.datetime.fromisoformat(value.upper()).astimezone(datetime.UTC)
    except (OverflowError, ValueError) as error:
        raise CelError(f"range error: {error}") from None
    raise no_overload("timestamp", value)


def to_duration(value: Value) -> datetime.timedelta:
    """`duration(value)`: text such as `1h30m`; microseconds are kept."""
    if isinstance(value, datetime.timedelta):
        return value
    if not isinstance(value, str):
        raise no_overload("duration", value)
    if len(value) > 100 or not re.match(_DURATION, value):
        raise CelError(f"duration: can't read {value[:40]!r}")
    from fractions import Fraction

    parts = re.findall(_DURATION_PART, value)
    total = sum((Fraction(number) * _NANOSECONDS[unit] for number, unit in parts), Fraction(0))
    microseconds = int(total / 1000) * (-1 if value[0] == "-" else 1)
    try:
        return _checked_duration(datetime.timedelta(microseconds=microseconds))
    except OverflowError:
        raise CelError("range error: the duration is too long") from None


def _zone(name: str) -> datetime.tzinfo:
    found = re.match(_OFFSET, name)
    if found:
        offset = datetime.timedelta(hours=int(found[2]), minutes=int(found[3]))
        return datetime.timezone(-offset if found[1] == "-" else offset)
    if not name:  # Go's and C++'s word for UTC
        return datetime.UTC
    from zoneinfo import ZoneInfo

    try:
        return ZoneInfo(name)
    except (ValueError, OSError, LookupError):
        raise CelError(f"unknown time zone {quote(name)}") from None


def _getter(
    name: str,
    of_moment: Callable[[datetime.datetime], int],
    of_duration: Callable[[int], int] | None = None,
) -> Callable[..., int]:
    """A part of a timestamp in UTC or a zone; of a duration by its microseconds."""

    def get(value: Value, *zones: Value) -> int:
        if isinstance(value, datetime.timedelta) and of_duration is not None and not zones:
            microseconds = value // datetime.timedelta(microseconds=1)
            whole = of_duration(abs(microseconds))
            return -whole if microseconds < 0 else whole
        zone = zones[0] if zones else "UTC"
        if not isinstance(value, datetime.datetime) or not isinstance(zone, str):
            raise no_overload(name, value, *zones)
        try:
            return of_moment(value.astimezone(_zone(zone)))
        except (OverflowError, ValueError) as error:
            raise CelError(f"range error: {error}") from None

    return get


_LIBRARY: dict[str, Callable[..., Value]] = {
    "_+_": add,
    "_-_": subtract,
    "_*_": multiply,
    "_/_": divide,
    "_%_": modulo,
    "-_": negate,
    "_<_": less,
    "_<=_": less_or_equal,
    "_>_": greater,
    "_>=_": greater_or_equal,
    "_==_": equal,
    "_!=_": unequal,
    "_in_": is_in,
    "_[_]": index,
    "size": size,
    "int": to_int,
    "uint": to_uint,
    "double": to_double,
    "string": extensions.to_string,
    "bool": to_bool,
    "bytes": to_bytes,
    "timestamp": to_timestamp,
    "duration": to_duration,
    "contains": _on_texts("contains", lambda text, part: part in text),
    "startsWith": _on_texts("startsWith", str.startswith),
    "endsWith": _on_texts("endsWith", str.endswith),
    "matches": _on_texts("matches", matches),
    "type": type_of,
    "dyn": lambda value: value,
    "getFullYear": _getter("getFullYear", lambda moment: moment.year),
    "getMonth": _getter("getMonth", lambda moment: moment.month - 1),
    "getDate": _getter("getDate", lambda moment: moment.day),
    "getDayOfMonth": _getter("getDayOfMonth", lambda moment: moment.day - 1),
    "getDayOfWeek": _getter("getDayOfWeek", lambda moment: moment.isoweekday() % 7),
    "getDayOfYear": _getter("getDayOfYear", lambda moment: moment.timetuple().tm_yday - 1),
    "getHours": _getter("getHours", lambda moment: moment.hour, lambda us: us // 3_600_000_000),
    "getMinutes": _getter("getMinutes", lambda moment: moment.minute, lambda us: us // 60_000_000),
    "getSeconds": _getter("getSeconds", lambda moment: moment.second, lambda us: us // 1_000_000),
    "getMilliseconds": _getter(
        "getMilliseconds",
        lambda moment: moment.microsecond // 1000,
        lambda us: us // 1000 % 1000,
    ),
}


def implementation(function: str, signature: str | None = None) -> Callable[..., Value]:
    """The function of the table by its name; `signature` is the overload, where there is just one."""
    return _LIBRARY.get(function) or extensions.implementation(function, signature)
