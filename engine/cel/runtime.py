"""What a runtime is: the one protocol between policies and whatever evaluates CEL."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from engine.cel.budget import Budget
from engine.cel.checker import Checked
from engine.cel.names import RUNTIMES
from engine.cel.types import ObjectType, Type
from engine.cel.values import Value
from engine.errors import RuntimeUnavailableError, near

Native = Any
"""A value as the runtime keeps it; only the runtime that made it may read it."""


class Scope(Protocol):
    """Where an expression's global names get their values."""

    def resolve(self, name: str) -> Native:
        """The value of `name`.

        Raises:
            CelError: computing it ended in an error.
        """
        ...


class Program(Protocol):
    """An expression made ready by a runtime."""

    def evaluate(self, scope: Scope, budget: Budget) -> Native:
        """The expression's value.

        Raises:
            CelError: the expression ended in an error.
            BudgetError: it took more steps than the budget has.
        """
        ...


class Runtime(Protocol):
    """Makes programs of checked expressions, and turns plain values into its own and back."""

    name: str

    def compile(self, checked: Checked) -> Program:
        """A program for a checked expression."""
        ...

    def encode(self, value: Value, type_: Type) -> Native:
        """A plain value (see engine.cel.values) of that type as the runtime keeps it."""
        ...

    def decode(self, value: Native, type_: Type) -> Value:
        """The runtime's value as plain Python."""
        ...


def create_runtime(name: str, objects: Mapping[str, ObjectType]) -> Runtime:
    """The runtime of that name, for expressions over these object types.

    Raises:
        RuntimeUnavailableError: no such runtime, or it isn't installed.
    """
    if name == "compiled":
        from engine.cel.compiled_runtime import CompiledRuntime

        return CompiledRuntime(objects)
    if name == "cel-python":
        from engine.cel.celpy_runtime import CelPythonRuntime

        return CelPythonRuntime(objects)
    if name == "cel-cpp":
        try:
            from engine.cel.cpp_runtime import CelCppRuntime
        except ImportError as error:
            raise RuntimeUnavailableError(
                f"the runtime cel-cpp is not installed ({error.name} is missing)",
                hint="pip install 'shard-policy-engine[cel-cpp]'",
            ) from None
        return CelCppRuntime(objects)
    raise RuntimeUnavailableError(f"unknown runtime '{name}'", hint=near(name, RUNTIMES))
