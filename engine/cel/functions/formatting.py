"""`format` of cel-go's strings extension: clauses %s %d %f %e %b %o %x %X, with a precision for f and e."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

from engine.cel.costs import CHARGING, MADE, READ, Spend
from engine.cel.functions.conversions import to_string
from engine.cel.library import Library
from engine.cel.limits import LONGEST_VALUE
from engine.cel.times import Duration, Timestamp
from engine.cel.values import CelError, TypeValue, Value, is_number, too_long, type_name

LIBRARY = Library(__name__, "Formatting", source="cel-go strings extension")


@LIBRARY.function(
    "format",
    "string.format(list(dyn)) -> string",
    description="Insert values at %s, %d, %f, %e, %b, %o, %x, %X; %.2f sets the number of decimals.",
    example="'%d of %s, %.1f'.format([8, 'A100', 2.25]) == '8 of A100, 2.2'",
    cost=CHARGING,
    operations=16,
)
def format_text(spend: Spend, template: str, arguments: list[Value]) -> str:
    """Return `template.format(arguments)`."""
    pieces: list[str] = []
    used = length = 0
    for piece in format_pieces(template):
        if isinstance(piece, str):
            text = piece
        elif used >= len(arguments):
            raise CelError(f"format: no argument for clause {used + 1}")
        else:
            text = format_clause(spend, *piece, arguments[used])
            used += 1
        length += len(text)
        if length > LONGEST_VALUE:
            raise too_long("")
        spend(steps=2 + len(text) // MADE)
        pieces.append(text)
    return "".join(pieces)


def format_pieces(template: str) -> Iterator[str | tuple[str, int | None]]:
    """Yield the text of a template as strings, and its clauses as letter and precision.

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


def format_clause(spend: Spend, letter: str, precision: int | None, value: Value) -> str:
    """Return a value as one clause writes it."""
    if letter == "s" and isinstance(value, (list, dict)):
        return _clause_of_many(spend, value)
    if isinstance(value, (str, bytes)):
        if len(value) * (2 if letter in "xX" else 1) > LONGEST_VALUE:
            raise too_long("")
        if len(value) >= READ:
            spend(steps=len(value) // MADE)
    elif precision is not None:
        spend(steps=precision // 8)
    return _CLAUSES[letter](value, precision)


def format_fixed(template: str, value: float) -> str:
    """Format a double by Python's `%.1f` or its like, with CEL's words for values that are not finite."""
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
    if isinstance(value, TypeValue):
        return value.name
    if isinstance(value, (Timestamp, Duration, str, int)):
        return to_string(value)
    raise CelError(f"format: %s cannot format a {type_name(value)}")


def _clause_of_many(spend: Spend, value: Value) -> str:
    """Return a list or a map as %s writes it."""
    from engine.cel.functions.strings import join  # deferred: start-up time

    spend(value, 10)
    if isinstance(value, list):
        inner = [format_clause(spend, "s", None, element) for element in value]
        opening, closing = "[]"
    else:
        entries = sorted(
            (_clause_s(key, None), format_clause(spend, "s", None, element)) for key, element in value.items()
        )
        inner = [f"{key}: {element}" for key, element in entries]
        opening, closing = "{}"
    return opening + join(spend, inner, ", ") + closing


def _plain_double(value: float) -> str:
    from decimal import Decimal  # deferred: start-up time

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
            raise CelError(f"format: %{letter} cannot format a bool")
        if not isinstance(value, int):
            raise CelError(f"format: %{letter} cannot format a {type_name(value)}")
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
