"""Files that policies name: CSV of decision tables and JSON Schemas of types, in the policy's folder."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from engine.base.errors import DocumentError
from engine.documents import Limits, decode_document
from engine.documents.confined import ConfinedError, parts_of
from engine.documents.csv_source import load_csv

if TYPE_CHECKING:
    from engine.catalogs.store import PolicyStore
    from engine.documents import Document

MOST_CELLS = 200_000
"""Cells of a CSV file."""
MOST_SCHEMA_VALUES = 20_000
"""Values in a JSON Schema."""


def read_table(store: PolicyStore, policy: str, name: str) -> Document:
    """Return the rows of a CSV file as lists of texts.

    Args:
        store: reads the file.
        policy: the path of the file that names it.
        name: its path in the folder of that file.

    Raises:
        DocumentError: it is missing, leads out of the folder, or is no CSV.
    """
    if not name.endswith(".csv"):
        raise DocumentError(f"'{name}' is no CSV file", hint="rows are lists of cells, or a file NAME.csv")
    path, content = _content(store, policy, name)
    return load_csv(content, path, Limits(nodes=MOST_CELLS))


def read_schema(store: PolicyStore, policy: str, name: str) -> Document:
    """Return a JSON Schema; arguments as of `read_table`.

    Raises:
        DocumentError: it is missing, leads out of the folder, or is no JSON.
    """
    if not name.endswith(".json"):
        raise DocumentError(f"'{name}' is no JSON file", hint="a schema is a file NAME.json")
    path, content = _content(store, policy, name)
    document = decode_document(content, path)
    if _count(document.value) > MOST_SCHEMA_VALUES:
        raise DocumentError(f"{path}: more than {MOST_SCHEMA_VALUES:,} values")
    return document


def _count(value: object) -> int:
    """Count a value and those in it."""
    count, waiting = 0, [value]
    while waiting:
        each = waiting.pop()
        count += 1
        if isinstance(each, dict):
            waiting += each.values()
        elif isinstance(each, list):
            waiting += each
    return count


def _content(store: PolicyStore, policy: str, name: str) -> tuple[str, bytes]:
    """Return the path of a file that a policy names, and what is in it."""
    folder = os.path.dirname(policy)
    path = os.path.join(folder, name)
    try:
        content = store.beside(folder, name)
    except ConfinedError as error:
        hint = "the file must be in the policy's folder"
        raise DocumentError(f"'{name}': expected {error}", hint=hint) from None
    except OSError as error:
        raise DocumentError(f"{path}: {error.strerror}") from None
    if content is None:
        raise DocumentError(f"{path}: no such file", hint="the path starts in the policy's folder")
    return path, content


def table_files(value: object) -> Iterator[str]:
    """Yield the files that a policy's or library's document names, as it names them."""
    types = value.get("types") if isinstance(value, Mapping) else None
    for declared in types.values() if isinstance(types, Mapping) else ():
        schema = declared.get("schema") if isinstance(declared, Mapping) else None
        if isinstance(schema, str) and _is_inside(schema):
            yield schema
    rule = value.get("rule") if isinstance(value, Mapping) else None
    if isinstance(rule, Mapping):
        yield from _in_rule(rule)


def _in_rule(rule: Mapping[str, Any]) -> Iterator[str]:
    table = rule.get("table")
    rows = table.get("rows") if isinstance(table, Mapping) else None
    if isinstance(rows, str) and _is_inside(rows):
        yield rows
    matches = rule.get("match")
    for match in matches if isinstance(matches, list) else ():
        if isinstance(match, Mapping) and isinstance(match.get("rule"), Mapping):
            yield from _in_rule(match["rule"])


def _is_inside(name: str) -> bool:
    try:
        return bool(parts_of(name))
    except ConfinedError:
        return False
