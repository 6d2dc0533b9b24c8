"""Kubernetes' list library: sums, extremes and order of lists."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

from engine.cel.costs import CHARGING, COMPARING, Spend, ordering
from engine.cel.library import Library
from engine.cel.times import Duration, TimeRangeError
from engine.cel.values import (
    CelError,
    Uint,
    Value,
    checked_int,
    checked_uint,
    is_number,
    no_overload,
    type_name,
)

LIBRARY = Library(__name__, "Lists, as in Kubernetes", source="Kubernetes list library")

SORTABLE = "int uint double bool string bytes timestamp duration"
"""The types of elements that have an order."""


def require_order(values: Sequence[Value]) -> None:
    """Refuse values that have no order among themselves.

    Raises:
        CelError: values of several types, or of a type without an order.
    """
    kinds = {"number" if is_number(value) else type_name(value) for value in values}
    if len(kinds) > 1 or kinds & {"list", "map", "null_type", "type"}:
        raise CelError("no order among values of " + " and ".join(sorted(kinds)))


@LIBRARY.function(
    "sum",
    "list(T).sum() -> T",
    types="int uint double duration",
    description="The elements added from left to right; 0 for an empty list.",
    example="[1, 2, 3].sum() == 6",
    cost=COMPARING,
    operations=20,
    empty={
        "list(uint).sum() -> uint": Uint(0),
        "list(double).sum() -> double": 0.0,
        "list(duration).sum() -> duration": Duration(0),
    },
)
def total(values: list[Value]) -> Value:
    """Return `values.sum()`, added left to right.

    Python's own sum() of floats compensates from 3.12 on and gives other last bits.
    """
    if not values:
        return 0
    result = values[0]
    if not is_number(result) and not isinstance(result, Duration):
        raise no_overload("sum", result)
    for value in values[1:]:
        if type_name(value) != type_name(result):
            raise no_overload("sum", result, value)
        result = _add(result, value)
    return result


def _add(first: Value, second: Value) -> Value:
    if isinstance(first, Uint):
        return checked_uint(int(first) + int(second))
    if isinstance(first, int):
        return checked_int(first + second)
    try:
        return first + second
    except TimeRangeError as error:
        raise CelError(str(error)) from None


def _extreme(word: str, description: str, example: str, best: Callable[[list[Value]], Value]) -> None:
    @LIBRARY.function(
        word,
        f"list(T).{word}() -> T",
        types=SORTABLE,
        description=description,
        example=example,
        cost=CHARGING,
        operations=30,
    )
    def extreme(spend: Spend, values: list[Value]) -> Value:
        if not values:
            raise CelError(f"{word}() of an empty list")
        ordering(spend, values)
        spend(values, 2)
        require_order(values)
        return best(values)


_extreme("min", "The least element; an error if the list is empty.", "[2, 1].min() == 1", min)
_extreme("max", "The greatest element; an error if the list is empty.", "[1, 2].max() == 2", max)


@LIBRARY.function(
    "isSorted",
    "list(T).isSorted() -> bool",
    types=SORTABLE,
    description="True if no element is less than the one before it.",
    example="[1, 1, 2].isSorted()",
    cost=CHARGING,
    operations=30,
)
def is_sorted(spend: Spend, values: list[Value]) -> bool:
    """Return `values.isSorted()`."""
    ordering(spend, values)
    spend(values, 2)
    require_order(values)
    return all(first <= second for first, second in pairwise(values))
