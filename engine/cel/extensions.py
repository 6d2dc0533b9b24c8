"""What the offered functions beyond CEL's standard library do, over plain Python values.

Each function raises CelError where CEL ends in an error. Runtimes without a function of their own use these.
Typing is the checker's business: what a signature refuses only comes here through `dyn`.
"""

from __future__ import annotations

import datetime
import functools
import math
import operator
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any

from engine.cel.deal import deal
from engine.cel.limits import LONGEST_VALUE
from engine.cel.literals import INT_MAX, INT_MIN
from engine.cel.values import (
    CelError,
    TypeValue,
    Uint,
    Value,
    aligned,
    checked_int,
    checked_uint,
    equal,
    format_double,
    format_duration,
    format_timestamp,
    is_number,
    type_name,
)

Implementation = Callable[..., Value]


def no_overload(name: str, *arguments: Value) -> CelError:
    """The error of a call whose arguments fit no overload, met only through `dyn`."""
    types = ", ".join(type_name(argument) for argument in arguments)
    return CelError(f"no such overload: {name}({types})")


def _want(name: str, value: Value, *kinds: type) -> None:
    if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
        raise no_overload(name, value)


# --- math -----------------------------------------------------------------------------------------------


def _extreme(name: str, wins: Callable[[Value, Value], bool]) -> Implementation:
    def extreme(*arguments: Value) -> Value:
        values = arguments[0] if len(arguments) == 1 and isinstance(arguments[0], list) else list(arguments)
        if not values:
            raise CelError(f"{name} of an empty list")
        for value in values:
            if not is_number(value):
                raise no_overload(name, value)
        return functools.reduce(lambda best, value: value if wins(value, best) else best, values)

    return extreme


def _on_double(name: str, function: Callable[[float], Value]) -> Implementation:
    def on_double(value: Value) -> Value:
        _want(name, value, float)
        return function(value)

    return on_double


def _rounding(name: str, function: Callable[[float], float]) -> Implementation:
    """Rounding that leaves NaN, infinities and the sign of zero as they are."""
    return _on_double(
        name, lambda value: math.copysign(float(function(value)), value) if math.isfinite(value) else value
    )


def _round_half_away(value: float) -> float:
    whole = math.trunc(value)
    return whole + math.copysign(1, value) if abs(value - whole) >= 0.5 else whole


def _abs(value: Value) -> Value:
    if isinstance(value, Uint):
        return value
    _want("math.abs", value, int, float)
    return abs(value) if isinstance(value, float) else checked_int(abs(value))


def _sign(value: Value) -> Value:
    _want("math.sign", value, int, float)
    if isinstance(value, Uint):
        return Uint(value > 0)
    if isinstance(value, float):
        return value if value == 0 or math.isnan(value) else math.copysign(1.0, value)
    return (value > 0) - (value < 0)


def _sqrt(value: Value) -> Value:
    _want("math.sqrt", value, int, float)
    return math.sqrt(value) if value >= 0 else math.nan


def _bitwise(name: str, function: Callable[[int, int], int]) -> Implementation:
    def bitwise(first: Value, second: Value) -> Value:
        _want(name, first, int)
        _want(name, second, int)
        if isinstance(first, Uint) is not isinstance(second, Uint):
            raise no_overload(name, first, second)
        result = function(first, second)
        return Uint(result) if isinstance(first, Uint) else result

    return bitwise


def _bit_not(value: Value) -> Value:
    _want("math.bitNot", value, int)
    return Uint(~value & 0xFFFF_FFFF_FFFF_FFFF) if isinstance(value, Uint) else ~value


def _shift(name: str, shift: Callable[[int, int], int]) -> Implementation:
    """Shifts of the 64-bit pattern; an int's pattern is its two's complement."""

    def shifted(value: Value, count: Value) -> Value:
        _want(name, value, int)
        _want(name, count, int)
        if count < 0:
            raise CelError(f"{name}: a negative count of bits: {count}")
        pattern = shift(value & 0xFFFF_FFFF_FFFF_FFFF, min(count, 64)) & 0xFFFF_FFFF_FFFF_FFFF
        if isinstance(value, Uint):
            return Uint(pattern)
        return pattern - 2**64 if pattern > INT_MAX else pattern

    return shifted


# --- strings --------------------------------------------------------------------------------------------


def _position(text: Sequence[Any], position: Value, *, end: bool = True) -> int:
    _want("a position", position, int)
    if not 0 <= position <= len(text) - (0 if end else 1):
        raise CelError(f"position {position} is outside of 0 to {len(text)}")
    return int(position)


def _char_at(text: str, position: Value) -> str:
    index = _position(text, position)
    return text[index : index + 1]


def _index_of(target: Value, wanted: Value, start: Value = 0) -> int:
    if isinstance(target, list):
        return next((i for i, element in enumerate(target) if equal(element, wanted)), -1)
    index = _position(target, start)
    return index if not wanted else target.find(wanted, index)


def _last_index_of(target: Value, wanted: Value, end: Value = None) -> int:
    if isinstance(target, list):
        return next((i for i in range(len(target) - 1, -1, -1) if equal(target[i], wanted)), -1)
    index = len(target) if end is None else _position(target, end)
    return index if not wanted else target.rfind(wanted, 0, index + len(wanted))


def _lower_ascii(text: str) -> str:
    return "".join(c.lower() if c.isascii() else c for c in text)


def _upper_ascii(text: str) -> str:
    return "".join(c.upper() if c.isascii() else c for c in text)


def _replace(text: str, old: str, new: str, count: Value = -1) -> str:
    return text.replace(old, new, count)


def _split(text: str, separator: str, count: Value = -1) -> list[str]:
    if count == 0:
        return []
    if not separator:
        pieces = list(text)
        keep = len(pieces) if count < 0 else count
        return pieces if keep >= len(pieces) else [*pieces[: keep - 1], "".join(pieces[keep - 1 :])]
    return text.split(separator, -1 if count < 0 else count - 1)


def _substring(text: str, start: Value, end: Value = None) -> str:
    first = _position(text, start)
    last = len(text) if end is None else _position(text, end)
    if first > last:
        raise CelError(f"substring from {first} to {last}")
    return text[first:last]


_WHITE_SPACE = (
    "\t\n\v\f\r \x85\xa0" + "\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))
)


def _trim(text: str) -> str:
    return text.strip(_WHITE_SPACE)


def _join(parts: list[Value], separator: str = "") -> str:
    for part in parts:
        _want("join", part, str)
    return separator.join(parts)


_QUOTED = {
    "\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v",
    "\\": "\\\\", '"': '\\"',
}  # fmt: skip


def _quote(text: str) -> str:
    return '"' + "".join(_QUOTED.get(c, c) for c in text) + '"'


def _reverse(target: Value) -> Value:
    return target[::-1]


# --- format ---------------------------------------------------------------------------------------------


def _format(template: str, arguments: list[Value]) -> str:
    """cel-go's `format`: clauses %s %d %f %e %b %o %x %X with a precision for f and e."""
    pieces: list[str] = []
    used = 0
    for piece in format_pieces(template):
        if isinstance(piece, str):
            pieces.append(piece)
            continue
        if used >= len(arguments):
            raise CelError(f"format: no argument for clause {used + 1}")
        pieces.append(format_clause(*piece, arguments[used]))
        used += 1
    return "".join(pieces)


def format_pieces(template: str) -> Iterator[str | tuple[str, int | None]]:
    """A template's texts, and its clauses as letter and precision.

    Raises:
        CelError: an unknown clause or a bad precision.
    """
    index = 0
    while index < len(template):
        start = template.find("%", index)
        if start != index:
            end = len(template) if start < 0 else start
            yield template[index:end]
            index = end
            continue
        index += 1
        if template[index : index + 1] == "%":
            yield "%"
            index += 1
            continue
        index, precision = _precision(template, index)
        clause = template[index : index + 1]
        if clause not in _CLAUSES or not clause:
            raise CelError(f"format: unrecognized clause %{clause}")
        yield clause, precision
        index += 1


def format_clause(letter: str, precision: int | None, value: Value) -> str:
    """A value as one clause writes it."""
    return _CLAUSES[letter](value, precision)


def format_fixed(template: str, value: float) -> str:
    """A double by Python's `%.1f` or its like, which writes what is not finite in other words."""
    text = template % value
    return text if text[-1].isdigit() else _special(value) or text


def _precision(template: str, index: int) -> tuple[int, int | None]:
    if template[index : index + 1] != ".":
        return index, None
    end = index + 1
    while end < len(template) and template[end].isdigit():
        end += 1
    digits = template[index + 1 : end]
    if not digits or len(digits) > 3:
        raise CelError("format: a precision needs one to three digits")
    return end, int(digits)


def _special(value: float) -> str | None:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return None


def _clause_s(value: Value, _: int | None) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return _special(value) or _plain_double(value)
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, list):
        return "[" + ", ".join(_clause_s(element, None) for element in value) + "]"
    if isinstance(value, dict):
        entries = sorted((_clause_s(key, None), _clause_s(element, None)) for key, element in value.items())
        return "{" + ", ".join(f"{key}: {element}" for key, element in entries) + "}"
    if isinstance(value, TypeValue):
        return value.name
    if isinstance(value, (datetime.datetime, datetime.timedelta, str, int)):
        return to_string(value)
    raise CelError(f"format: %s can't write a {type_name(value)}")


def _plain_double(value: float) -> str:
    from decimal import Decimal

    text = format(Decimal(repr(value)), "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def _clause_d(value: Value, _: int | None) -> str:
    if isinstance(value, float):
        return _special(value) or _plain_double(value)
    if not is_number(value):
        raise CelError(f"format: %d needs a number, found a {type_name(value)}")
    return str(int(value))


def _decimal_clause(letter: str) -> Callable[[Value, int | None], str]:
    def clause(value: Value, precision: int | None) -> str:
        if not is_number(value):
            raise CelError(f"format: %{letter} needs a number, found a {type_name(value)}")
        number = float(value)
        return _special(number) or f"{number:.{6 if precision is None else precision}{letter}}"

    return clause


def _integer_clause(letter: str) -> Callable[[Value, int | None], str]:
    def clause(value: Value, _: int | None) -> str:
        if letter in "xX" and isinstance(value, (str, bytes)):
            data = value.encode("utf-8") if isinstance(value, str) else value
            return data.hex() if letter == "x" else data.hex().upper()
        if isinstance(value, bool) and letter != "b":
            raise CelError(f"format: %{letter} can't write a bool")
        if not isinstance(value, int):
            raise CelError(f"format: %{letter} can't write a {type_name(value)}")
        return format(int(value), letter)

    return clause


_CLAUSES: dict[str, Callable[[Value, int | None], str]] = {
    "s": _clause_s,
    "d": _clause_d,
    "f": _decimal_clause("f"),
    "e": _decimal_clause("e"),
    "b": _integer_clause("b"),
    "o": _integer_clause("o"),
    "x": _integer_clause("x"),
    "X": _integer_clause("X"),
}


def to_string(value: Value) -> str:
    """CEL's `string()` of a scalar."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return format_double(value)
    if isinstance(value, bytes):
        try:
            return value.decode("utf-8")
        except UnicodeDecodeError:
            raise CelError("bytes that are not UTF-8") from None
    if isinstance(value, datetime.datetime):
        return format_timestamp(value)
    if isinstance(value, datetime.timedelta):
        return format_duration(value)
    if isinstance(value, int):
        return str(int(value))
    if isinstance(value, str):
        return value
    raise no_overload("string", value)


# --- lists ----------------------------------------------------------------------------------------------


def comparable(values: Sequence[Value]) -> None:
    """Refuse values that have no order among themselves.

    Raises:
        CelError: values of several types, or of a type without an order.
    """
    kinds = {"number" if is_number(value) else type_name(value) for value in values}
    if len(kinds) > 1 or kinds & {"list", "map", "null_type", "type"}:
        raise CelError("no order among values of " + " and ".join(sorted(kinds)))


def _sum(values: list[Value]) -> Value:
    """Left to right: Python's own sum() of floats compensates from 3.12 on and gives other last bits."""
    if not values:
        return 0
    total = values[0]
    if not is_number(total) and not isinstance(total, datetime.timedelta):
        raise no_overload("sum", total)
    for value in values[1:]:
        if type_name(value) != type_name(total):
            raise no_overload("sum", total, value)
        total = _add(total, value)
    return total


def _add(first: Value, second: Value) -> Value:
    if isinstance(first, Uint):
        return checked_uint(int(first) + int(second))
    if isinstance(first, int):
        return checked_int(first + second)
    return first + second


def _empty_sum(zero: Value) -> Implementation:
    return lambda values: _sum(values) if values else zero


def _pick(name: str, best: Callable[..., Value]) -> Implementation:
    def pick(values: list[Value]) -> Value:
        if not values:
            raise CelError(f"{name}() of an empty list")
        comparable(values)
        return best(values)

    return pick


def _is_sorted(values: list[Value]) -> bool:
    comparable(values)
    return all(first <= second for first, second in pairwise(values))


def _sort(values: list[Value]) -> list[Value]:
    comparable(values)
    return sorted(values)


def _sort_by_keys(values: list[Value], keys: list[Value]) -> list[Value]:
    comparable(keys)
    order = sorted(range(len(values)), key=keys.__getitem__)
    return [values[index] for index in order]


def _slice(values: list[Value], start: Value, end: Value) -> list[Value]:
    if not 0 <= start <= end <= len(values):
        raise CelError(f"slice({start}, {end}) of a list of {len(values)}")
    return values[start:end]


def _distinct(values: list[Value]) -> list[Value]:
    kept: list[Value] = []
    for value in values:
        if not any(equal(value, other) for other in kept):
            kept.append(value)
    return kept


def _flatten(values: list[Value]) -> list[Value]:
    return [element for value in values for element in (value if isinstance(value, list) else [value])]


def _range(count: Value) -> list[Value]:
    _want("lists.range", count, int)
    if count > LONGEST_VALUE:
        raise CelError(f"lists.range({count}): more than {LONGEST_VALUE} elements")
    return list(range(count))


def _deal(
    total: Value,
    capacities: list[Value],
    counts: list[Value],
    alike: list[Value],
    priorities: list[Value],
) -> list[int]:
    lengths = [len(each) for each in (capacities, counts, alike, priorities)]
    if len(set(lengths)) > 1:
        raise CelError(f"layers.deal: lists of different lengths: {', '.join(map(str, lengths))}")
    for kind, values in ((int, (total, *capacities, *counts, *alike)), (float, priorities)):
        for value in values:
            if type(value) is not kind:
                raise no_overload("layers.deal", value)
    if any(count < 1 for count in counts):
        raise CelError("layers.deal: a run has one stage at least")
    return deal(total, capacities, counts, alike, priorities) or []


IMPLEMENTATIONS: dict[str, Implementation] = {
    "math.greatest": _extreme("math.greatest", lambda value, best: bool(operator.gt(*aligned(value, best)))),
    "math.least": _extreme("math.least", lambda value, best: bool(operator.lt(*aligned(value, best)))),
    "math.ceil": _rounding("math.ceil", math.ceil),
    "math.floor": _rounding("math.floor", math.floor),
    "math.round": _rounding("math.round", _round_half_away),
    "math.trunc": _rounding("math.trunc", math.trunc),
    "math.abs": _abs,
    "math.sign": _sign,
    "math.sqrt": _sqrt,
    "math.isNaN": _on_double("math.isNaN", math.isnan),
    "math.isInf": _on_double("math.isInf", math.isinf),
    "math.isFinite": _on_double("math.isFinite", math.isfinite),
    "math.bitAnd": _bitwise("math.bitAnd", lambda a, b: a & b),
    "math.bitOr": _bitwise("math.bitOr", lambda a, b: a | b),
    "math.bitXor": _bitwise("math.bitXor", lambda a, b: a ^ b),
    "math.bitNot": _bit_not,
    "math.bitShiftLeft": _shift("math.bitShiftLeft", lambda value, count: value << count),
    "math.bitShiftRight": _shift("math.bitShiftRight", lambda value, count: value >> count),
    "charAt": _char_at,
    "indexOf": _index_of,
    "lastIndexOf": _last_index_of,
    "lowerAscii": _lower_ascii,
    "upperAscii": _upper_ascii,
    "replace": _replace,
    "split": _split,
    "substring": _substring,
    "trim": _trim,
    "join": _join,
    "reverse": _reverse,
    "strings.quote": _quote,
    "format": _format,
    "sum": _sum,
    "min": _pick("min", min),
    "max": _pick("max", max),
    "isSorted": _is_sorted,
    "sort": _sort,
    "@sortByAssociatedKeys": _sort_by_keys,
    "slice": _slice,
    "distinct": _distinct,
    "flatten": _flatten,
    "lists.range": _range,
    "layers.deal": _deal,
}
"""By the function table's names."""

EMPTY_SUMS: dict[str, Value] = {
    "list(uint).sum() -> uint": Uint(0),
    "list(double).sum() -> double": 0.0,
    "list(duration).sum() -> duration": datetime.timedelta(0),
}
"""What `sum()` of an empty list is, by the overload that the checker chose; 0 otherwise."""


def implementation(function: str, signature: str | None = None) -> Implementation:
    """The function of that name; `signature` is the overload that was chosen, where there is just one."""
    if function == "sum" and signature in EMPTY_SUMS:
        return _empty_sum(EMPTY_SUMS[signature])
    return IMPLEMENTATIONS[function]


def double_to_int(value: float) -> int:
    """A double truncated toward zero.

    Raises:
        CelError: NaN, an infinity, or beyond 64 bits.
    """
    if math.isnan(value) or math.isinf(value) or not INT_MIN < value < INT_MAX:
        raise CelError("range error: the double does not fit an int")
    return math.trunc(value)
