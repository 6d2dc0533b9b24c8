"""Cells of decision tables: what each tests, or results in, as CEL."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, Literal

from engine.base.errors import quote
from engine.base.records import field, record
from engine.catalogs.schema_types import schema_types
from engine.cel import celtypes as t
from engine.cel import syntax as ast
from engine.cel.celtypes import Bounds, Type
from engine.cel.checker import parse_checked
from engine.cel.coercion import CoercionError, coerce
from engine.cel.times import Duration, Timestamp
from engine.cel.values import Uint

_OPERATOR = re.compile(r"\s*(<=|>=|==|!=|<|>|in\b|not\s+in\b)\s*")
_RANGE = re.compile(r"\s*([\[(])\s*(.+?)\s*\.\.\s*(.+?)\s*([\])])\s*\Z")
_NAME = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*\Z")
ANY = "-"
"""A test that every value passes."""
ORDERED = (t.INT, t.UINT, t.DOUBLE, t.TIMESTAMP, t.DURATION)
TESTED = (*ORDERED, t.STRING, t.BOOL)
"""Types that cells can test."""


class CellError(ValueError):
    """A cell that does not fit its column.

    Attributes:
        message: what was found and what was expected.
        hint: what to write.
        offset: the character of the cell's text that is meant.
    """

    def __init__(self, message: str, hint: str | None = None, offset: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.offset = offset


@record
class Column:
    """A column: the expression that it tests, or None for a result."""

    name: str
    type: Type
    input: str | None = None
    values: tuple[object, ...] = ()
    optional: bool = False
    bounds: Bounds | None = None
    """Of a tested input, which values are allowed."""


@record
class Test:
    """What a cell asks of its column's expression.

    `operator` is `any`, a comparison, `in`, `not in` or `range`. Operands are CEL; `offsets` are where each
    begins in the cell's text. `closed` says of a range which of its ends belong to it.
    """

    operator: str
    operands: tuple[str, ...] = ()
    offsets: tuple[int, ...] = ()
    closed: tuple[bool, bool] = (True, True)


def is_name(expression: str) -> bool:
    """Return True if a column tests a name, or a field of one, and not something computed."""
    return _NAME.match(expression.strip()) is not None


def read_test(cell: object, column: Column, *, text_only: bool) -> Test:
    """Read a cell of a tested column.

    Args:
        cell: its value.
        column: the column.
        text_only: the cell comes from CSV: all values are texts.

    Raises:
        CellError: it is no test of the column's type.
    """
    if cell is None or cell == "":
        raise CellError(f"{column.name}: an empty cell", f'write "{ANY}" for any value')
    if isinstance(cell, str):
        if cell.strip() == ANY:
            return Test("any")
        found = _RANGE.match(cell) if column.type in ORDERED else None
        if found is not None:
            parts = (found[2], found[3])
            offsets = (found.start(2), found.start(3))
            operands = tuple(
                _operand(part, column, offset) for part, offset in zip(parts, offsets, strict=True)
            )
            return Test("range", operands, offsets, (found[1] == "[", found[4] == "]"))
        begins = _OPERATOR.match(cell)
        if begins is not None:
            operator = " ".join(begins[1].split())
            rest = cell[begins.end() :].rstrip()
            if not rest:
                raise CellError(f"{column.name}: nothing after '{operator}'", _hint(column))
            if operator in ("<", "<=", ">", ">=") and column.type not in (*ORDERED, t.STRING):
                raise CellError(
                    f"{column.name}: '{operator}' does not compare values of type '{column.type}'"
                )
            try:
                return Test(operator, (_operand(rest, column, begins.end()),), (begins.end(),))
            except CellError as error:
                usual = _usual_notation(cell, column)
                if usual is None:
                    raise
                raise CellError(f"{column.name}: {error.message}", f'write "{usual}"', error.offset) from None
        _refuse_other_notation(cell, column)
    if isinstance(cell, list):
        return Test(
            "in", ("[" + ", ".join(literal(plain(each, column), column.type) for each in cell) + "]",), (0,)
        )
    return Test("==", (literal(plain(cell, column, text_only=text_only), column.type),), (0,))


_ENDS = r"(-?[\w.]+)"
_NOTATIONS = (
    (re.compile(rf"[\[(]?\s*{_ENDS}\s*(?:\.\.\.?|\s-\s|-|,|;|–|\bto\b)\s*{_ENDS}\s*[\])]?"), "[{0}..{1}]"),
    (re.compile(rf">=\s*{_ENDS}\s*(?:&&|,|;|and)\s*<=\s*{_ENDS}"), "[{0}..{1}]"),
    (re.compile(rf">=\s*{_ENDS}\s*(?:&&|,|;|and)\s*<\s*{_ENDS}"), "[{0}..{1})"),
    (re.compile(rf">\s*{_ENDS}\s*(?:&&|,|;|and)\s*<=\s*{_ENDS}"), "({0}..{1}]"),
    (re.compile(rf">\s*{_ENDS}\s*(?:&&|,|;|and)\s*<\s*{_ENDS}"), "({0}..{1})"),
    (re.compile(r"(?:=>|≥)\s*(.+)"), ">= {0}"),
    (re.compile(r"(?:=<|≤)\s*(.+)"), "<= {0}"),
    (re.compile(r"(?:<>|≠)\s*(.+)"), "!= {0}"),
    (re.compile(r"not (.+)"), "!= {0}"),
    (re.compile(r"\w+\s*(<=|>=|==|!=|<|>)\s*(.+)"), "{0} {1}"),
)
"""How other tables write tests, and how cells do."""


def _usual_notation(text: str, column: Column) -> str | None:
    """Return a test that is written as in other tables as cells write it."""
    if text.strip() in ("*", "any", "ANY"):
        return ANY
    for pattern, written in _NOTATIONS if column.type in ORDERED else ():
        found = pattern.fullmatch(text.strip())
        if found is not None:
            return written.format(*found.groups())
    return None


def _refuse_other_notation(cell: str, column: Column) -> None:
    """Refuse text that is surely meant otherwise: `*` for any value, and text with quotes of its own.

    Raises:
        CellError: with what to write.
    """
    text = cell.strip()
    if column.type == t.STRING and text == "*":
        hint = f'write "{ANY}" for any value, or == "*" for this text'
        raise CellError(f"{column.name}: '*' means the text *", hint)
    if column.type == t.STRING and re.fullmatch(r'"[^"]*"|\'[^\']*\'|“[^”]*”', text):
        hint = f"write {text[1:-1]} without quotes; with an operator before it, text needs them: == {text}"
        raise CellError(f"{column.name}: {text} has quotes of its own", hint)


def read_result(cell: object, column: Column, *, text_only: bool) -> tuple[str, int | None]:
    """Return a cell of a result as CEL, and where an expression begins in it; None for a value.

    Raises:
        CellError: it is not of the column's type.
    """
    if isinstance(cell, str) and cell.lstrip().startswith("="):
        start = cell.index("=") + 1
        start += len(cell[start:]) - len(cell[start:].lstrip())
        expression = cell[start:].rstrip()
        parse_at(expression, start)
        return expression, start
    if (
        isinstance(cell, str)
        and column.type == t.STRING
        and re.match(r"\"[^\"]*\"|'[^']*' *\+", cell.strip())
    ):
        hint = 'write text without quotes; an expression begins with =, as in = "%d".format([n])'
        raise CellError(f"{column.name}: {quote(cell)} has quotes of its own", hint)
    if cell is None or (text_only and cell == "" and column.type != t.STRING):
        if column.optional:
            return "null", None
        raise CellError(
            f"{column.name}: an empty cell", f"a value of type '{column.type}', or optional: true"
        )
    return literal(plain(cell, column, text_only=text_only), column.type), None


def plain(cell: object, column: Column, *, text_only: bool = False) -> object:
    """Return a cell as a value of its column's type.

    Raises:
        CellError: it is of another type, or not among the column's values.
    """
    value = _of_text(cell, column.type) if text_only and isinstance(cell, str) else cell
    try:
        value = coerce(value, column.type, schema_types().objects)
    except CoercionError as error:
        usual = _usual_notation(cell, column) if isinstance(cell, str) and column.input is not None else None
        hint = error.hint or (_hint(column) if column.input is not None else None)
        hint = f'write "{usual}"' if usual and not re.fullmatch(r"-?[0-9]+,[0-9]+", str(cell)) else hint
        if column.type == t.STRING and isinstance(cell, (int, float)):
            hint = f'quote it: "{json.dumps(cell)}"'
        raise CellError(f"{column.name}: {error.message}", hint) from None
    if column.values and value not in column.values:
        known = ", ".join(json.dumps(each, default=str, ensure_ascii=False) for each in column.values[:12])
        raise CellError(f"{column.name}: {json.dumps(cell, default=str)} is not among its values", known)
    return value


def _hint(column: Column) -> str:
    example = {t.STRING: '"eu", == "eu"', t.BOOL: "true"}.get(column.type, '5, ">= 5", "[1..5)"')
    return f"a value or a test such as {example}, or {ANY} for any value"


def _of_text(text: str, type_: Type) -> object:
    """Return a text of a CSV cell as YAML would read it for a column of that type."""
    stripped = text.strip()
    if type_ in (t.INT, t.UINT, t.DOUBLE):
        if re.fullmatch(r"[-+]?[0-9]{1,400}", stripped):
            return int(stripped)
        if re.fullmatch(r"[-+]?[0-9]{0,400}\.?[0-9]{1,400}([eE][-+]?[0-9]{1,9})?", stripped):
            return float(stripped)
    if type_ == t.BOOL:
        return {"true": True, "false": False}.get(stripped.lower(), text)
    return text


def _operand(text: str, column: Column, offset: int) -> str:
    """Return the operand of a test as CEL: durations and times may be written plainly."""
    if column.type in (t.DURATION, t.TIMESTAMP):
        try:
            return literal(coerce(text, column.type, {}), column.type)
        except CoercionError:
            pass
    if column.type == t.DOUBLE and re.fullmatch(r"-?[0-9]+", text):
        return f"{text}.0"
    if column.type == t.UINT and re.fullmatch(r"[0-9]+", text):
        return f"{text}u"
    parse_at(text, offset)
    return f"({text})" if re.search(r"[?|&<>=!]|\bin\b", text) else text


def parse_at(text: str, offset: int) -> ast.Node:
    """Parse an expression of a cell.

    Raises:
        CellError: it is not CEL.
    """
    from engine.cel.checker import CelCheckError

    try:
        return parse_checked(text)
    except CelCheckError as error:
        fault = error.faults[0]
        raise CellError(fault.message, fault.hint, offset + fault.offset) from None


def literal(value: object, type_: Type) -> str:
    """Return a value as CEL.

    Raises:
        CellError: CEL has no literal of it.
    """
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Uint) or type_ == t.UINT:
        return f"{int(value)}u"  # type: ignore[call-overload]
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, Duration):
        return f'duration("{value}")'
    if isinstance(value, Timestamp):
        return f'timestamp("{value}")'
    if isinstance(value, list):
        return (
            "["
            + ", ".join(
                literal(each, type_.element if type_.kind is t.Kind.LIST else t.DYN) for each in value
            )
            + "]"
        )
    if isinstance(value, dict):
        inner = type_.value if type_.kind is t.Kind.MAP else t.DYN
        return (
            "{"
            + ", ".join(f"{literal(key, t.DYN)}: {literal(each, inner)}" for key, each in value.items())
            + "}"
        )
    raise CellError(f"a cell of type '{type_}' cannot be written out", "write an expression: = …")


# --- what a test admits, for overlaps and gaps ------------------------------------------------------------


@record
class Admitted:
    """The values that a test admits.

    `kind` is `any`, `set` (of `values`), `all-but` (`values`), `range` or `unknown`. A range has two ends,
    None for none, each open or not.
    """

    kind: Literal["any", "set", "all-but", "range", "unknown"]
    values: tuple[Any, ...] = ()
    low: Any = None
    high: Any = None
    low_open: bool = False
    high_open: bool = False
    texts: tuple[str, ...] = field(default=(), compare=False)
    """The operands, for messages."""

    def holds(self, value: Any) -> bool | None:
        """Return whether a value is admitted; None if that is not known."""
        if self.kind == "unknown":
            return None
        if self.kind == "any":
            return True
        if self.kind in ("set", "all-but"):
            return (value in self.values) is (self.kind == "set")
        low = self.low is None or (value > self.low if self.low_open else value >= self.low)
        high = self.high is None or (value < self.high if self.high_open else value <= self.high)
        return low and high


def admitted(test: Test, column: Column, constants: Mapping[str, object]) -> Admitted:
    """Return the values that a test admits, with constants filled in."""
    if test.operator == "any":
        return Admitted("any")
    known = [_value(parse_checked(text), constants) for text in test.operands]
    unknown = Admitted("unknown", texts=test.operands)
    if any(value is _UNKNOWN or not _is_comparable(value, column) for value in known):
        return unknown
    if test.operator in ("==", "!="):
        return Admitted("set" if test.operator == "==" else "all-but", (known[0],))
    if test.operator in ("in", "not in"):
        if not isinstance(known[0], list):
            return unknown
        return Admitted("set" if test.operator == "in" else "all-but", tuple(known[0]))
    if column.type not in ORDERED:
        return unknown
    if test.operator == "range":
        low_open, high_open = (not each for each in test.closed)
        return Admitted("range", low=known[0], high=known[1], low_open=low_open, high_open=high_open)
    open_ = "=" not in test.operator
    if test.operator.startswith("<"):
        return Admitted("range", high=known[0], high_open=open_)
    return Admitted("range", low=known[0], low_open=open_)


def _is_comparable(value: object, column: Column) -> bool:
    """Return False for a value of another type: the check of the types reports it."""
    kind = str if column.type == t.STRING else bool if column.type == t.BOOL else (int, float)
    values = value if isinstance(value, list) else [value]
    return all(isinstance(each, kind) and isinstance(each, bool) is (kind is bool) for each in values)


def listed_texts(text: str, allowed: Sequence[str]) -> str | None:
    """Return the test that a text with several allowed values, or with `not`, stands for."""
    parts = [each.strip() for each in re.split(r"[,;|/]|\bor\b", text)]
    if len(parts) > 1 and set(parts) <= set(allowed):
        return f"in {json.dumps(parts, ensure_ascii=False)}"
    negated = re.fullmatch(r"(?:not|!|<>|≠)\s*(.+)", text.strip())
    if negated is not None and negated[1] in allowed:
        return f"!= {json.dumps(negated[1], ensure_ascii=False)}"
    return None


def never_holds(test: Test, column: Column) -> str | None:
    """Return why a test holds for no allowed value; None if it holds for one, or that is not known."""
    asked = admitted(test, column, {})
    bounds = column.bounds or Bounds()
    if asked.kind == "set":
        for value in asked.values:
            if bounds.enum and value not in map(_number, bounds.enum):
                return f"{json.dumps(value, ensure_ascii=False)} is not allowed"
            if bounds.minimum is not None and value < _number(bounds.minimum):
                return f"{value} is less than {bounds.minimum}, the least allowed"
            if bounds.maximum is not None and value > _number(bounds.maximum):
                return f"{value} is more than {bounds.maximum}, the most allowed"
    if asked.kind == "range" and None not in (asked.low, asked.high) and asked.low > asked.high:
        return "the range ends before it begins"
    return None


_UNKNOWN = object()


def _value(node: ast.Node, constants: Mapping[str, object]) -> object:
    """Return the value of a literal, a constant or a list of them; times count in nanoseconds."""
    if isinstance(node, ast.Literal):
        return node.value
    if isinstance(node, ast.ListLiteral):
        values = [_value(each, constants) for each in node.elements]
        return _UNKNOWN if any(each is _UNKNOWN for each in values) else values
    if isinstance(node, ast.Call) and node.function == "-_":
        inner = _value(node.arguments[0], constants)
        return -inner if isinstance(inner, (int, float)) else _UNKNOWN
    if isinstance(node, ast.Call) and node.function in ("duration", "timestamp") and node.target is None:
        argument = _value(node.arguments[0], constants)
        try:
            time = coerce(argument, t.DURATION if node.function == "duration" else t.TIMESTAMP, {})
        except CoercionError:
            return _UNKNOWN
        assert isinstance(time, (Duration, Timestamp))
        return time.nanoseconds
    name = ast.dotted_name(node)
    if name is not None and name.startswith("constants."):
        return _counted(constants.get(name.removeprefix("constants."), _UNKNOWN))
    return _UNKNOWN


def _counted(value: object) -> object:
    """Return the value of a constant as cells compare it: times in nanoseconds; maps are not known."""
    if isinstance(value, (Duration, Timestamp)):
        return value.nanoseconds
    if isinstance(value, list):
        return [_counted(each) for each in value]
    return _UNKNOWN if isinstance(value, dict) else value


def candidates(column: Column, cells: list[Admitted]) -> Iterator[Any]:
    """Yield values of a column such that cells that differ at all differ on one of them."""
    values = column.values
    bounds = column.bounds or Bounds()
    if values or bounds.enum:
        yield from map(_number, values or bounds.enum)
        return
    least, most = _number(bounds.minimum), _number(bounds.maximum)
    ends = [end for end in (least, most) if end is not None]
    for value in (*ends, *_points(column, cells)):
        if (least is None or value >= least) and (most is None or value <= most):
            yield value


def _number(value: Any) -> Any:
    """Return a time as its nanoseconds, and any other value as it is."""
    return value.nanoseconds if isinstance(value, (Duration, Timestamp)) else value


def _points(column: Column, cells: list[Admitted]) -> Iterator[Any]:
    """Yield such values of a type without bounds."""
    if column.type == t.BOOL:
        yield from (True, False)
        return
    listed = [value for cell in cells for value in cell.values]
    if column.type == t.STRING:
        yield from dict.fromkeys(listed)
        yield next(name for name in _others() if name not in listed)
        return
    ends = [end for cell in cells for end in (cell.low, cell.high) if end is not None]
    marks = sorted({*listed, *ends})
    if not marks:
        yield 0
        return
    whole = column.type != t.DOUBLE
    yield from marks
    step: int | float = 1
    if whole:
        low, high = (0, 2**64 - 1) if column.type == t.UINT else (-(2**63), 2**63 - 1)
        near = {_floor(mark) + shift for mark in marks for shift in (-1, 0, 1)}
        yield from sorted(value for value in near if low <= value <= high)
        return
    step = max(1.0, abs(marks[0]), abs(marks[-1]))
    yield marks[0] - step
    yield from ((a + b) / 2 for a, b in pairwise(marks))
    yield marks[-1] + step


def _floor(mark: float | int) -> int:
    return int(mark // 1)


def _others() -> Iterator[str]:
    yield "other"
    number = 1
    while True:
        yield f"other{number}"
        number += 1
