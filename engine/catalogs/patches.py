"""Catalog patches: rows that a site adds to a catalog or corrects, without copying it."""

from __future__ import annotations

from collections.abc import Sequence

from engine.base.errors import PolicyError, Problem
from engine.documents.composed import Node, close_document, open_document
from engine.documents.document import Document

CODE = "E122"


def apply_patches(catalog: Document, patches: Sequence[Document]) -> Document:
    """Return a catalog with patches applied in order; the last one that states a cell wins.

    Args:
        catalog: the catalog's document.
        patches: documents that match the schema `patch`, the weakest first.

    Raises:
        PolicyError: a patch adds a column that is there, or a row under another row's alias; with its place.
    """
    if not patches:
        return catalog
    root = open_document(catalog)
    problems: list[Problem] = []
    for patch in patches:
        _apply(root, open_document(patch), problems)
    if problems:
        raise PolicyError(problems)
    names = ".".join(f"{patch.value['name']}.{patch.value['version']}" for patch in patches)
    root.value["version"] = root["version"].derived(f"{catalog.value['version']}+{names}")
    return close_document(root, catalog.name, (catalog, *patches))


def _apply(root: Node, patch: Node, problems: list[Problem]) -> None:
    for name, column in patch.value.get("columns", Node({}, patch.document, patch.path)).items():
        if name in root["columns"]:
            hint = "set its cells under entries"
            problems.append(column.problem(f"the catalog has a column '{name}'", hint, code=CODE, key=True))
        else:
            root["columns"].value[name] = column
    entries = root["entries"]
    aliases = {
        alias.value: name
        for name, entry in entries.items()
        if "aliases" in entry
        for alias in entry["aliases"]
    }
    for name, entry in patch["entries"].items():
        for alias in entry.value.get("aliases", Node([], patch.document, patch.path)):
            owner = alias.value if alias.value in entries else aliases.get(alias.value, name)
            if owner != name:
                problems.append(alias.problem(f"'{alias.value}' means '{owner}' already", code=CODE))
        if name in entries:
            _correct(entries[name], entry)
        elif name in aliases:
            message = f"'{name}' is an alias of '{aliases[name]}'"
            problems.append(entry.problem(message, "correct the row under its name", code=CODE, key=True))
        else:
            entries.value[name] = entry


def _correct(row: Node, entry: Node) -> None:
    """Replace cells of a row; aliases are added."""
    for column, cell in entry.items():
        known = row.get(column)
        if column == "aliases" and known is not None:
            listed = {alias.value for alias in known}
            known.value.extend(alias for alias in cell if alias.value not in listed)
        elif column == "variants" and known is not None and "values" in known:
            for name, variant in cell["values"].items():
                _correct(known["values"].section(name, dict), variant)
        else:
            row.value[column] = cell
