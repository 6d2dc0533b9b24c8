"""CEL functions of ACME's policies: `acme.tier` and `list.spread()`."""

from engine.cel.costs import COMPARING
from engine.cel.library import Library

LIBRARY = Library(__name__, "ACME", source="acme-functions", namespace="acme")


@LIBRARY.function(
    "acme.tier",
    "acme.tier(string) -> int",
    description="The tier of a team: the number at the end of its name, 3 without one.",
    example="acme.tier('search-1') == 1",
)
def tier(team: str) -> int:
    head, _, number = team.rpartition("-")
    return int(number) if head and number.isdigit() else 3


@LIBRARY.function(
    "spread",
    "list(T).spread() -> T",
    types="int double",
    description="The difference of the greatest and the least element.",
    example="[3, 9, 4].spread() == 6",
    cost=COMPARING,
)
def spread(values: list[float]) -> float:
    return max(values) - min(values)
