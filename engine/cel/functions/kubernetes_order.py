"""Order of Kubernetes' quantities and semantic versions, which share the names of their methods."""

from __future__ import annotations

from collections.abc import Callable

from engine.cel.functions.quantities import Quantity
from engine.cel.functions.versions import Version
from engine.cel.library import Library
from engine.cel.values import Value, no_overload

LIBRARY = Library(
    __name__, "Order of quantities and versions", source="Kubernetes quantity and semver libraries"
)

_ORDERED = "kubernetes.Quantity kubernetes.Semver"


def _order(name: str, first: Value, second: Value) -> int:
    """Return -1, 0 or 1 as the first is less than, equal to or greater than the second."""
    if isinstance(first, Quantity) and isinstance(second, Quantity):
        return (first.billionths > second.billionths) - (first.billionths < second.billionths)
    if isinstance(first, Version) and isinstance(second, Version):
        return (first.key > second.key) - (first.key < second.key)
    raise no_overload(name, first, second)


def _comparison(
    word: str, result: str, description: str, example: str, answer: Callable[[int], Value]
) -> None:
    @LIBRARY.function(
        word,
        f"T.{word}(T) -> {result}",
        types=_ORDERED,
        description=description,
        example=example,
        operations=20,
    )
    def compare(first: Value, second: Value) -> Value:
        return answer(_order(word, first, second))


_comparison(
    "isGreaterThan",
    "bool",
    "True if it is greater than the other.",
    "quantity('1Gi').isGreaterThan(quantity('1G'))",
    lambda order: order > 0,
)
_comparison(
    "isLessThan",
    "bool",
    "True if it is less than the other.",
    "semver('1.0.0-rc.1').isLessThan(semver('1.0.0'))",
    lambda order: order < 0,
)
_comparison(
    "compareTo",
    "int",
    "-1, 0 or 1 if it is less than, equal to or greater than the other.",
    "quantity('200M').compareTo(quantity('0.2G')) == 0",
    lambda order: order,
)
