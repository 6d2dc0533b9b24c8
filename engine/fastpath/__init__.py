"""A policy compiled to one Python function: generated, packed, cached and linked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.base.lazy import face

if TYPE_CHECKING:
    from engine.fastpath.linked import NotQuick, PolicyProgram, UnsupportedError
    from engine.fastpath.variable_code import constant_name

__all__ = [
    "NotQuick",
    "PolicyProgram",
    "UnsupportedError",
    "constant_name",
]

if not TYPE_CHECKING:  # type checkers would take every name for exported
    __getattr__, __dir__ = face(
        __name__,
        {
            "linked": "NotQuick PolicyProgram UnsupportedError",
            "variable_code": "constant_name",
        },
        "artifact artifact_cache generate image",
    )
