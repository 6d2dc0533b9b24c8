"""The changes to try if a search is refused, as a policy lists them."""

from __future__ import annotations

from collections.abc import Sequence

from engine.base.jsontypes import Json
from engine.base.records import record


@record
class Try:
    """A change of the request: the values to try, smallest change first, and the value in the request.

    `text` and `asked_text` describe a new value and the value in the request, with `{value}` in its place.
    """

    id: str
    change: str
    values: Sequence[Json]
    asked: Json = None
    text: str = ""
    asked_text: str = ""


@record
class Tries:
    """Changes to try, cheapest first, and how far to go on: 0 candidates for single changes only."""

    changes: tuple[Try, ...] = ()
    most_candidates: int = 0
    most_combinations: int = 0
