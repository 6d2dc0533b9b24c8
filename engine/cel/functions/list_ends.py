"""The first and the last element of a list, as optionals."""

from __future__ import annotations

from engine.cel.library import Library
from engine.cel.values import OptionalValue, Value, require_type

LIBRARY = Library(__name__, "Ends of lists", source="cel-go optional types, version 2")


def _end(word: str, position: int, example: str) -> None:
    @LIBRARY.function(
        word,
        f"list(A).{word}() -> optional_type(A)",
        description=f"The {word} element; none if the list is empty.",
        example=example,
    )
    def end(values: list[Value]) -> OptionalValue:
        require_type(word, values, list)
        return OptionalValue(True, values[position]) if values else OptionalValue()


_end("first", 0, "[1, 2].first() == optional.of(1)")
_end("last", -1, "[1, 2].last().value() == 2")
