"""cel-python's operators and functions, corrected where they depart from CEL.

Corrections against cel-python 0.5: numbers of two types mix in one direction (`5 / 2.0` is 2) and
comparisons across types raise; doubles decay to Python floats, and lists to Python lists, after `+`;
`-1.0 / 0.0` is +inf and `0.0 / 0.0` too; `true == 1`; `[1] == ['a']` raises; `[1, 2][-1]` is 2;
conversions take what Python's constructors take; timestamps and durations end at microseconds, so the
engine's own are used. Everything here works on cel-python's own types and returns
errors as values, as its evaluator expects.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from celpy import celtypes
from celpy.evaluation import CELEvalError, base_functions

from engine.base.errors import quote
from engine.cel.costs import EQUAL, MADE, Spend, read_text
from engine.cel.declarations import definition
from engine.cel.functions.dates import to_duration, to_timestamp
from engine.cel.library import Implementation
from engine.cel.limits import LONGEST_VALUE
from engine.cel.runtimes.protocol import Native
from engine.cel.times import Duration, TimeRangeError, Timestamp
from engine.cel.values import (
    CelError,
    OptionalValue,
    TypeValue,
    Uint,
    Value,
    aligned,
    equal,
    is_number,
    mapping,
    too_long,
    type_name,
)

Function = Callable[..., Native]


_SPEND: ContextVar[Spend] = ContextVar("spend")
"""The `spend` of the current evaluation: cel-python passes functions nothing but values."""

_DECODE = 20
"""Steps for an element that is converted to plain Python and back."""


@contextmanager
def spending(spend: Spend) -> Iterator[None]:
    """Let functions charge by `spend` in a block."""
    token = _SPEND.set(spend)
    try:
        yield
    finally:
        _SPEND.reset(token)


def to_celpy(value: Value) -> Native:
    """Convert a plain value to cel-python's type; cel-python's own values are kept."""
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
    if isinstance(value, OptionalValue):
        return OptionalValue(value.present, to_celpy(value.value))
    return value  # a timestamp, a duration or a TypeValue


_CELPY_TYPES = {
    celtypes.BoolType,
    celtypes.IntType,
    celtypes.UintType,
    celtypes.DoubleType,
    celtypes.StringType,
    celtypes.BytesType,
    celtypes.ListType,
    celtypes.MapType,
}


def from_celpy(value: Native) -> Value:
    """Convert cel-python's value to plain Python."""
    decode = _DECODERS.get(type(value))
    return decode(value) if decode else value


def decoded(value: Native) -> Value:
    """Like `from_celpy`, but charge for it: lists may share their elements many times."""
    if isinstance(value, celtypes.ListType):
        _SPEND.get()(value, _DECODE)
        return [decoded(element) for element in value]
    if isinstance(value, celtypes.MapType):
        _SPEND.get()(value, _DECODE)
        return mapping((from_celpy(key_value(key)), decoded(element)) for key, element in value.items())
    if isinstance(value, OptionalValue):
        return OptionalValue(value.present, decoded(value.value))
    return from_celpy(value)


_DECODERS: dict[type, Callable[[Native], Value]] = {
    OptionalValue: lambda value: OptionalValue(value.present, from_celpy(value.value)),
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
}


def returning_errors(function: Function) -> Function:
    """Return `function` with errors as values: it returns an error argument, and an error that it raises."""

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
        except TimeRangeError as error:
            return CELEvalError(str(error))
        except OverflowError as error:
            return CELEvalError(f"range error: {error}")
        except ValueError as error:
            return CELEvalError(_value_error(error))
        except TypeError:
            return CELEvalError(f"no such overload: ({', '.join(map(celpy_type_name, arguments))})")

    return guarded


def _value_error(error: ValueError) -> str:
    return "integer overflow" if "overflow" in str(error) else str(error)


def celpy_type_name(value: Native) -> str:
    if isinstance(value, celtypes.ListType):
        return "list"
    return "map" if isinstance(value, celtypes.MapType) else type_name(from_celpy(value))


_ARITHMETIC_TYPES = {celtypes.IntType, celtypes.UintType, celtypes.DoubleType}
_TIMES = {Timestamp, Duration}
_JOINED = {celtypes.StringType, celtypes.BytesType, celtypes.ListType}


def _arithmetic(function: Callable[[Native, Native], Native], *others: type) -> Function:
    def arithmetic(first: Native, second: Native) -> Native:
        kind = type(first)
        if kind in _TIMES and type(second) in _TIMES and function in (operator.add, operator.sub):
            return function(first, second)
        if kind is not type(second) or (kind not in _ARITHMETIC_TYPES and kind not in others):
            raise TypeError
        if kind in _JOINED:
            _SPEND.get()(steps=(len(first) + len(second)) // (1 if kind is celtypes.ListType else MADE))
            if len(first) + len(second) > LONGEST_VALUE:
                raise too_long(from_celpy(first[:0]))
        result = function(first, second)
        return result if type(result) is kind else kind(result)

    return returning_errors(arithmetic)


def _divide(first: Native, second: Native) -> Native:
    """Divide ints as cel-python does, doubles by IEEE 754."""
    if not isinstance(first, celtypes.DoubleType) or second != celtypes.DoubleType(0.0):
        return operator.truediv(first, second)
    if math.isnan(first) or first == celtypes.DoubleType(0.0):
        return math.nan
    return math.copysign(math.inf, first) * math.copysign(1.0, second)


def _modulo(first: Native, second: Native) -> Native:
    if isinstance(first, celtypes.DoubleType):
        raise TypeError
    if isinstance(first, celtypes.IntType) and second == -1:
        operator.neg(first)  # CEL's remainder is an error where its quotient is
    return operator.mod(first, second)


def _negative(value: Native) -> Native:
    if type(value) not in (celtypes.IntType, celtypes.DoubleType):
        raise TypeError
    return operator.neg(value)


def _comparison(function: Callable[[Value, Value], bool]) -> Function:
    def compare(first: Native, second: Native) -> Native:
        if type(first) is type(second):
            if type(first) in (celtypes.ListType, celtypes.MapType, type(None), TypeValue):
                raise TypeError
            if isinstance(first, (str, bytes)):
                read_text(_SPEND.get(), first)
            return celtypes.BoolType(function(from_celpy(first), from_celpy(second)))
        first, second = from_celpy(first), from_celpy(second)
        if not (is_number(first) and is_number(second)):
            raise TypeError
        return celtypes.BoolType(function(*aligned(first, second)))

    return returning_errors(compare)


def _equal(first: Native, second: Native) -> bool:
    return equal(decoded(first), decoded(second), _SPEND.get())


def _in(item: Native, container: Native) -> Native:
    if isinstance(container, celtypes.MapType):
        return celtypes.BoolType(_lookup(container, item)[0])
    if not isinstance(container, celtypes.ListType):
        raise TypeError
    _SPEND.get()(container, _DECODE + EQUAL)
    plain, spend = decoded(item), _SPEND.get()
    return celtypes.BoolType(any(equal(plain, decoded(element), spend) for element in container))


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
    """Return a value as a map's key.

    Raises:
        CelError: CEL has no keys of its type.
    """
    if isinstance(value, celtypes.DoubleType) and value.is_integer():
        value = celtypes.IntType(int(value))
    key = _KEYS.get(type(value))
    if key is None:
        raise CelError(f"map keys cannot be of type {celpy_type_name(value)}")
    make: Callable[[Native], Native] = key
    return make(int(value)) if issubclass(key, int) else make(value)


def key_value(key: Native) -> Native:
    """Return a map's key as a value."""
    kind = _KEY_VALUES.get(type(key))
    return key if kind is None else kind(int(key))


def _lookup(container: Native, key: Native) -> tuple[bool, Native]:
    if isinstance(key, celtypes.DoubleType) and not key.is_integer():
        return False, None
    name = map_key(key)
    found = dict.__contains__(container, name)
    return found, dict.__getitem__(container, name) if found else None


def index(container: Native, key: Native) -> Native:
    """Return `container[key]` of a list or a map; of an optional one, an optional."""
    if isinstance(container, OptionalValue):
        return index_optional(container, key)
    if isinstance(container, celtypes.ListType):
        plain = None if isinstance(key, (list, dict)) else from_celpy(key)
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
        raise CelError(f"no such key: {quote(from_celpy(key))}")
    return value


def index_optional(container: Native, key: Native) -> OptionalValue:
    """Return `container[?key]`."""
    if isinstance(container, OptionalValue):
        if not container.present:
            return container
        container = container.value
    if isinstance(container, celtypes.MapType):
        return OptionalValue(*_lookup(container, key))
    try:
        return OptionalValue(True, index(container, key))
    except CelError:
        return OptionalValue()


def _size(value: Native) -> Native:
    if type(value) not in (celtypes.StringType, celtypes.BytesType, celtypes.ListType, celtypes.MapType):
        raise TypeError
    return celtypes.IntType(len(value))


def _to_bytes(value: Native) -> Native:
    if type(value) not in (celtypes.StringType, celtypes.BytesType):
        raise TypeError
    read_text(_SPEND.get(), value)
    return celtypes.BytesType(value)


def _to_timestamp(value: Native) -> Native:
    if type(value) not in (celtypes.IntType, celtypes.StringType, Timestamp):
        raise TypeError
    return to_timestamp(from_celpy(value))


def _to_duration(value: Native) -> Native:
    if type(value) not in (celtypes.StringType, Duration):
        raise TypeError
    return to_duration(from_celpy(value))


def _type(value: Native) -> Native:
    return TypeValue(celpy_type_name(value))


def _library(function: str, signature: str | None = None) -> Implementation:
    """Return the library's function; it charges the current evaluation."""
    defined = definition(function)
    implementation = defined.linked(signature)
    if not defined.takes_spend:
        return implementation
    return lambda *arguments: implementation(_SPEND.get(), *arguments)


def _extension(implementation: Implementation) -> Function:
    """Return a function of the library for cel-python's values."""
    return returning_errors(
        lambda *arguments: _encoded(implementation(*(decoded(argument) for argument in arguments)))
    )


def _encoded(value: Value) -> Native:
    if isinstance(value, list):
        _SPEND.get()(value, _DECODE)
    return to_celpy(value)


def _moving(implementation: Implementation) -> Function:
    """Return a library function that only moves a list's elements, which are not converted."""
    return returning_errors(
        lambda first, *rest: (
            celtypes.ListType(implementation(first, *(decoded(value) for value in rest)))
            if type(first) is celtypes.ListType
            else to_celpy(implementation(from_celpy(first), *(decoded(value) for value in rest)))
        )
    )


_MOVING = {"reverse", "slice", "flatten", "@sortByAssociatedKeys"}


def extension(function: str, signature: str | None) -> Function:
    """Return the library's function for cel-python; `signature` is the overload, if there is just one."""
    implementation = _library(function, signature)
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
    "_[?_]": returning_errors(index_optional),
    "size": returning_errors(_size),
    **{name: _extension(_library(name)) for name in ("int", "uint", "double", "string", "bool")},
    "bytes": returning_errors(_to_bytes),
    "timestamp": returning_errors(_to_timestamp),
    "duration": returning_errors(_to_duration),
    **{name: _extension(_library(name)) for name in ("contains", "startsWith", "endsWith", "matches")},
    "type": returning_errors(_type),
    "dyn": returning_errors(lambda value: value),
    **{name: _extension(_library(name)) for name in base_functions if name.startswith("get")},
}
"""Replacements of and additions to cel-python's functions, by name."""
