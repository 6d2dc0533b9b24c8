"""Policies and catalogs: found in folders, read with positions, checked, compiled."""

from engine.policy.compiled import (
    BuilderSignature,
    CompiledMatch,
    CompiledPolicy,
    CompiledRule,
    CompiledVariable,
    Expression,
    Input,
    Parameter,
)
from engine.policy.compiler import compile_policy
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
