"""cel-go's macros with two variables: an index and an element, or a key and a value."""

from __future__ import annotations

from engine.cel.library import Library

LIBRARY = Library(__name__, "Two-variable macros", source="cel-go comprehensions extension")

LIBRARY.macro(
    "e.all(i, v, p)",
    description="True if p holds for every index and element, or key and value.",
    example="{'a': 1}.all(k, v, k == 'a' && v == 1)",
)
LIBRARY.macro(
    "e.exists(i, v, p)",
    description="True if p holds for an index and element.",
    example="[1, 2].exists(i, v, i == v - 1)",
)
LIBRARY.macro(
    "e.existsOne(i, v, p)",
    description="True if p holds for exactly one index and element; also called exists_one.",
    example="[1, 2].existsOne(i, v, i == 0)",
)
LIBRARY.macro(
    "e.transformList(i, v, t)",
    description="A list of t for every index and element, or key and value.",
    example="[3, 4].transformList(i, v, i + v) == [3, 5]",
)
LIBRARY.macro(
    "e.transformList(i, v, p, t)",
    description="A list of t for those for which p holds.",
    example="[3, 4].transformList(i, v, i > 0, v) == [4]",
)
LIBRARY.macro(
    "e.transformMap(k, v, t)",
    description="A map of t for every key, or for every index of a list.",
    example="{'a': 1}.transformMap(k, v, v + 1) == {'a': 2}",
)
LIBRARY.macro(
    "e.transformMap(k, v, p, t)",
    description="A map of t for the keys for which p holds.",
    example="{'a': 1, 'b': 2}.transformMap(k, v, v > 1, v) == {'b': 2}",
)
LIBRARY.macro(
    "e.transformMapEntry(k, v, t)",
    description="A map of the entries of all maps t; two equal keys are an error.",
    example="{'a': 'b'}.transformMapEntry(k, v, {v: k}) == {'b': 'a'}",
)
LIBRARY.macro(
    "e.transformMapEntry(k, v, p, t)",
    description="A map of the entries of the maps t for which p holds.",
    example="[5, 6].transformMapEntry(i, v, i > 0, {v: i}) == {6: 1}",
)
