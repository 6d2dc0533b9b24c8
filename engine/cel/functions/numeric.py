"""cel-go's math extension: `math.ceil`, `math.greatest` and others."""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Callable

from engine.cel.costs import COMPARING
from engine.cel.library import Library
from engine.cel.literals import INT_MAX
from engine.cel.values import (
    CelError,
    Uint,
    Value,
    aligned,
    checked_int,
    is_number,
    no_overload,
    require_type,
)

LIBRARY = Library(__name__, "Mathematics", source="cel-go math extension", namespace="math")

_NUMBERS = ("int", "uint", "double")


def _extreme(word: str, description: str, example: str, precedes: Callable[[Value, Value], bool]) -> None:
    name = f"math.{word}"

    @LIBRARY.function(
        name,
        f"{name}(T) -> T",
        *(f"{name}({a}, {b}) -> {a if a == b else 'dyn'}" for a in _NUMBERS for b in _NUMBERS),
        f"{name}(list(T)) -> T",
        types="int uint double",
        description=description,
        example=example,
        cost=COMPARING,
        operations=12,
        variadic=True,
    )
    def extreme(*arguments: Value) -> Value:
        values = arguments[0] if len(arguments) == 1 and isinstance(arguments[0], list) else list(arguments)
        if not values:
            raise CelError(f"{name} of an empty list")
        for value in values:
            if not is_number(value):
                raise no_overload(name, value)
        return functools.reduce(lambda best, value: value if precedes(value, best) else best, values)


_extreme(
    "greatest",
    "The greatest of the arguments, or of a list.",
    "math.greatest(1, 3, 2) == 3",
    lambda value, best: bool(operator.gt(*aligned(value, best))),
)
_extreme(
    "least",
    "The least of the arguments, or of a list.",
    "math.least([2, 1]) == 1",
    lambda value, best: bool(operator.lt(*aligned(value, best))),
)


def _on_double(
    word: str, result: str, description: str, example: str, function: Callable[[float], Value]
) -> None:
    name = f"math.{word}"

    @LIBRARY.function(name, f"{name}(double) -> {result}", description=description, example=example)
    def on_double(value: Value) -> Value:
        require_type(name, value, float)
        return function(value)


def _rounding(word: str, description: str, example: str, function: Callable[[float], float]) -> None:
    """Add a rounding that leaves NaN, infinities and the sign of zero as they are."""
    _on_double(
        word,
        "double",
        description,
        example,
        lambda value: math.copysign(float(function(value)), value) if math.isfinite(value) else value,
    )


def _round_half_away(value: float) -> float:
    whole = math.trunc(value)
    return whole + math.copysign(1, value) if abs(value - whole) >= 0.5 else whole


_rounding("ceil", "Round up.", "math.ceil(1.2) == 2.0", math.ceil)
_rounding("floor", "Round down.", "math.floor(1.8) == 1.0", math.floor)
_rounding("round", "Round to nearest, ties away from zero.", "math.round(1.5) == 2.0", _round_half_away)
_rounding("trunc", "Round toward zero.", "math.trunc(-1.8) == -1.0", math.trunc)


@LIBRARY.function(
    "math.abs",
    "math.abs(T) -> T",
    types="int uint double",
    description="Absolute value.",
    example="math.abs(-1) == 1",
)
def absolute(value: Value) -> Value:
    """Return `math.abs(value)`."""
    if isinstance(value, Uint):
        return value
    require_type("math.abs", value, int, float)
    return abs(value) if isinstance(value, float) else checked_int(abs(value))


@LIBRARY.function(
    "math.sign",
    "math.sign(T) -> T",
    types="int uint double",
    description="The sign: -1, 0 or 1.",
    example="math.sign(-2.5) == -1.0",
)
def sign(value: Value) -> Value:
    """Return `math.sign(value)`."""
    require_type("math.sign", value, int, float)
    if isinstance(value, Uint):
        return Uint(value > 0)
    if isinstance(value, float):
        return value if value == 0 or math.isnan(value) else math.copysign(1.0, value)
    return (value > 0) - (value < 0)


@LIBRARY.function(
    "math.sqrt",
    "math.sqrt(T) -> double",
    types="int uint double",
    description="Square root.",
    example="math.sqrt(9) == 3.0",
)
def square_root(value: Value) -> Value:
    """Return `math.sqrt(value)`; NaN for a negative number."""
    require_type("math.sqrt", value, int, float)
    return math.sqrt(value) if value >= 0 else math.nan


_on_double("isNaN", "bool", "True for NaN.", "!math.isNaN(1.0)", math.isnan)
_on_double("isInf", "bool", "True for an infinity.", "math.isInf(1.0 / 0.0)", math.isinf)
_on_double("isFinite", "bool", "True for neither infinity nor NaN.", "math.isFinite(1.0)", math.isfinite)


def _bitwise(word: str, description: str, example: str, function: Callable[[int, int], int]) -> None:
    name = f"math.{word}"

    @LIBRARY.function(name, f"{name}(T, T) -> T", types="int uint", description=description, example=example)
    def bitwise(first: Value, second: Value) -> Value:
        require_type(name, first, int)
        require_type(name, second, int)
        if isinstance(first, Uint) is not isinstance(second, Uint):
            raise no_overload(name, first, second)
        result = function(first, second)
        return Uint(result) if isinstance(first, Uint) else result


_bitwise("bitAnd", "Bits set in both.", "math.bitAnd(3, 5) == 1", operator.and_)
_bitwise("bitOr", "Bits set in one or both.", "math.bitOr(3, 5) == 7", operator.or_)
_bitwise("bitXor", "Bits set in exactly one.", "math.bitXor(3, 5) == 6", operator.xor)


@LIBRARY.function(
    "math.bitNot",
    "math.bitNot(T) -> T",
    types="int uint",
    description="All bits flipped.",
    example="math.bitNot(0) == -1",
)
def bit_not(value: Value) -> Value:
    """Return `math.bitNot(value)`."""
    require_type("math.bitNot", value, int)
    return Uint(~value & 0xFFFF_FFFF_FFFF_FFFF) if isinstance(value, Uint) else ~value


def _shift(word: str, description: str, example: str, function: Callable[[int, int], int]) -> None:
    """Add a shift of the 64-bit pattern; the pattern of an int is its two's complement."""
    name = f"math.{word}"

    @LIBRARY.function(
        name, f"{name}(T, int) -> T", types="int uint", description=description, example=example
    )
    def shift(value: Value, count: Value) -> Value:
        require_type(name, value, int)
        require_type(name, count, int)
        if count < 0:
            raise CelError(f"{name}: a negative count of bits: {count}")
        pattern = function(value & 0xFFFF_FFFF_FFFF_FFFF, min(count, 64)) & 0xFFFF_FFFF_FFFF_FFFF
        if isinstance(value, Uint):
            return Uint(pattern)
        return pattern - 2**64 if pattern > INT_MAX else pattern


_shift(
    "bitShiftLeft",
    "Shift left; by 64 or more gives 0, a negative count is an error.",
    "math.bitShiftLeft(1, 4) == 16",
    operator.lshift,
)
_shift(
    "bitShiftRight",
    "Shift right, filling with zeros; a negative count is an error.",
    "math.bitShiftRight(16, 4) == 1",
    operator.rshift,
)
