"""cel-python's operators and functions, mended where they are not CEL's.

What is mended, each against cel-python 0.5: numbers of two types mix in one direction (`5 / 2.0` is 2) and
comparisons across types raise; doubles decay to Python floats, and lists to Python lists, after `+`;
`-1.0 / 0.0` is +inf and `0.0 / 0.0` too; `true == 1`; `[1] == ['a']` raises; `[1, 2][-1]` is 2;
conversions take what Python's constructors take. Everything here works on cel-python's own types and returns
errors as values, as its evaluator expects.
"""

from __future__ import annotations

import datetime
import math
import operator
from collections.abc import Callable
from typing import Any

from celpy import celtypes
from celpy.evaluation import CELEvalError, base_functions

from engine.cel import extensions, standard
from engine.cel.values import CelError, TypeValue, Uint, Value, aligned, equal, is_number, mapping, type_name

Native = Any
Function = Callable[..., Native]


def to_celpy(value: Value) -> Native:
    """A plain value as cel-python's type; values that are cel-python's already are kept."""
    if value is None or type(value) in _CELPY_TYPES:
        return value
    if isinstance(value, bool):
        return celtypes.BoolType(value)
    if isinstance(value, Uint):
        return celtypes.UintType(int(value))
    if isinstance(value, int):
        return celtypes.IntType(value)
    if isinstance(value, float):
        return celtypes.DoubleType(value)
    if isinstance(value, str):
        return celtypes.StringType(value)
    if isinstance(value, bytes):
        return celtypes.BytesType(value)
    if isinstance(value, list):
        return celtypes.ListType(map(to_celpy, value))
    if isinstance(value, dict):
        return celtypes.MapType({map_key(to_celpy(key)): to_celpy(element) for key, element in value.items()})
    if isinstance(value, datetime.datetime):
        return celtypes.TimestampType(value)
    if isinstance(value, datetime.timedelta):
        return celtypes.DurationType(value)
    return value  # a TypeValue


_CELPY_TYPES = {
    celtypes.BoolType,
    celtypes.IntType,
    celtypes.UintType,
    celtypes.DoubleType,
    celtypes.StringType,
    celtypes.BytesType,
    celtypes.ListType,
    celtypes.MapType,
    celtypes.TimestampType,
    celtypes.DurationType,
}


def from_celpy(value: Native) -> Value:
    """cel-python's value as plain Python."""
    decode = _DECODERS.get(type(value))
    return decode(value) if decode else value


_EPOCH = datetime.datetime.fromtimestamp(0, datetime.UTC)

_DECODERS: dict[type, Callable[[Any], Value]] = {
    celtypes.BoolType: bool,
    celtypes.IntType: int,
    celtypes.UintType: Uint,
    celtypes.DoubleType: float,
    celtypes.StringType: str,
    celtypes.BytesType: bytes,
    celtypes.ListType: lambda value: [from_celpy(element) for element in value],
    celtypes.MapType: lambda value: mapping(
        (from_celpy(key_value(key)), from_celpy(element)) for key, element in value.items()
    ),
    celtypes.TimestampType: lambda value: _EPOCH + (value - _EPOCH),
    celtypes.DurationType: lambda value: datetime.timedelta(value.days, value.seconds, value.microseconds),
}


def returning_errors(function: Function) -> Function:
    """`function` with errors as values: one that comes in goes out, one that is raised is returned."""

    def guarded(*arguments: Native) -> Native:
        for argument in arguments:
            if isinstance(argument, CELEvalError):
                return argument
        try:
            return function(*arguments)
        except CelError as error:
            return CELEvalError(error.message)
        except ZeroDivisionError:
            return CELEvalError("divide by zero")
        except OverflowError as error:
            return CELEvalError(f"range error: {error}")
        except ValueError as error:
            return CELEvalError(_value_error(error))
        except TypeError:
            return CELEvalError(f"no such overload: ({', '.join(map(_celpy_type_name, arguments))})")

    return guarded


def _value_error(error: ValueError) -> str:
    return "integer overflow" if "overflow" in str(error) else str(error)


def _celpy_type_name(value: Native) -> str:
    return type_name(from_celpy(value))


_ARITHMETIC_TYPES = {celtypes.IntType, celtypes.UintType, celtypes.DoubleType}
_TIMES = {celtypes.TimestampType, celtypes.DurationType}
_JOINED = {celtypes.StringType, celtypes.BytesType, celtypes.ListType}


def _arithmetic(function: Callable[[Any, Any], Any], *others: type) -> Function:
    def arithmetic(first: Native, second: Native) -> Native:
        kind = type(first)
        if kind in _TIMES and type(second) in _TIMES and function in (operator.add, operator.sub):
            return to_celpy(function(first, second))
        if kind is not type(second) or (kind not in _ARITHMETIC_TYPES and kind not in others):
            raise TypeError
        result = function(first, second)
        return result if type(result) is kind else kind(result)

    return returning_errors(arithmetic)


def _divide(first: Any, second: Any) -> Any:
    """cel-python's own division of ints; IEEE 754's of doubles."""
    if not isinstance(first, celtypes.DoubleType) or second != celtypes.DoubleType(0.0):
        return operator.truediv(first, second)
    if math.isnan(first) or first == celtypes.DoubleType(0.0):
        return math.nan
    return math.copysign(math.inf, first) * math.copysign(1.0, second)


def _modulo(first: Any, second: Any) -> Any:
    if isinstance(first, celtypes.DoubleType):
        raise TypeError
    if isinstance(first, celtypes.IntType) and second == -1:
        operator.neg(first)  # CEL's remainder is an error where its quotient is
    return operator.mod(first, second)


def _negative(value: Native) -> Native:
    if type(value) not in (celtypes.IntType, celtypes.DoubleType):
        raise TypeError
    return operator.neg(value)


def _comparison(function: Callable[[Any, Any], bool]) -> Function:
    def compare(first: Native, second: Native) -> Native:
        if type(first) is type(second):
            if type(first) in (celtypes.ListType, celtypes.MapType, type(None), TypeValue):
                raise TypeError
            return celtypes.BoolType(function(from_celpy(first), from_celpy(second)))
        first, second = from_celpy(first), from_celpy(second)
        if not (is_number(first) and is_number(second)):
            raise TypeError
        return celtypes.BoolType(function(*aligned(first, second)))

    return returning_errors(compare)


def _equal(first: Native, second: Native) -> bool:
    return equal(from_celpy(first), from_celpy(second))


def _in(item: Native, container: Native) -> Native:
    if isinstance(container, celtypes.MapType):
        return celtypes.BoolType(_lookup(container, item)[0])
    if not isinstance(container, celtypes.ListType):
        raise TypeError
    return celtypes.BoolType(any(_equal(item, element) for element in container))


class _IntKey(celtypes.IntType):
    """An int as a map's key: equal to any number of its value. cel-python's own equality raises."""

    def __eq__(self, other: object) -> bool:
        return is_number(other) and not isinstance(other, celtypes.BoolType) and int(self) == other

    __hash__ = int.__hash__


class _UintKey(celtypes.UintType):
    """A uint as a map's key."""

    __eq__ = _IntKey.__eq__
    __hash__ = int.__hash__


class _BoolKey(celtypes.BoolType):
    """A bool as a map's key."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, celtypes.BoolType) and bool(self) is bool(other)

    __hash__ = int.__hash__


_KEYS: dict[type, type] = {
    celtypes.IntType: _IntKey,
    celtypes.UintType: _UintKey,
    celtypes.BoolType: _BoolKey,
    celtypes.StringType: celtypes.StringType,
    str: celtypes.StringType,
}
_KEY_VALUES: dict[type, type] = {
    _IntKey: celtypes.IntType,
    _UintKey: celtypes.UintType,
    _BoolKey: celtypes.BoolType,
}


def map_key(value: Native) -> Native:
    """A value as a map's key.

    Raises:
        CelError: CEL has no keys of its type.
    """
    if isinstance(value, celtypes.DoubleType) and value.is_integer():
        value = celtypes.IntType(int(value))
    key = _KEYS.get(type(value))
    if key is None:
        raise CelError(f"a map's key can't be a {_celpy_type_name(value)}")
    make: Callable[[Any], Native] = key
    return make(int(value)) if issubclass(key, int) else make(value)


def key_value(key: Native) -> Native:
    """A map's key as a value of its own."""
    kind = _KEY_VALUES.get(type(key))
    return key if kind is None else kind(int(key))


def _lookup(container: Native, key: Native) -> tuple[bool, Native]:
    if isinstance(key, celtypes.DoubleType) and not key.is_integer():
        return False, None
    name = map_key(key)
    found = dict.__contains__(container, name)
    return found, dict.__getitem__(container, name) if found else None


def index(container: Native, key: Native) -> Native:
    """`container[key]` of a list or a map."""
    if isinstance(container, celtypes.ListType):
        plain = from_celpy(key)
        if isinstance(plain, float) and plain.is_integer():
            plain = int(plain)
        if not isinstance(plain, int) or isinstance(plain, bool):
            raise TypeError
        if not 0 <= plain < len(container):
            raise CelError(f"index {plain} out of range of a list of {len(container)}")
        return container[plain]
    if not isinstance(container, celtypes.MapType):
        raise TypeError
    found, value = _lookup(container, key)
    if not found:
        raise CelError(f"no such key: {from_celpy(key)!r}")
    return value


def _size(value: Native) -> Native:
    if type(value) not in (celtypes.StringType, celtypes.BytesType, celtypes.ListType, celtypes.MapType):
        raise TypeError
    return celtypes.IntType(len(value))


def _to_bytes(value: Native) -> Native:
    if type(value) not in (celtypes.StringType, celtypes.BytesType):
        raise TypeError
    return celtypes.BytesType(value)


def _to_timestamp(value: Native) -> Native:
    if type(value) is celtypes.IntType:
        return celtypes.TimestampType(_EPOCH + datetime.timedelta(seconds=int(value)))
    if type(value) is celtypes.StringType:
        # The library reads more than RFC 3339: a year alone, for one.
        return celtypes.TimestampType(standard.to_timestamp(str(value)))
    if type(value) is not celtypes.TimestampType:
        raise TypeError
    return celtypes.TimestampType(value)


def _to_duration(value: Native) -> Native:
    if type(value) is celtypes.StringType:
        return celtypes.DurationType(standard.to_duration(str(value)))
    if type(value) is not celtypes.DurationType:
        raise TypeError
    return celtypes.DurationType(value)


def _type(value: Native) -> Native:
    return TypeValue(type_name(from_celpy(value)))


def _extension(implementation: extensions.Implementation) -> Function:
    """A function of the library on cel-python's values."""
    return returning_errors(
        lambda *arguments: to_celpy(implementation(*(from_celpy(argument) for argument in arguments)))
    )


def _moving(implementation: extensions.Implementation) -> Function:
    """A library function that only moves a list's elements: they are not decoded, they may be many."""
    return returning_errors(
        lambda first, *rest: (
            celtypes.ListType(implementation(first, *(from_celpy(value) for value in rest)))
            if type(first) is celtypes.ListType
            else to_celpy(implementation(from_celpy(first), *(from_celpy(value) for value in rest)))
        )
    )


_MOVING = {"reverse", "slice", "flatten", "@sortByAssociatedKeys"}


def extension(function: str, signature: str | None) -> Function:
    """The library's function as cel-python calls it; `signature` is the overload, where there is just one."""
    implementation = extensions.implementation(function, signature)
    return _moving(implementation) if function in _MOVING else _extension(implementation)


OPERATORS: dict[str, Function] = {
    "_+_": _arithmetic(operator.add, *_JOINED),
    "_-_": _arithmetic(operator.sub),
    "_*_": _arithmetic(operator.mul),
    "_/_": _arithmetic(_divide),
    "_%_": _arithmetic(_modulo),
    "-_": returning_errors(_negative),
    "_<_": _comparison(operator.lt),
    "_<=_": _comparison(operator.le),
    "_>_": _comparison(operator.gt),
    "_>=_": _comparison(operator.ge),
    "_==_": returning_errors(lambda first, second: celtypes.BoolType(_equal(first, second))),
    "_!=_": returning_errors(lambda first, second: celtypes.BoolType(not _equal(first, second))),
    "_in_": returning_errors(_in),
    "_[_]": returning_errors(index),
    "size": returning_errors(_size),
    "int": _extension(standard.to_int),
    "uint": _extension(standard.to_uint),
    "double": _extension(standard.to_double),
    "string": _extension(extensions.to_string),
    "bool": _extension(standard.to_bool),
    "bytes": returning_errors(_to_bytes),
    "timestamp": returning_errors(_to_timestamp),
    "duration": returning_errors(_to_duration),
    "contains": _extension(standard.implementation("contains")),
    "startsWith": _extension(standard.implementation("startsWith")),
    "endsWith": _extension(standard.implementation("endsWith")),
    "matches": _extension(standard.implementation("matches")),
    "type": returning_errors(_type),
    "dyn": returning_errors(lambda value: value),
    **{name: _extension(standard.implementation(name)) for name in base_functions if name.startswith("get")},
}
"""What replaces or adds to cel-python's own functions, by their names there."""
