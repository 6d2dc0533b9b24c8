"""Where a name is declared, and where it is used: in all files of the workspace."""

from __future__ import annotations

import re
from collections.abc import Iterator

from engine.base.errors import Path
from engine.documents import Document
from engine.lsp.cursor import explored, find, is_written, name_of, written
from engine.lsp.symbols import Symbol, Symbols
from engine.lsp.texts import Stretch
from engine.lsp.workspace import Workspace
from engine.regress.lint import Seen

_NAMED = ("variable", "input")
"""What is declared by an entry of a list with a `name`."""
_WHOLE = ("library", "catalog", "policy")
"""What is declared by a document of its own."""


def definition(workspace: Workspace, path: str, line: int, character: int) -> Stretch | None:
    """Return where the name at a position is declared."""
    found = find(workspace, path, line, character)
    return None if found is None or found.symbol is None else declaration(found.symbol)


def declaration(symbol: Symbol) -> Stretch | None:
    """Return the characters that declare a name."""
    origin = symbol.origin
    if origin is None:
        return None
    document, path = origin
    if symbol.category in (*_NAMED, "match"):
        key: Path = (*path, "id" if symbol.category == "match" else "name")
        return _value(document, key) or _key(document, path)
    if symbol.category in _WHOLE:
        return _value(document, path)
    return _key(document, path)


def _value(document: Document, path: Path) -> Stretch | None:
    span = document.positions.values.get(path)
    if span is None:
        return None
    quoted = 1 if span.style in ('"', "'") else 0
    return Stretch(document, span.start + quoted, span.end - quoted)


def _key(document: Document, path: Path) -> Stretch | None:
    span = document.positions.keys.get(path)
    if span is None:
        return _value(document, path)
    quoted = 1 if span.style in ('"', "'") else 0
    return Stretch(document, span.start + quoted, span.end - quoted)


def references(
    workspace: Workspace, path: str, line: int, character: int, *, declared: bool = True
) -> list[Stretch]:
    """Return where the name at a position is used.

    Args:
        workspace: the files.
        path: a file.
        line: the position's line.
        character: the position in the line.
        declared: also where it is declared.
    """
    found = find(workspace, path, line, character)
    if found is None or found.symbol is None or found.symbol.key is None:
        return []
    places = list(uses(workspace, found.symbol))
    at = declaration(found.symbol) if declared else None
    return ([at] if at is not None else []) + places


def uses(workspace: Workspace, symbol: Symbol) -> Iterator[Stretch]:
    """Yield where expressions of the workspace use a name, each place once."""
    known: set[tuple[str, int]] = set()
    for seen in policies_with(workspace, symbol):
        for place in _in_policy(seen, symbol):
            key = (place.document.name, place.start)
            if key not in known:
                known.add(key)
                yield place


def policies_with(workspace: Workspace, symbol: Symbol) -> Iterator[Seen]:
    """Yield the policies and libraries of the workspace that may use a name."""
    origin = symbol.origin
    if origin is None:
        return
    home = workspace.unit(origin[0].name)
    names = {short_name(symbol)}
    owner = workspace.last_document(origin[0].name)
    seen = workspace.good(origin[0].name)
    document = seen.document if seen is not None else owner
    owner_name = "" if document is None else str(document.value.get("name", ""))
    units: dict[str, list[str]] = {home: []}
    for file in workspace.files():
        units.setdefault(workspace.unit(file), []).append(workspace.text(file) or "")
    for unit, texts in units.items():
        whole = "\n".join(texts)
        if unit == home or (owner_name in whole and all(_has(whole, name) for name in names)):
            found = workspace.good(unit)
            if found is not None:
                yield found


def short_name(symbol: Symbol) -> str:
    """Return the last part of a name, which its uses end in."""
    return symbol.name.partition("@")[0].rpartition(".")[2]


def _has(text: str, name: str) -> bool:
    return re.search(rf"(?<![\w-]){re.escape(name)}(?!\w)", text) is not None


def _in_policy(seen: Seen, symbol: Symbol) -> Iterator[Stretch]:
    symbols, name = Symbols(seen), short_name(symbol)
    for site in seen.sites:
        if name not in site.text or not is_written(site):
            continue
        checked = explored(site)
        if checked is None:
            continue
        for node in checked.root.walk():
            if name_of(node) != name or not checked.text.startswith(name, node.position):
                continue
            found = symbols.of_node(site, checked, node)
            if found is not None and found.key == symbol.key:
                yield written(site, node.position, node.position + len(name))
