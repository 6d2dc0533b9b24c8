"""The table of all functions that expressions may call, from the libraries that are found.

Signatures are written as people read them: `size(string) -> int` is a function, `string.size() -> int` a
method, `_+_` an operator; single capitals are type parameters. docs/functions.md is generated from this
table; each example is an expression that is true.

Libraries come from three places: the modules of `engine.cel.functions`, the modules that rooms above add
(`engine.cel.library.add_library`), and packages outside, by entry points of the group `engine.functions`. The
last are loaded only for a name that no built-in library has. A library of theirs that defines a function that
exists already is refused as a whole: no policy calls another function than the one it was checked with.
"""

from __future__ import annotations

import pkgutil
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from engine.base.discovery import entries
from engine.base.records import record
from engine.cel import functions as built_in
from engine.cel.celtypes import OPAQUE, Type, parse_type
from engine.cel.library import (
    ENTRY_POINTS,
    Definition,
    Implementation,
    Library,
    Macro,
    added_libraries,
    load_library,
)

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint


@record
class Overload:
    """One typing of a function; the target of a method is its first parameter."""

    signature: str
    parameters: tuple[Type, ...]
    result: Type
    member: bool


@record
class Function:
    """A function with all of its overloads."""

    name: str
    source: str
    overloads: tuple[Overload, ...]
    definition: Definition

    @property
    def variadic(self) -> bool:
        """True if three arguments or more are taken as one list."""
        return self.definition.variadic


@record
class Outside:
    """Libraries of packages outside, and why others could not be loaded, by the names of entry points."""

    libraries: tuple[Library, ...]
    failures: Mapping[str, str]
    packages: Mapping[str, Package]
    """The packages of loaded libraries, by module."""


@record
class Package:
    """What tells one state of a package's library from another."""

    module: str
    version: str
    text: str
    """The text of the module that holds the library."""


def libraries() -> tuple[Library, ...]:
    """Return the built-in libraries, ordered by source and title."""
    return _libraries(added_libraries())


@lru_cache(maxsize=8)
def _libraries(added: tuple[str, ...]) -> tuple[Library, ...]:
    modules = [f"{built_in.__name__}.{each.name}" for each in pkgutil.iter_modules(built_in.__path__)]
    return tuple(sorted(map(load_library, (*modules, *added)), key=lambda each: (each.source, each.title)))


@cache
def outside() -> Outside:
    """Load the libraries of packages outside; one that can't be loaded is left out."""
    loaded: list[Library] = []
    failures: dict[str, str] = {}
    packages: dict[str, Package] = {}
    owners = dict.fromkeys(functions(), "the engine")
    for entry in entries(ENTRY_POINTS):
        try:
            library = load_library(entry.module)
            for name in _table((library,)):
                if name in owners:
                    raise ValueError(f"function '{name}' is one of {owners[name]} already")
            packages[entry.module] = _package(entry)
        except Exception as error:  # whatever a package outside raises
            failures[entry.name] = f"{type(error).__name__}: {error}"[:200]
            continue
        loaded.append(library)
        owners |= dict.fromkeys(library.functions, f"entry point '{entry.name}'")
    return Outside(tuple(loaded), failures, packages)


def _package(entry: EntryPoint) -> Package:
    """Return the package of a library that is loaded."""
    file = getattr(sys.modules[entry.module], "__file__", None)
    text = "" if file is None else Path(file).read_bytes().decode("utf-8", "replace")
    return Package(entry.module, "" if entry.dist is None else entry.dist.version, text)


def packages_of(names: Iterable[str]) -> tuple[Package, ...]:
    """Return the packages outside that functions of these names come from, which are resolved already."""
    built = functions()
    modules = {definition(name).module for name in names if name not in built}
    found = outside().packages if modules else {}
    return tuple(found[module] for module in sorted(modules))


def functions() -> Mapping[str, Function]:
    """Return the built-in functions by name."""
    return _table(libraries())


def find_function(name: str) -> Function | None:
    """Return the function of that name: a built-in one, else one of a package outside, else None."""
    return functions().get(name) or _table(outside().libraries).get(name)


def definition(name: str) -> Definition:
    """Return the definition of a function that the checker has resolved."""
    function = find_function(name)
    if function is None:
        raise LookupError(name)
    return function.definition


def implementation(name: str, signature: str | None = None) -> Implementation:
    """Return a function as evaluation calls it (see `Definition.linked`)."""
    return definition(name).linked(signature)


def macros() -> Iterator[tuple[Library, Macro]]:
    """Yield the macros that the parser expands, each with its library."""
    return ((library, macro) for library in libraries() for macro in library.macros)


@lru_cache(maxsize=8)
def _table(found: tuple[Library, ...]) -> Mapping[str, Function]:
    table: dict[str, Function] = {}
    for library in found:
        for name, defined in library.functions.items():
            table.setdefault(
                name, Function(name, library.source, tuple(_overloads(library, defined)), defined)
            )
    return table


def _overloads(library: Library, defined: Definition) -> Iterator[Overload]:
    for template in defined.signatures:
        types = defined.types.split() if re.search(r"\bT\b", template) else [""]
        for name in types:
            yield _overload(library, defined.name, re.sub(r"\bT\b", name, template))


def _overload(library: Library, name: str, signature: str) -> Overload:
    left, _, result = signature.partition(" -> ")
    opening = _opening(left)
    head, inside = left[:opening], left[opening + 1 : -1]
    parameters = [parse_type(part, OPAQUE) for part in _split(inside)]
    target, dot, method = head.rpartition(".")
    member = bool(dot) and target != library.namespace and head != name
    if (method if member else head) != name:
        raise ValueError(f"signature {signature!r} is not one of function {name!r}")
    if member:
        parameters.insert(0, parse_type(target, OPAQUE))
    return Overload(signature, tuple(parameters), parse_type(result, OPAQUE), member)


def _opening(left: str) -> int:
    """Return the index of the parenthesis that the last one closes."""
    depth = 0
    for index in range(len(left) - 1, -1, -1):
        depth += {")": 1, "(": -1}.get(left[index], 0)
        if depth == 0:
            return index
    raise ValueError(left)


def _split(inside: str) -> Iterator[str]:
    """Yield the parameters, which are separated by commas outside parentheses."""
    depth, start = 0, 0
    for index, character in enumerate(inside):
        depth += {"(": 1, ")": -1}.get(character, 0)
        if character == "," and depth == 0:
            yield inside[start:index]
            start = index + 1
    if inside.strip():
        yield inside[start:]
