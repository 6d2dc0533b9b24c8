"""From a compiled policy to a program's image: plain data and code that `marshal` can write."""

from __future__ import annotations

import ast as py
from collections.abc import Iterator, Mapping
from typing import Any

from engine.cel.codegen import Emitter, Writer, name
from engine.cel.compiled_runtime import compile_module, function_definition
from engine.cel.link import Symbol
from engine.cel.types import Kind
from engine.policy.catalog import Catalog, CatalogEntry, Cell, Computed
from engine.policy.compiled import CompiledPolicy
from engine.policy.generate import TooLongError, generate


def image(policy: CompiledPolicy) -> dict[str, Any]:
    """The image of a policy's program.

    Keys: `name`, `version`, `digest`, `reads` (kinds and references of what it is compiled with), `auto` (by
    input the image of the policy that chooses it), `inputs` (names and type names), `objects` (fields by
    type), `catalogs` (by name the type of their entries and the rows), `describing` (by type what a catalog
    adds to its values), `code`, `symbols`, and `matches` (ids and builders by position). `code` is None where
    the policy is too long to be one function.
    """
    meta = {
        "name": policy.name,
        "version": policy.version,
        "digest": policy.digest,
        "inputs": tuple((each.name, each.type_name) for each in policy.inputs.values()),
        "auto": {each.name: image(each.auto) for each in policy.inputs.values() if each.auto is not None},
        "reads": tuple(_reads(policy)),
        "code": None,
    }
    try:
        return {**meta, **_program(policy)}
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


def _program(policy: CompiledPolicy) -> dict[str, Any]:
    generated = generate(policy)
    columns = _Columns()
    describing = {
        catalog.describes: columns.described(catalog)
        for catalog in policy.catalogs.values()
        if catalog.describes is not None
    }
    return {
        "objects": {each: tuple(type_.fields) for each, type_ in policy.objects.items()},
        "catalogs": {each: _table(catalog) for each, catalog in policy.catalogs.items()},
        "describing": describing,
        "code": compile_module([generated.function, *columns.functions]),
        "symbols": {**generated.symbols, **columns.symbols},
        "matches": tuple((match.id, match.builder) for match in generated.matches),
    }


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
