"""cel-go's bindings extension: `cel.bind`, which the parser expands."""

from __future__ import annotations

from engine.cel.library import Library

LIBRARY = Library(__name__, "Bindings", source="cel-go bindings extension")

LIBRARY.macro(
    "cel.bind(x, v, t)", description="t, with v bound to the name x.", example="cel.bind(x, 2, x * x) == 4"
)
