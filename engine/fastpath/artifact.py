"""Compile a checked policy to an image: plain data and code that `marshal` can write."""

from __future__ import annotations

import ast as py
from collections.abc import Iterator, Mapping
from contextlib import suppress
from types import CodeType
from typing import TYPE_CHECKING

from engine.base.aliases import plain_names
from engine.catalogs.catalog import Catalog, CatalogEntry, Cell, Computed
from engine.cel import celtypes as t
from engine.cel.celtypes import Kind, ObjectType
from engine.cel.runtimes.codegen import Emitter, Writer, name
from engine.cel.runtimes.compiled import compile_module, function_definition
from engine.cel.runtimes.identifiers import COLUMN, INPUT, SPEND, identifier
from engine.cel.runtimes.link import Symbol
from engine.fastpath.declared import form, is_plain
from engine.fastpath.generate import TooLongError, generate
from engine.policy.compiled import CompiledMatch, CompiledPolicy

if TYPE_CHECKING:
    from engine.cel.values import Value
    from engine.fastpath.image import Code, Described, EntryRow, Fields, Image, ReadKind, Row, Searching


def image(
    policy: CompiledPolicy,
    auto: Mapping[str, Image] | None = None,
    open_constants: frozenset[str] = frozenset(),
) -> Image:
    """Make the image of a policy's program (engine.fastpath.image).

    Args:
        policy: the policy.
        auto: by input, the image of the policy that chooses it, if these are at hand.
        open_constants: the constants that can be replaced in the program.

    Returns:
        The image; its `code` is None if the policy is too long for one function.
    """
    if auto is None:
        auto = {name: image(input_.auto) for name, input_ in policy.inputs.items() if input_.auto is not None}
    code: CodeType | None = None
    program: Code = {}
    with suppress(TooLongError, RecursionError, MemoryError, SyntaxError):
        code, program = _program(policy, open_constants)
    return {
        "name": policy.name,
        "version": policy.version,
        "digest": policy.digest,
        "inputs": tuple(
            (input_.name, input_.type_name, input_.optional) for input_ in policy.inputs.values()
        ),
        "auto": auto,
        "defaults": {
            name: input_.default for name, input_ in policy.inputs.items() if input_.default is not None
        },
        "reads": tuple(_reads(policy)),
        "code": code,
        **program,
    }


def _reads(policy: CompiledPolicy) -> Iterator[tuple[ReadKind, str]]:
    """Yield the kind and reference of every other file that a policy is compiled from."""
    yield "schema", "types.schema.json"
    yield from policy.reads
    for reference in policy.document.value.get("catalogs", ()):
        yield "catalog", reference
    for declared in policy.document.value.get("inputs", ()):
        chooser = policy.inputs[declared["name"]].auto
        if chooser is not None:
            yield "policy", declared["auto"]
            yield from _reads(chooser)


def _program(policy: CompiledPolicy, open_constants: frozenset[str]) -> tuple[CodeType, Code]:
    generated = generate(policy, open_constants)
    columns = _Columns()
    describing = {
        catalog.describes: columns.described(catalog)
        for catalog in policy.catalogs.values()
        if catalog.describes is not None
    }
    code = compile_module([generated.function, *columns.functions])
    return code, {
        "objects": {each: tuple(type_.fields) for each, type_ in policy.objects.items()},
        "declared": tuple(each for each, type_ in policy.objects.items() if type_.declared),
        "values": {
            name: form(input_.type, policy.objects)
            for name, input_ in policy.inputs.items()
            if not is_plain(input_.type, policy.objects)
        },
        "scalars": {each: found for each, type_ in policy.objects.items() if (found := _scalars(type_))},
        "catalogs": {each: _table(catalog) for each, catalog in policy.catalogs.items()},
        "describing": describing,
        "identifying": {
            each.identifies.type: (
                each.identifies.by,
                each.identifies.into,
                plain_names(each.entries, each.aliases),
                each.name,
            )
            for each in policy.catalogs.values()
            if each.identifies is not None
        },
        "symbols": {**generated.symbols, **columns.symbols},
        "matches": tuple((match.id, match.builder, _search(match)) for match in generated.matches),
    }


def _search(match: CompiledMatch) -> Searching | None:
    """Return what a match's search requires, scores and tries as remedies."""
    search = match.search
    if search is None:
        return None
    requirements = tuple((each.id, search.monotone[each.id]) for each in search.rule.matches)
    scores = tuple(each.id for each in search.scores)
    return (
        requirements,
        scores,
        tuple((each.id, each.change, each.text, each.asked_text) for each in search.remedies),
    )


def _scalars(type_: ObjectType) -> Fields | None:
    """Return name, type name and nullability of each field; None if one isn't a scalar."""
    found = []
    for field_name, each in type_.fields.items():
        inner = each.type.element if each.type.kind is Kind.WRAPPER else each.type
        if inner not in (t.STRING, t.INT, t.DOUBLE, t.BOOL):
            return None
        found.append((field_name, inner.name, each.type.kind is Kind.WRAPPER))
    return tuple(found)


def _table(catalog: Catalog) -> tuple[str, dict[str, tuple[Value, ...]]]:
    rows = {key: tuple(row.values()) for key, row in catalog.table().items()}
    return catalog.entry_type.name, rows


class _Columns:
    """What catalogs add to the values that they describe; computed columns as functions."""

    def __init__(self) -> None:
        self.functions: list[py.stmt] = []
        self.symbols: dict[str, Symbol] = {}

    def described(self, catalog: Catalog) -> Described:
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

    def entry(self, entry: CatalogEntry, catalog: Catalog) -> EntryRow:
        variants = None
        if entry.variants is not None:
            rows = {each: self.row(row, catalog) for each, row in entry.variants.values.items()}
            variants = (entry.variants.by, rows)
        return entry.fields, self.row(entry.values, catalog), variants

    def row(self, row: Mapping[str, Cell], catalog: Catalog) -> Row:
        """Return each cell as `(True, constant)` or `(False, name of its function)`."""
        return {
            column: (False, self.function(cell, catalog)) if isinstance(cell, Computed) else (True, cell)
            for column, cell in row.items()
        }

    def function(self, cell: Computed, catalog: Catalog) -> str:
        made = identifier(COLUMN, str(len(self.functions) + 1))
        writer = Writer()

        def read(described: str) -> py.expr:
            return name(identifier(INPUT, described))

        value = Emitter(writer, cell.checked, read, lambda _: False).expression()
        parameters = [identifier(INPUT, (catalog.describes or "").lower()), SPEND]
        self.functions.append(function_definition(made, parameters, writer, value))
        self.symbols |= writer.symbols
        return made
