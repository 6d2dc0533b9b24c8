"""The catalogs that readers of inventories and models need."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from engine.base.aliases import Names
from engine.base.errors import PolicyError, Problem
from engine.catalogs.store import PolicyStore
from engine.documents.files import read_text
from engine.documents.rows import plain_rows
from engine.inventory.products import Hardware

if TYPE_CHECKING:
    from engine.catalogs.catalog import Catalog
    from engine.documents import Document


def load_hardware(folders: Sequence[str] = ()) -> Hardware:
    """What is known of hardware, by the newest catalogs; one that is faulty is an error where it is used."""
    return Hardware(lambda name: load_names(name, folders))


def load_names(reference: str, folders: Sequence[str] = ()) -> Names:
    """Return the rows of a catalog, and the names that mean them.

    Args:
        reference: the catalog: its name for the newest version, `name@1` or `name@1.0.0`.
        folders: folders of policies that take precedence over the shipped ones.

    Raises:
        PolicyError: it is missing or faulty, or lacks a column that the shipped one has.
        DocumentError: it can't be read.
    """
    store = PolicyStore(folders)
    entry = store.find("catalog", reference)
    if store.is_shipped(entry) and not store.patches():
        plain = plain_rows(read_text(entry.path), entry.name, entry.version)
        if plain is not None:
            return Names(*plain)
    # Importing what compiles a catalog costs a program's start, and plain rows do without.
    from engine.catalogs.catalog import compile_catalog
    from engine.catalogs.schema_types import schema_types

    document = store.catalog(entry)
    catalog = compile_catalog(document, schema_types())
    rows = catalog.table()
    if not store.is_shipped(entry):
        shipped = PolicyStore()
        if next(shipped.entries("catalog", entry.name), None) is not None:
            blank = _blank(catalog, shipped.read(shipped.find("catalog", entry.name)))
            rows = {key: {**blank, **row} for key, row in rows.items()}
    return Names(rows, names_in(document.value).aliases)


def names_in(value: Mapping[str, Any]) -> Names:
    """Return the names and aliases in a catalog's or patch's value, with the rows as they are written."""
    entries = value["entries"]
    return Names(
        entries, {alias: entry for entry, row in entries.items() for alias in row.get("aliases", ())}
    )


def _blank(catalog: Catalog, shipped: Document) -> dict[str, Any]:
    """The values of the shipped catalog's columns that another version of it does without.

    Raises:
        PolicyError: readers need a column that isn't there, or that has another type or is computed.
    """
    blank: dict[str, Any] = {}
    problems = []
    for name, column in shipped.value["columns"].items():
        problem = _problem(catalog, name, column)
        if problem is not None:
            problems.append(problem)
        elif name not in catalog.columns:
            blank[name] = column.get("default")
    if problems:
        raise PolicyError(problems)
    return blank


def _problem(catalog: Catalog, name: str, column: Mapping[str, Any]) -> Problem | None:
    """What keeps readers from a column that they expect as it is shipped."""
    from engine.cel.celtypes import parse_type, wrapper_of

    document = catalog.document
    if name not in catalog.columns:
        if "default" in column or column.get("optional", False):
            return None
        message = f"catalog {catalog.name} has no column '{name}'"
        return Problem(message, document.place(("columns",), key=True), column["description"], code="E112")
    place = document.place(("columns", name), key=True)
    if name not in catalog.table_columns:
        message = f"column '{name}' must be constant in every entry: it is read without a request"
        return Problem(message, place, code="E112")
    expected, found = parse_type(column["type"]), catalog.columns[name].type
    if found == wrapper_of(expected) and not column.get("optional", False):
        return Problem(f"column '{name}' can't be optional: readers need it", place, code="E112")
    if found not in (expected, wrapper_of(expected)):
        return Problem(f"column '{name}': expected type {expected}, found {found}", place, code="E112")
    return None
