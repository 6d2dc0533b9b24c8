"""The one table of functions that expressions may call: names, types, source, meaning, example.

Signatures are written as people read them: `size(string) -> int` is a function, `string.size() -> int` a
method, `_+_` an operator, single capitals type parameters. docs/functions.md is generated from this table;
each example is an expression that is true.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

from engine.cel.types import Type, parse_type
from engine.records import record

_STANDARD = "CEL standard library"
_MATH = "cel-go math extension"
_STRINGS = "cel-go strings extension"
_LISTS = "cel-go lists extension"
_KUBERNETES = "Kubernetes list library"
_OURS = "this engine"


@record
class Overload:
    """One typing of a function; a method's target is its first parameter."""

    signature: str
    parameters: tuple[Type, ...]
    result: Type
    member: bool


@record
class Function:
    """One function with all of its overloads."""

    name: str
    source: str
    description: str
    example: str
    overloads: tuple[Overload, ...]
    variadic: bool = False
    """Three arguments or more are taken as one list."""


@record
class Macro:
    """A form that the parser expands: its variable is bound anew for each element."""

    form: str
    source: str
    description: str
    example: str


def _overload(signature: str) -> tuple[str, Overload]:
    left, _, result = signature.partition(" -> ")
    opening = _opening(left)
    head, inside = left[:opening], left[opening + 1 : -1]
    parameters = [parse_type(part) for part in _split(inside)]
    target, dot, name = head.rpartition(".")
    member = bool(dot) and target not in ("math", "lists", "strings", "layers", "cel")
    if member:
        parameters.insert(0, parse_type(target))
    else:
        name = head
    return name, Overload(signature, tuple(parameters), parse_type(result), member)


def _opening(left: str) -> int:
    """Where the parenthesis opens that the last one closes."""
    depth = 0
    for index in range(len(left) - 1, -1, -1):
        depth += {")": 1, "(": -1}.get(left[index], 0)
        if depth == 0:
            return index
    raise ValueError(left)


def _split(inside: str) -> Iterator[str]:
    """The parameters between commas that stand in no parentheses."""
    depth, start = 0, 0
    for index, character in enumerate(inside):
        depth += {"(": 1, ")": -1}.get(character, 0)
        if character == "," and depth == 0:
            yield inside[start:index]
            start = index + 1
    if inside.strip():
        yield inside[start:]


def _each(template: str, types: str) -> tuple[str, ...]:
    """The template once for each type, `T` replaced."""
    return tuple(re.sub(r"\bT\b", name, template) for name in types.split())


def _function(
    source: str, description: str, example: str, *signatures: str, variadic: bool = False
) -> Function:
    named = [_overload(signature) for signature in signatures]
    return Function(named[0][0], source, description, example, tuple(o for _, o in named), variadic)


_ORDERED = "bool int uint double string bytes timestamp duration"
_SORTABLE = "int uint double bool string bytes timestamp duration"
_ZONED = "getFullYear getMonth getDate getDayOfMonth getDayOfWeek getDayOfYear"
_CLOCK = "getHours getMinutes getSeconds getMilliseconds"
_CALENDAR = {
    "getFullYear": "The year.",
    "getMonth": "The month, January is 0.",
    "getDate": "The day of the month, from 1.",
    "getDayOfMonth": "The day of the month, from 0.",
    "getDayOfWeek": "The day of the week, Sunday is 0.",
    "getDayOfYear": "The day of the year, from 0.",
    "getHours": "The hour, or a duration's whole hours.",
    "getMinutes": "The minute, or a duration's whole minutes.",
    "getSeconds": "The second, or a duration's whole seconds.",
    "getMilliseconds": "The milliseconds within the second.",
}
_INSTANT = "timestamp('2020-03-01T14:05:06Z')"
_CALENDAR_VALUES = {
    "getFullYear": 2020, "getMonth": 2, "getDate": 1, "getDayOfMonth": 0, "getDayOfWeek": 0,
    "getDayOfYear": 60, "getHours": 14, "getMinutes": 5, "getSeconds": 6, "getMilliseconds": 0,
}  # fmt: skip


def _calendar(name: str) -> Function:
    signatures = [f"timestamp.{name}() -> int", f"timestamp.{name}(string) -> int"]
    if name in _CLOCK.split():
        signatures.append(f"duration.{name}() -> int")
    description = _CALENDAR[name] + " UTC, or the named time zone."
    return _function(_STANDARD, description, f"{_INSTANT}.{name}() == {_CALENDAR_VALUES[name]}", *signatures)


def _comparison(symbol: str, words: str, example: str) -> Function:
    return _function(_STANDARD, words, example, *_each(f"_{symbol}_(T, T) -> bool", _ORDERED))


def _bits(name: str, words: str, example: str) -> Function:
    return _function(_MATH, words, example, *_each(f"math.{name}(T, T) -> T", "int uint"))


def _extreme(name: str, words: str, example: str) -> Function:
    numbers = ["int", "uint", "double"]
    pairs = [f"math.{name}({a}, {b}) -> {a if a == b else 'dyn'}" for a in numbers for b in numbers]
    lists = _each(f"math.{name}(list(T)) -> T", "int uint double")
    singles = _each(f"math.{name}(T) -> T", "int uint double")
    return _function(_MATH, words, example, *singles, *pairs, *lists, variadic=True)


def _rounding(name: str, words: str, example: str) -> Function:
    return _function(_MATH, words, example, f"math.{name}(double) -> double")


def _table() -> Iterator[Function]:
    yield _function(_STANDARD, "Not.", "!false", "!_(bool) -> bool")
    yield _function(_STANDARD, "The negative.", "-(1) == -1", *_each("-_(T) -> T", "int double"))
    yield _function(
        _STANDARD,
        "Sum; text, bytes and lists are joined. An int's overflow is an error.",
        "1 + 2 == 3",
        *_each("_+_(T, T) -> T", "int uint double string bytes"),
        "_+_(list(A), list(A)) -> list(A)",
        "_+_(timestamp, duration) -> timestamp",
        "_+_(duration, timestamp) -> timestamp",
        "_+_(duration, duration) -> duration",
    )
    yield _function(
        _STANDARD,
        "Difference.",
        "3 - 2 == 1",
        *_each("_-_(T, T) -> T", "int uint double"),
        "_-_(timestamp, timestamp) -> duration",
        "_-_(timestamp, duration) -> timestamp",
        "_-_(duration, duration) -> duration",
    )
    yield _function(_STANDARD, "Product.", "2.0 * 3.0 == 6.0", *_each("_*_(T, T) -> T", "int uint double"))
    yield _function(
        _STANDARD,
        "Quotient; ints truncate toward zero and refuse 0, doubles give infinity or NaN.",
        "7 / 2 == 3",
        *_each("_/_(T, T) -> T", "int uint double"),
    )
    yield _function(
        _STANDARD,
        "Remainder, with the sign of the left side.",
        "7 % 2 == 1",
        *_each("_%_(T, T) -> T", "int uint"),
    )
    yield _comparison("<", "Less.", "1 < 2")
    yield _comparison("<=", "Less or equal.", "1 <= 1")
    yield _comparison(">", "Greater.", "2 > 1")
    yield _comparison(">=", "Greater or equal.", "1 >= 1")
    yield _function(_STANDARD, "Equal, element by element.", "[1] == [1]", "_==_(A, A) -> bool")
    yield _function(_STANDARD, "Not equal.", "1 != 2", "_!=_(A, A) -> bool")
    yield _function(
        _STANDARD,
        "Is an element of a list or a key of a map.",
        "1 in [1, 2]",
        "_in_(A, list(A)) -> bool",
        "_in_(A, map(A, B)) -> bool",
    )
    yield _function(
        _STANDARD,
        "The element at a position from 0, or the value of a key; an error where there is none.",
        "[1, 2][1] == 2",
        "_[_](list(A), int) -> A",
        "_[_](map(A, B), A) -> B",
    )
    yield _function(
        _STANDARD,
        "And: false if one side is, whatever the other side is, even an error.",
        "true && true",
        "_&&_(bool, bool) -> bool",
    )
    yield _function(
        _STANDARD,
        "Or: true if one side is, whatever the other side is, even an error.",
        "true || false",
        "_||_(bool, bool) -> bool",
    )
    yield _function(
        _STANDARD,
        "The second if the first holds, else the third; only that one is evaluated.",
        "(true ? 1 : 2) == 1",
        "_?_:_(bool, A, A) -> A",
    )
    sized = ["string", "bytes", "list(A)", "map(A,B)"]
    yield _function(
        _STANDARD,
        "Characters, bytes, elements or entries.",
        "size('abc') == 3",
        *(f"size({name}) -> int" for name in sized),
        *(f"{name}.size() -> int" for name in sized),
    )
    yield _function(_STANDARD, "Holds the text.", "'abc'.contains('b')", "string.contains(string) -> bool")
    yield _function(
        _STANDARD, "Begins with it.", "'abc'.startsWith('a')", "string.startsWith(string) -> bool"
    )
    yield _function(_STANDARD, "Ends with it.", "'abc'.endsWith('c')", "string.endsWith(string) -> bool")
    yield _function(
        _STANDARD,
        "A part of the text matches the RE2 pattern.",
        "'H100-SXM'.matches('^H[0-9]+')",
        "string.matches(string) -> bool",
        "matches(string, string) -> bool",
    )
    yield _function(
        _STANDARD,
        "To int; doubles truncate toward zero, timestamps give seconds.",
        "int(2.9) == 2",
        *_each("int(T) -> int", "int uint double string timestamp"),
    )
    yield _function(
        _STANDARD, "To uint.", "uint(2) == 2u", *_each("uint(T) -> uint", "uint int double string")
    )
    yield _function(
        _STANDARD, "To double.", "double(2) == 2.0", *_each("double(T) -> double", "double int uint string")
    )
    yield _function(
        _STANDARD,
        "To text; bytes must be UTF-8.",
        "string(12) == '12'",
        *_each("string(T) -> string", "string bool int uint double bytes timestamp duration"),
    )
    yield _function(
        _STANDARD, "To bytes, as UTF-8.", "bytes('a') == b'a'", *_each("bytes(T) -> bytes", "bytes string")
    )
    yield _function(_STANDARD, "To bool.", "bool('true')", *_each("bool(T) -> bool", "bool string"))
    yield _function(
        _STANDARD,
        "To a timestamp, from RFC 3339 text or from seconds since 1970.",
        "timestamp(0) == timestamp('1970-01-01T00:00:00Z')",
        *_each("timestamp(T) -> timestamp", "timestamp string int"),
    )
    yield _function(
        _STANDARD,
        "To a duration, from text like '1h30m'.",
        "duration('90s') == duration('1m30s')",
        *_each("duration(T) -> duration", "duration string"),
    )
    yield _function(_STANDARD, "The type of a value.", "type(1) == int", "type(A) -> type(A)")
    yield _function(_STANDARD, "The same value, its type left to evaluation.", "dyn(1) == 1", "dyn(A) -> dyn")
    for name in (_ZONED + " " + _CLOCK).split():
        yield _calendar(name)
    yield _extreme("greatest", "The greatest of the arguments, or of a list.", "math.greatest(1, 3, 2) == 3")
    yield _extreme("least", "The least of the arguments, or of a list.", "math.least([2, 1]) == 1")
    yield _rounding("ceil", "Rounded up.", "math.ceil(1.2) == 2.0")
    yield _rounding("floor", "Rounded down.", "math.floor(1.8) == 1.0")
    yield _rounding("round", "Rounded to the nearest, halves away from zero.", "math.round(1.5) == 2.0")
    yield _rounding("trunc", "Rounded toward zero.", "math.trunc(-1.8) == -1.0")
    yield _function(
        _MATH, "Without its sign.", "math.abs(-1) == 1", *_each("math.abs(T) -> T", "int uint double")
    )
    yield _function(
        _MATH, "-1, 0 or 1.", "math.sign(-2.5) == -1.0", *_each("math.sign(T) -> T", "int uint double")
    )
    yield _function(
        _MATH, "The square root.", "math.sqrt(9) == 3.0", *_each("math.sqrt(T) -> double", "int uint double")
    )
    yield _function(_MATH, "Is not a number.", "!math.isNaN(1.0)", "math.isNaN(double) -> bool")
    yield _function(_MATH, "Is an infinity.", "math.isInf(1.0 / 0.0)", "math.isInf(double) -> bool")
    yield _function(
        _MATH, "Is neither infinity nor NaN.", "math.isFinite(1.0)", "math.isFinite(double) -> bool"
    )
    yield _bits("bitAnd", "Bits in both.", "math.bitAnd(3, 5) == 1")
    yield _bits("bitOr", "Bits in one or both.", "math.bitOr(3, 5) == 7")
    yield _bits("bitXor", "Bits in just one.", "math.bitXor(3, 5) == 6")
    yield _function(
        _MATH, "All bits flipped.", "math.bitNot(0) == -1", *_each("math.bitNot(T) -> T", "int uint")
    )
    yield _function(
        _MATH,
        "Bits moved up; 64 or more gives 0, a negative count is an error.",
        "math.bitShiftLeft(1, 4) == 16",
        *_each("math.bitShiftLeft(T, int) -> T", "int uint"),
    )
    yield _function(
        _MATH,
        "Bits moved down, zeros shifted in; a negative count is an error.",
        "math.bitShiftRight(16, 4) == 1",
        *_each("math.bitShiftRight(T, int) -> T", "int uint"),
    )
    yield _function(
        _STRINGS, "The character at a position.", "'abc'.charAt(1) == 'b'", "string.charAt(int) -> string"
    )
    yield _function(
        _STRINGS,
        "Where the text first stands, from a position on; -1 if nowhere.",
        "'banana'.indexOf('an') == 1",
        "string.indexOf(string) -> int",
        "string.indexOf(string, int) -> int",
        "list(A).indexOf(A) -> int",
    )
    yield _function(
        _STRINGS,
        "Where the text last stands, up to a position; -1 if nowhere.",
        "'banana'.lastIndexOf('an') == 3",
        "string.lastIndexOf(string) -> int",
        "string.lastIndexOf(string, int) -> int",
        "list(A).lastIndexOf(A) -> int",
    )
    yield _function(
        _STRINGS,
        "ASCII letters made small.",
        "'NVLink'.lowerAscii() == 'nvlink'",
        "string.lowerAscii() -> string",
    )
    yield _function(
        _STRINGS,
        "ASCII letters made large.",
        "'bf16'.upperAscii() == 'BF16'",
        "string.upperAscii() -> string",
    )
    yield _function(
        _STRINGS,
        "One text replaced by another, at most so many times.",
        "'a-b-c'.replace('-', '+', 1) == 'a+b-c'",
        "string.replace(string, string) -> string",
        "string.replace(string, string, int) -> string",
    )
    yield _function(
        _STRINGS,
        "Split at a text, into at most so many parts.",
        "'a,b,c'.split(',') == ['a', 'b', 'c']",
        "string.split(string) -> list(string)",
        "string.split(string, int) -> list(string)",
    )
    yield _function(
        _STRINGS,
        "The characters from a position, up to another.",
        "'tacocat'.substring(0, 4) == 'taco'",
        "string.substring(int) -> string",
        "string.substring(int, int) -> string",
    )
    yield _function(
        _STRINGS, "White space at both ends removed.", "' a '.trim() == 'a'", "string.trim() -> string"
    )
    yield _function(
        _STRINGS,
        "Texts joined, with one between them.",
        "['a', 'b'].join(', ') == 'a, b'",
        "list(string).join() -> string",
        "list(string).join(string) -> string",
    )
    yield _function(
        _STRINGS,
        "Text or a list from the end to the beginning.",
        "'abc'.reverse() == 'cba'",
        "string.reverse() -> string",
        "list(A).reverse() -> list(A)",
    )
    yield _function(
        _STRINGS,
        "Text in double quotes, escaped.",
        "strings.quote('a') == '\"a\"'",
        "strings.quote(string) -> string",
    )
    yield _function(
        _STRINGS,
        "Values put into the text at %s, %d, %f, %e, %b, %o, %x, %X; %.2f sets the digits.",
        "'%d of %s, %.1f'.format([8, 'A100', 2.25]) == '8 of A100, 2.2'",
        "string.format(list(dyn)) -> string",
    )
    yield _function(
        _KUBERNETES,
        "The elements added from left to right; 0 for an empty list.",
        "[1, 2, 3].sum() == 6",
        *_each("list(T).sum() -> T", "int uint double duration"),
    )
    yield _function(
        _KUBERNETES,
        "The least element; an error on an empty list.",
        "[2, 1].min() == 1",
        *_each("list(T).min() -> T", _SORTABLE),
    )
    yield _function(
        _KUBERNETES,
        "The greatest element; an error on an empty list.",
        "[1, 2].max() == 2",
        *_each("list(T).max() -> T", _SORTABLE),
    )
    yield _function(
        _KUBERNETES,
        "No element is less than the one before it.",
        "[1, 1, 2].isSorted()",
        *_each("list(T).isSorted() -> bool", _SORTABLE),
    )
    yield _function(
        _LISTS,
        "The elements in order, equal ones as they stood.",
        "[3, 1, 2].sort() == [1, 2, 3]",
        *_each("list(T).sort() -> list(T)", _SORTABLE),
    )
    yield _function(
        _LISTS,
        "What list.sortBy(x, key) expands to: the list in the order of the keys beside it.",
        "[3, 1].sortBy(x, -x) == [3, 1]",
        *_each("list(A).@sortByAssociatedKeys(list(T)) -> list(A)", _SORTABLE),
    )
    yield _function(
        _LISTS,
        "The elements from a position up to (not with) another.",
        "[1, 2, 3].slice(1, 3) == [2, 3]",
        "list(A).slice(int, int) -> list(A)",
    )
    yield _function(
        _LISTS,
        "Each element once, the first of equals.",
        "[1, 2, 1].distinct() == [1, 2]",
        "list(A).distinct() -> list(A)",
    )
    yield _function(
        _LISTS,
        "Lists in a list made one list.",
        "[[1], [2, 3]].flatten() == [1, 2, 3]",
        "list(list(A)).flatten() -> list(A)",
    )
    yield _function(
        _LISTS,
        "The ints from 0 up to (not with) a number.",
        "lists.range(3) == [0, 1, 2]",
        "lists.range(int) -> list(int)",
    )
    yield _function(
        _OURS,
        "Layers over runs of stages, by the room of one stage, the stages and the kind of each run: "
        "none empty, even within a kind, the higher priority first; an empty list where there is no room.",
        "layers.deal(80, [40, 60], [1, 1], [0, 1], [0.0, 0.0]) == [32, 48]",
        "layers.deal(int, list(int), list(int), list(int), list(double)) -> list(int)",
    )


MACROS = (
    Macro("has(e.f)", _STANDARD, "The field is set (not null), or the key is there.", "has({'a': 1}.a)"),
    Macro("e.all(x, p)", _STANDARD, "p holds for every element.", "[1, 2].all(x, x > 0)"),
    Macro("e.exists(x, p)", _STANDARD, "p holds for an element.", "[1, 2].exists(x, x > 1)"),
    Macro("e.exists_one(x, p)", _STANDARD, "p holds for just one element.", "[1, 2].exists_one(x, x > 1)"),
    Macro("e.map(x, t)", _STANDARD, "t of every element.", "[1, 2].map(x, x * 2) == [2, 4]"),
    Macro(
        "e.map(x, p, t)",
        _STANDARD,
        "t of the elements for which p holds.",
        "[1, 2].map(x, x > 1, x * 2) == [4]",
    ),
    Macro("e.filter(x, p)", _STANDARD, "The elements for which p holds.", "[1, 2].filter(x, x > 1) == [2]"),
    Macro(
        "e.sortBy(x, k)", _LISTS, "The elements in the order of k, stable.", "[3, 1].sortBy(x, x) == [1, 3]"
    ),
    Macro(
        "cel.bind(x, v, t)",
        "cel-go bindings extension",
        "t, with v by the name x.",
        "cel.bind(x, 2, x * x) == 4",
    ),
)


@cache
def functions() -> dict[str, Function]:
    """The table by name."""
    return {function.name: function for function in _table()}
