"""Policies from documents to checked, compiled rules.

A policy that comes compiled from the cache needs few of these modules: names are imported when they are used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.base.lazy import face

if TYPE_CHECKING:
    from engine.policy.compiled import (
        CompiledMatch,
        CompiledPolicy,
        CompiledRule,
        CompiledVariable,
        Expression,
        Input,
    )
    from engine.policy.compiler import compile_faulty, compile_policy
    from engine.policy.overlays import settings_document
    from engine.policy.signature import BuilderSignature, Parameter

__all__ = [
    "BuilderSignature",
    "CompiledMatch",
    "CompiledPolicy",
    "CompiledRule",
    "CompiledVariable",
    "Expression",
    "Input",
    "Parameter",
    "compile_faulty",
    "compile_policy",
    "settings_document",
]

if not TYPE_CHECKING:  # type checkers would take every name for exported
    __getattr__, __dir__ = face(
        __name__,
        {
            "compiled": "CompiledMatch CompiledPolicy CompiledRule CompiledVariable Expression Input",
            "compiler": "compile_faulty compile_policy",
            "overlays": "settings_document",
            "signature": "BuilderSignature Parameter",
        },
        "checks compiled imports sites starts table_cells table_domains units",
    )
