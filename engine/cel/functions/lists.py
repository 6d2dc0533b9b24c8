"""cel-go's lists extension: sorting, slicing, flattening."""

from __future__ import annotations

from engine.cel.costs import CHARGING, COPYING, EQUAL, READ, Spend, ordering
from engine.cel.functions.kubernetes_lists import SORTABLE, require_order
from engine.cel.library import Library
from engine.cel.limits import LONGEST_VALUE
from engine.cel.values import CelError, Value, equal, require_type, too_long

LIBRARY = Library(__name__, "Lists", source="cel-go lists extension", namespace="lists")


@LIBRARY.function(
    "sort",
    "list(T).sort() -> list(T)",
    types=SORTABLE,
    description="The elements in ascending order; the sort is stable.",
    example="[3, 1, 2].sort() == [1, 2, 3]",
    cost=CHARGING,
    operations=30,
)
def sort(spend: Spend, values: list[Value]) -> list[Value]:
    """Return `values.sort()`."""
    ordering(spend, values)
    spend(values, 2)
    require_order(values)
    return sorted(values)


@LIBRARY.function(
    "@sortByAssociatedKeys",
    "list(A).@sortByAssociatedKeys(list(T)) -> list(A)",
    types=SORTABLE,
    description="The expansion of list.sortBy(x, key): the list in the order of its keys.",
    example="[3, 1].sortBy(x, -x) == [3, 1]",
    cost=CHARGING,
    operations=30,
)
def sort_by_keys(spend: Spend, values: list[Value], keys: list[Value]) -> list[Value]:
    """Return `values` in the order of `keys`."""
    ordering(spend, keys)
    spend(values, 4)
    require_order(keys)
    order = sorted(range(len(values)), key=keys.__getitem__)
    return [values[index] for index in order]


LIBRARY.macro(
    "e.sortBy(x, k)",
    description="The elements in the order of k; the sort is stable.",
    example="[3, 1].sortBy(x, x) == [1, 3]",
)


@LIBRARY.function(
    "slice",
    "list(A).slice(int, int) -> list(A)",
    description="The elements from an index up to (not including) another.",
    example="[1, 2, 3].slice(1, 3) == [2, 3]",
    cost=COPYING,
    operations=12,
)
def slice_list(values: list[Value], start: Value, end: Value) -> list[Value]:
    """Return `values.slice(start, end)`."""
    if not 0 <= start <= end <= len(values):
        raise CelError(f"slice({start}, {end}) of a list of {len(values)}")
    return values[start:end]


HASHED = ({int}, {bool}, {str}, {bytes})
"""Types of lists whose elements are equal exactly if Python's hash and equality say so."""


@LIBRARY.function(
    "distinct",
    "list(A).distinct() -> list(A)",
    description="The list without duplicates; the first of equal elements stays.",
    example="[1, 2, 1].distinct() == [1, 2]",
    cost=CHARGING,
    operations=30,
)
def distinct(spend: Spend, values: list[Value]) -> list[Value]:
    """Return `values.distinct()`."""
    spend(values, 2)
    if set(map(type, values)) in HASHED:
        if isinstance(values[0], (str, bytes)):
            spend(steps=sum(map(len, values)) // READ)
        return list(dict.fromkeys(values))
    kept: list[Value] = []
    for value in values:
        spend(kept, EQUAL)
        if not any(equal(value, other, spend) for other in kept):
            kept.append(value)
    return kept


@LIBRARY.function(
    "flatten",
    "list(list(A)).flatten() -> list(A)",
    "list(dyn).flatten(int) -> list(dyn)",
    description="The lists of a list as one list; the number says how many levels, 1 without it.",
    example="[[1], [2, 3]].flatten() == [1, 2, 3]",
    cost=CHARGING,
    operations=30,
)
def flatten(spend: Spend, values: list[Value], levels: Value = 1) -> list[Value]:
    """Return `values.flatten(levels)`."""
    require_type("flatten", levels, int)
    if levels < 0:
        raise CelError(f"flatten({levels}): the number of levels is negative")
    while levels > 0 and any(isinstance(value, list) for value in spend(values)):
        values = _flattened(spend, values)
        levels -= 1
    return values


def _flattened(spend: Spend, values: list[Value]) -> list[Value]:
    """Return a list with one level less."""
    length = sum(len(value) if isinstance(value, list) else 1 for value in values)
    if length > LONGEST_VALUE:
        raise too_long(values)
    spend(steps=length)
    return [element for value in values for element in (value if isinstance(value, list) else [value])]


@LIBRARY.function(
    "lists.range",
    "lists.range(int) -> list(int)",
    description="The ints from 0 up to (not including) a number.",
    example="lists.range(3) == [0, 1, 2]",
    cost=CHARGING,
    operations=20,
)
def int_range(spend: Spend, count: Value) -> list[Value]:
    """Return `lists.range(count)`."""
    require_type("lists.range", count, int)
    if count > LONGEST_VALUE:
        raise CelError(f"lists.range({count}): more than {LONGEST_VALUE} elements")
    spend(steps=max(0, count) * 2)
    return list(range(count))
