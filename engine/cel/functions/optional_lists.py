"""cel-go's functions on lists of optionals."""

from __future__ import annotations

from engine.cel.costs import CHARGING, Spend
from engine.cel.functions.operators import optional
from engine.cel.library import Library
from engine.cel.values import Value

LIBRARY = Library(
    __name__, "Lists of optionals", source="cel-go optional types, version 1", namespace="optional"
)


@LIBRARY.function(
    "optional.unwrap",
    "optional.unwrap(list(optional_type(A))) -> list(A)",
    description="The values of a list of optionals.",
    example="optional.unwrap([optional.of(1), optional.none()]) == [1]",
    cost=CHARGING,
)
def unwrap(spend: Spend, values: list[Value]) -> list[Value]:
    """Return `optional.unwrap(values)`."""
    spend(values)
    return [each.value for each in values if optional(each).present]


@LIBRARY.function(
    "unwrapOpt",
    "list(optional_type(A)).unwrapOpt() -> list(A)",
    description="The values of a list of optionals.",
    example="[optional.of(1), optional.none()].unwrapOpt() == [1]",
    cost=CHARGING,
)
def unwrap_opt(spend: Spend, values: list[Value]) -> list[Value]:
    """Return `values.unwrapOpt()`."""
    return unwrap(spend, values)
