"""Policies and catalogs: found in folders, read with positions, checked, compiled.

A policy that comes compiled from the cache needs few of these modules: names are imported when they are used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engine.policy.compiled import (
        CompiledMatch,
        CompiledPolicy,
        CompiledRule,
        CompiledVariable,
        Expression,
        Input,
    )
    from engine.policy.compiler import compile_policy
    from engine.policy.signature import BuilderSignature, Parameter
    from engine.policy.store import Entry, PolicyStore

__all__ = [
    "BuilderSignature",
    "CompiledMatch",
    "CompiledPolicy",
    "CompiledRule",
    "CompiledVariable",
    "Entry",
    "Expression",
    "Input",
    "Parameter",
    "PolicyStore",
    "compile_policy",
]

_MODULES = {
    "BuilderSignature": "signature",
    "Parameter": "signature",
    "Entry": "store",
    "PolicyStore": "store",
    "compile_policy": "compiler",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'engine.policy' has no attribute {name!r}")
    module = importlib.import_module(f"engine.policy.{_MODULES.get(name, 'compiled')}")
    value = globals()[name] = getattr(module, name)
    return value
