"""A library of functions: the one thing that a module needs to add functions to CEL.

A module that adds functions holds one `Library` called `LIBRARY`. Its decorator takes everything about a
function: its name, signatures, description, an example that is true, its cost and its implementation.

    LIBRARY = Library(__name__, "Geography", source="acme", namespace="geo")

    @LIBRARY.function(
        "geo.distance",
        "geo.distance(double, double) -> double",
        description="The distance of two positions on a line.",
        example="geo.distance(1.0, 3.0) == 2.0",
    )
    def distance(first: float, second: float) -> float:
        return abs(first - second)

Modules in `engine.cel.functions` are discovered. A room above adds its own with `add_library`, a package
outside with an entry point of the group `engine.functions`, which names the module.

Linking an artifact from the cache imports the libraries that it uses. That must be cheap, so signatures are
parsed elsewhere, in `engine.cel.declarations`, for the checker.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from engine.base.records import record
from engine.cel.budget import BudgetError
from engine.cel.costs import FLAT, OPEN_OPERATIONS, Cost, Price, priced
from engine.cel.values import CelError, Value

if TYPE_CHECKING:
    from typing import Required, TypedDict, Unpack

    class _Options(TypedDict, total=False):
        """Arguments of `Library.define` besides names and implementation."""

        description: Required[str]
        example: Required[str]
        types: str
        cost: Cost
        operations: int
        variadic: bool
        empty: dict[str, Value]


Implementation = Callable[..., Value]
"""A function over plain CEL values; if its cost is CHARGING, `spend` comes first."""
_Function = TypeVar("_Function", bound=Callable[..., object])

ENTRY_POINTS = "engine.functions"
"""The group of entry points by which packages outside add libraries."""


@record(eq=False)
class Definition:
    """One function of a library."""

    name: str
    module: str
    """The module that holds the library."""
    signatures: tuple[str, ...]
    types: str
    """The types that `T` stands for in the signatures, each an overload of its own."""
    description: str
    example: str
    cost: Cost
    operations: int
    """The least that a call takes, in Python operations; counted where a macro repeats the call."""
    variadic: bool
    """Three arguments or more are taken as one list."""
    implementation: Implementation | None
    """None for operators that every runtime has by itself."""
    empty: dict[str, Value]
    """Results for an empty list that differ by overload, by signature."""

    @property
    def takes_spend(self) -> bool:
        """True if `linked` returns a function that takes `spend` before its arguments."""
        return self.cost != FLAT

    def linked(self, signature: str | None = None) -> Implementation:
        """Return the function as evaluation calls it: with `spend` first unless it is FLAT.

        Args:
            signature: the overload that was chosen, if there is just one.

        Raises:
            LookupError: it is an operator that the runtime must have by itself.
        """
        function = self.implementation
        if function is None:
            raise LookupError(self.name)
        if signature in self.empty:
            function = _with_empty(function, self.empty[signature])
        if not self.module.startswith("engine."):
            function = _guarded(self.name, function)
        return priced(self.cost, function) if isinstance(self.cost, Price) else function


def _guarded(name: str, function: Implementation) -> Implementation:
    """Return a function of a package outside, whose exceptions are errors of CEL."""

    def guarded(*arguments: Value) -> Value:
        try:
            return function(*arguments)
        except (CelError, BudgetError):
            raise
        except Exception as error:
            raise CelError(f"{name}: {type(error).__name__}: {error}"[:300]) from error

    return guarded


def _with_empty(function: Implementation, result: object) -> Implementation:
    return lambda values: function(values) if values else result


@record
class Macro:
    """A form that the parser expands: its variable is bound to each element in turn."""

    form: str
    description: str
    example: str


class Library:
    """Functions of one module.

    Args:
        module: the module's `__name__`.
        title: heading of the library in the documentation.
        source: where the functions come from: a specification, another project.
        namespace: the word before the dot of functions such as `math.ceil`, if there are any.
    """

    def __init__(self, module: str, title: str, *, source: str, namespace: str | None = None) -> None:
        self.module = module
        self.title = title
        self.source = source
        self.namespace = namespace
        self.functions: dict[str, Definition] = {}
        self.macros: list[Macro] = []

    def define(
        self,
        name: str,
        *signatures: str,
        description: str,
        example: str,
        types: str = "",
        cost: Cost = FLAT,
        operations: int = OPEN_OPERATIONS,
        variadic: bool = False,
        implementation: Implementation | None = None,
        empty: dict[str, Value] | None = None,
    ) -> None:
        """Add a function.

        Args:
            name: as expressions call it: `math.ceil`, `size`; `_+_` for an operator.
            signatures: its overloads: `math.ceil(double) -> double`, `string.size() -> int`.
            description: one sentence for the documentation.
            example: an expression that is true.
            types: what `T` stands for in the signatures: `int uint double`.
            cost: see `engine.cel.costs`.
            operations: the least that a call takes, in Python operations.
            variadic: three arguments or more are taken as one list.
            implementation: the function over plain values.
            empty: results for an empty list that differ by overload, by signature.
        """
        self.functions[name] = Definition(
            name=name,
            module=self.module,
            signatures=signatures,
            types=types,
            description=description,
            example=example,
            cost=cost,
            operations=operations,
            variadic=variadic,
            implementation=implementation,
            empty=empty or {},
        )

    def function(
        self, name: str, *signatures: str, **options: Unpack[_Options]
    ) -> Callable[[_Function], _Function]:
        """Add the decorated function; arguments are those of `define`."""

        def decorate(implementation: _Function) -> _Function:
            self.define(name, *signatures, implementation=implementation, **options)
            return implementation

        return decorate

    def macro(self, form: str, *, description: str, example: str) -> None:
        """Document a form that the parser expands."""
        self.macros.append(Macro(form, description, example))


_added: list[str] = []


def add_library(module: str) -> None:
    """Add the library of a module of a room above this one; it is imported when functions are looked up."""
    if module not in _added:
        _added.append(module)


def added_libraries() -> tuple[str, ...]:
    """Return the modules that `add_library` named."""
    return tuple(_added)


def load_library(module: str) -> Library:
    """Import a module and return its `LIBRARY`."""
    __import__(module)
    library: Library = sys.modules[module].LIBRARY
    return library
