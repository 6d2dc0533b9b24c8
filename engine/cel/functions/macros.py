"""The macros of CEL's standard library, which the parser expands."""

from __future__ import annotations

from engine.cel.library import Library

LIBRARY = Library(__name__, "Macros", source="CEL standard library")

LIBRARY.macro(
    "has(e.f)",
    description="True if the field is set (not null), or the key present.",
    example="has({'a': 1}.a)",
)
LIBRARY.macro("e.all(x, p)", description="True if p holds for every element.", example="[1, 2].all(x, x > 0)")
LIBRARY.macro(
    "e.exists(x, p)", description="True if p holds for an element.", example="[1, 2].exists(x, x > 1)"
)
LIBRARY.macro(
    "e.exists_one(x, p)",
    description="True if p holds for exactly one element.",
    example="[1, 2].exists_one(x, x > 1)",
)
LIBRARY.macro(
    "e.existsOne(x, p)",
    description="As exists_one.",
    example="[1, 2].existsOne(x, x > 1)",
)
LIBRARY.macro("e.map(x, t)", description="t for every element.", example="[1, 2].map(x, x * 2) == [2, 4]")
LIBRARY.macro(
    "e.map(x, p, t)",
    description="t for the elements for which p holds.",
    example="[1, 2].map(x, x > 1, x * 2) == [4]",
)
LIBRARY.macro(
    "e.filter(x, p)",
    description="The elements for which p holds.",
    example="[1, 2].filter(x, x > 1) == [2]",
)
