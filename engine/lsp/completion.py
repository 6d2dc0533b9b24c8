"""Completion: what may be written at a position, in an expression or of a document's keys and values."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from engine.base.errors import EngineError, Path
from engine.base.records import record
from engine.catalogs import Kind
from engine.cel.celtypes import PRIMITIVES
from engine.lsp.cursor import Index, spot_at
from engine.lsp.expressions import WORD, Expressions, Proposal
from engine.lsp.keys import is_expression, keys_at, kind_of, schemas_at, values_at
from engine.lsp.outline import Outline, outline
from engine.lsp.symbols import Symbols
from engine.lsp.texts import Stretch, offset_at
from engine.lsp.workspace import Workspace
from engine.plan import signatures
from engine.policy.compiled import rules
from engine.policy.sites import Site
from engine.regress.lint import Seen

_PLAIN = re.compile(r"[A-Za-z_][\w.@-]*\Z")


@record(eq=False)
class Completion:
    """Proposals, and what they replace."""

    proposals: tuple[Proposal, ...]
    stretch: Stretch


def complete(workspace: Workspace, path: str, line: int, character: int) -> Completion:
    """Return what may be written at a position."""
    plain = workspace.plain(path)
    offset = offset_at(plain, line, character)
    place = outline(plain.text[:offset])
    kind = _kind(workspace, path, plain.text)
    seen = workspace.good(path)
    written = _written(workspace, path, offset, place, seen, kind)
    if written is not None:
        site, before = written
        proposals = Expressions(site, Symbols(seen) if seen is not None else None).complete(before)
        prefix = WORD.search(before)
    else:
        proposals = _document(workspace, path, place, kind, seen)
        prefix = _PLAIN.search(place.text)
    length = 0 if prefix is None else len(prefix[0])
    start = prefix[0] if prefix is not None else ""
    shown = tuple(_sorted(each for each in proposals if _fits(each.label, start)))
    return Completion(shown, Stretch(plain, offset - length, offset))


def _fits(label: str, start: str) -> bool:
    return start.casefold() in label.casefold()


def _sorted(proposals: Iterable[Proposal]) -> list[Proposal]:
    known: dict[str, Proposal] = {}
    for each in proposals:
        known.setdefault(each.label, each)
    return list(known.values())


def _kind(workspace: Workspace, path: str, text: str) -> object:
    document = workspace.last_document(path)
    found = None if document is None else kind_of(document)
    if found is None:
        stated = re.search(r"^kind:\s*[\"']?(\w+)", text, re.MULTILINE)
        return None if stated is None else stated[1]
    return found


def _written(
    workspace: Workspace, path: str, offset: int, place: Outline, seen: Seen | None, kind: object
) -> tuple[Site, str] | None:
    """Return an expression's place, and its text up to a position; None if no expression is there."""
    if seen is None or not seen.sites:
        return None
    index = Index(seen.sites)
    document = workspace.document(path)
    if document is not None:
        spot = spot_at(document, offset)
        placed = index.at(spot)
        value = document.at(spot.path)
        if placed is not None and isinstance(value, str):
            inner = document.offset_in_scalar(spot.path, offset)
            behind = offset > document.offset_of(document.place_in_scalar(spot.path, max(len(value) - 1, 0)))
            return placed.site, value if behind else value[:inner]
    if place.is_key or not is_expression(kind, place.path):
        return None
    placed = index.find(path, place.path) or index.nearest(path, place.path)
    return None if placed is None else (placed.site, place.text)


def _document(
    workspace: Workspace, path: str, place: Outline, kind: object, seen: Seen | None
) -> Iterator[Proposal]:
    if place.is_key:
        document = workspace.document(path)
        there = {} if document is None else document.at(place.path)
        for name, schema in keys_at(kind, place.path).items():
            if not isinstance(there, dict) or name not in there or place.text.startswith(name):
                yield Proposal(name, "key", "", str(schema.get("description", "")), f"{name}: ")
    yield from (Proposal(each, "value") for each in values_at(kind, place.path))
    yield from _references(workspace, place.path, kind, seen)


def _references(workspace: Workspace, path: Path, kind: object, seen: Seen | None) -> Iterator[Proposal]:
    """Yield the documents, types, builders and matches that a value may name."""
    last = path[-1] if path else None
    listed: dict[object, Kind] = {"catalogs": "catalog", "libraries": "library"}
    parent = path[-2] if len(path) > 1 else None
    referred = listed.get(parent) or (listed.get(path[-3]) if last == "name" and len(path) > 2 else None)
    if path in (("policy",), ("base",)) or last == "auto":
        referred = "policy" if path != ("base",) or kind == "Overlay" else "catalog"
    if referred is not None and seen is not None:
        yield from _entries(seen, referred)
    elif last == "type" and _is_type(kind, path):
        objects = () if seen is None or not seen.sites else seen.sites[0].environment.objects
        yield from (Proposal(name, "type") for name in (*PRIMITIVES, *objects))
    elif last == "builder":
        yield from (Proposal(name, "value", "builder") for name in signatures())
    elif kind == "Suite" and path[-1:] in (("inputs",), ("defaults",)) and seen is not None:
        for each in seen.document.value.get("inputs", ()):
            yield Proposal(each["name"], "input", str(each["type"]), "", f"{each['name']}: ")
    elif path[-2:] == ("expect", "match") and seen is not None and seen.policy is not None:
        for rule in rules(seen.policy.rule):
            yield from (Proposal(each.id, "value", "match", each.description) for each in rule.matches)


def _is_type(kind: object, path: Path) -> bool:
    return any("CEL type" in each.get("description", "") for each, _ in schemas_at(kind, path))


def _entries(seen: Seen, kind: Kind) -> Iterator[Proposal]:
    newest: dict[str, str] = {}
    try:
        for entry in seen.store.entries(kind):
            name = f"{entry.name}@{entry.version.partition('.')[0]}"
            newest.setdefault(name, entry.path)
    except EngineError:
        return
    for name in sorted(newest):
        yield Proposal(name, "value", kind)
