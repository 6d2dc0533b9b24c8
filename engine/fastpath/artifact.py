"""From a compiled policy to a program's image: plain data and code that `marshal` can write."""

from __future__ import annotations

import ast as py
from collections.abc import Iterator, Mapping
from typing import Any

from engine.cel import types as t
from engine.cel.codegen import Emitter, Writer, name
from engine.cel.compiled_runtime import compile_module, function_definition
from engine.cel.link import Symbol
from engine.cel.types import Kind, ObjectType
from engine.names import plain_names
from engine.policy.catalog import Catalog, CatalogEntry, Cell, Computed
from engine.policy.compiled import CompiledMatch, CompiledPolicy
from engine.policy.generate import TooLongError, generate


def image(
    policy: CompiledPolicy,
    auto: Mapping[str, Any] | None = None,
    open_constants: frozenset[str] = frozenset(),
) -> dict[str, Any]:
    """The image of a policy's program.

    Args:
        policy: the policy.
        auto: by input the images of the policies that choose it, where they are at hand.
        open_constants: those that the program can be given other values for.

    Keys: `name`, `version`, `digest`, `reads` (kinds and references of what it is compiled with), `auto` (by
    input the image of the policy that chooses it), `inputs` (names, type names, whether they may be left
    out), `objects` (fields by type), `scalars` (the same with types, of types whose fields are all scalars),
    `catalogs` (by name the type of their entries and the rows), `describing` (by type what a catalog adds to
    its values), `identifying` (by type the field with a name, the field for the entry, and entries by plain
    names), `code`, `symbols`, and `matches` (by position ids, builders, searches). `code` is None where it is
    too long to be one function.
    """
    meta = {
        "name": policy.name,
        "version": policy.version,
        "digest": policy.digest,
        "inputs": tuple((each.name, each.type_name, each.optional) for each in policy.inputs.values()),
        "auto": auto
        if auto is not None
        else {each.name: image(each.auto) for each in policy.inputs.values() if each.auto is not None},
        "reads": tuple(_reads(policy)),
        "code": None,
    }
    try:
        return {**meta, **_program(policy, open_constants)}
    except (TooLongError, RecursionError, MemoryError, SyntaxError):
        return meta


def _reads(policy: CompiledPolicy) -> Iterator[tuple[str, str]]:
    """What else a policy is compiled with: kinds and references of files."""
    yield "schema", "types.schema.json"
    for reference in policy.document.value.get("catalogs", ()):
        yield "catalog", reference
    for declared in policy.document.value.get("inputs", ()):
        chooser = policy.inputs[declared["name"]].auto
        if chooser is not None:
            yield "policy", declared["auto"]
            yield from _reads(chooser)


def _program(policy: CompiledPolicy, open_constants: frozenset[str]) -> dict[str, Any]:
    generated = generate(policy, open_constants)
    columns = _Columns()
    describing = {
        catalog.describes: columns.described(catalog)
        for catalog in policy.catalogs.values()
        if catalog.describes is not None
    }
    return {
        "objects": {each: tuple(type_.fields) for each, type_ in policy.objects.items()},
        "scalars": {each: found for each, type_ in policy.objects.items() if (found := _scalars(type_))},
        "catalogs": {each: _table(catalog) for each, catalog in policy.catalogs.items()},
        "describing": describing,
        "identifying": {
            each.identifies.type: (
                each.identifies.by,
                each.identifies.into,
                plain_names(each.entries, each.aliases),
            )
            for each in policy.catalogs.values()
            if each.identifies is not None
        },
        "code": compile_module([generated.function, *columns.functions]),
        "symbols": {**generated.symbols, **columns.symbols},
        "matches": tuple((match.id, match.builder, _search(match)) for match in generated.matches),
    }


def _search(match: CompiledMatch) -> tuple[Any, ...] | None:
    """Of a match that searches: requirements with their degrees, scores, remedies with what they change."""
    search = match.search
    if search is None:
        return None
    requirements = tuple((each.id, search.monotone[each.id]) for each in search.rule.matches)
    scores = tuple(each.id for each in search.scores)
    return requirements, scores, tuple((each.id, each.change) for each in search.remedies)


def _scalars(type_: ObjectType) -> tuple[tuple[str, str, bool], ...] | None:
    """Name, type's name and whether it may be null of each field; None where one is more than a scalar."""
    found = []
    for field_name, each in type_.fields.items():
        inner = each.type.element if each.type.kind is Kind.WRAPPER else each.type
        if inner not in (t.STRING, t.INT, t.DOUBLE, t.BOOL):
            return None
        found.append((field_name, inner.name, each.type.kind is Kind.WRAPPER))
    return tuple(found)


def _table(catalog: Catalog) -> tuple[str, dict[str, tuple[Any, ...]]]:
    rows = {key: tuple(row.values()) for key, row in catalog.table().items()}
    return catalog.entry_type.name, rows


class _Columns:
    """What catalogs say of the values that they describe, computed columns as functions."""

    def __init__(self) -> None:
        self.functions: list[py.stmt] = []
        self.symbols: dict[str, Symbol] = {}

    def described(self, catalog: Catalog) -> dict[str, Any]:
        return {
            "by": catalog.by,
            "fields": {
                each: field.type.element.name if field.type.kind is Kind.WRAPPER else field.type.name
                for each, field in catalog.fields.items()
            },
            "minimums": dict(catalog.minimums),
            "columns": tuple(catalog.columns),
            "aliases": dict(catalog.aliases),
            "entries": {each: self.entry(entry, catalog) for each, entry in catalog.entries.items()},
        }

    def entry(self, entry: CatalogEntry, catalog: Catalog) -> tuple[Any, ...]:
        variants = None
        if entry.variants is not None:
            rows = {each: self.row(row, catalog) for each, row in entry.variants.values.items()}
            variants = (entry.variants.by, rows)
        return entry.fields, self.row(entry.values, catalog), variants

    def row(self, row: Mapping[str, Cell], catalog: Catalog) -> dict[str, tuple[bool, Any]]:
        """Each cell as `(True, constant)` or `(False, name of its function)`."""
        return {
            column: (False, self.function(cell, catalog)) if isinstance(cell, Computed) else (True, cell)
            for column, cell in row.items()
        }

    def function(self, cell: Computed, catalog: Catalog) -> str:
        identifier = f"column_{len(self.functions) + 1}"
        parameter = (catalog.describes or "").lower()
        writer = Writer()
        value = Emitter(writer, cell.checked, name, lambda _: False).expression()
        self.functions.append(function_definition(identifier, [parameter, "spend"], writer, value))
        self.symbols |= writer.symbols
        return identifier
