"""cel-go's sets extension: lists taken as sets, `sets.contains` and others."""

from __future__ import annotations

from engine.cel.costs import CHARGING, EQUAL, READ, Spend
from engine.cel.functions.lists import HASHED
from engine.cel.library import Library
from engine.cel.values import Value, equal, require_type

LIBRARY = Library(__name__, "Sets", source="cel-go sets extension", namespace="sets")


def _count_in(spend: Spend, wanted: list[Value], values: list[Value], enough: int) -> bool:
    """Return True if at least `enough` elements of `wanted` are in `values`."""
    kinds = set(map(type, values))
    if kinds in HASHED and kinds == set(map(type, wanted)):
        spend(values, 2)
        spend(wanted, 2)
        if isinstance(values[0], (str, bytes)):
            spend(steps=sum(map(len, values)) // READ + sum(map(len, wanted)) // READ)
        known = set(values)
        return sum(value in known for value in wanted) >= enough
    found = 0
    for missing, value in enumerate(wanted):
        if found >= enough or missing - found > len(wanted) - enough:
            break
        spend(values, EQUAL)
        found += any(equal(value, other, spend) for other in values)
    return found >= enough


def _require_lists(name: str, first: Value, second: Value) -> None:
    require_type(name, first, list)
    require_type(name, second, list)


@LIBRARY.function(
    "sets.contains",
    "sets.contains(list(A), list(A)) -> bool",
    description="True if every element of the second list is in the first.",
    example="sets.contains([1, 2, 3], [3, 1])",
    cost=CHARGING,
    operations=30,
)
def contains(spend: Spend, values: list[Value], wanted: list[Value]) -> bool:
    """Return `sets.contains(values, wanted)`."""
    _require_lists("sets.contains", values, wanted)
    return _count_in(spend, wanted, values, len(wanted))


@LIBRARY.function(
    "sets.equivalent",
    "sets.equivalent(list(A), list(A)) -> bool",
    description="True if each list contains the other; order and duplicates do not matter.",
    example="sets.equivalent([1, 2, 1], [2, 1])",
    cost=CHARGING,
    operations=40,
)
def equivalent(spend: Spend, first: list[Value], second: list[Value]) -> bool:
    """Return `sets.equivalent(first, second)`."""
    _require_lists("sets.equivalent", first, second)
    return _count_in(spend, first, second, len(first)) and _count_in(spend, second, first, len(second))


@LIBRARY.function(
    "sets.intersects",
    "sets.intersects(list(A), list(A)) -> bool",
    description="True if an element of one list is in the other.",
    example="sets.intersects([1, 2], [2, 3])",
    cost=CHARGING,
    operations=30,
)
def intersects(spend: Spend, first: list[Value], second: list[Value]) -> bool:
    """Return `sets.intersects(first, second)`."""
    _require_lists("sets.intersects", first, second)
    return _count_in(spend, first, second, 1)
