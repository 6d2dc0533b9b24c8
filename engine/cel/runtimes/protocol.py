"""The protocol between policies and the runtimes that evaluate CEL."""

from __future__ import annotations

from typing import Any, Protocol

from engine.cel.budget import Budget
from engine.cel.celtypes import Type
from engine.cel.checker import Checked
from engine.cel.values import Value

Native = Any
"""A value in the runtime's own form; only the runtime that created it may read it."""


class Scope(Protocol):
    """The source of the values of global names."""

    def resolve(self, name: str) -> Native:
        """Return the value of `name`.

        Raises:
            CelError: computing it ended in an error.
        """
        ...


class Program(Protocol):
    """An expression that a runtime has compiled."""

    def evaluate(self, scope: Scope, budget: Budget) -> Native:
        """Return the expression's value.

        Raises:
            CelError: the expression ended in an error.
            BudgetError: it took more steps than the budget has.
        """
        ...


class Runtime(Protocol):
    """A runtime: compiles checked expressions, and converts plain values to its own form and back."""

    name: str

    def compile(self, checked: Checked) -> Program:
        """Compile a checked expression."""
        ...

    def encode(self, value: Value, type_: Type) -> Native:
        """Convert a plain value (see engine.cel.values) of that type to the runtime's form."""
        ...

    def decode(self, value: Native, type_: Type) -> Value:
        """Convert the runtime's value to plain Python."""
        ...
