"""What schemas say of a document's keys: descriptions, and the keys and values that may be written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from engine.base.errors import Path
from engine.documents import Document, load_schema

_SCHEMAS: Mapping[str, tuple[str, ...]] = {
    "Policy": ("policy",),
    "Part": ("part", "policy", "library"),
    "Overlay": ("overlay",),
    "Library": ("library",),
    "Catalog": ("catalog",),
    "CatalogPatch": ("patch",),
    "Lock": ("lock",),
    "Suite": ("suite",),
    "Settings": ("settings",),
    "Fixtures": ("fixtures",),
    "Inventory": ("inventory",),
    "Model": ("model",),
    "Request": ("request",),
}
"""Schemas by kind of document; parts are written as the policy or library is."""

Schema = Mapping[str, Any]


def kind_of(document: Document) -> object:
    """Return the kind that a document states."""
    return document.value.get("kind") if isinstance(document.value, dict) else None


def schemas_at(kind: object, path: Path) -> list[tuple[Schema, Schema]]:
    """Return the schemas of the value at a path of a document, each with the schema that contains it."""
    found: list[tuple[Schema, Schema]] = []
    for name in _SCHEMAS.get(str(kind), ()):
        root: Schema = load_schema(name)
        found.append((root, root))
    for step in path:
        found = [inner for schema, top in found for inner in _step(schema, top, step)]
    return [each for schema, top in found for each in _branches(schema, top)]


def describe_key(kind: object, path: Path) -> str:
    """Return what the schema says of a key, as Markdown; empty if it says nothing."""
    title = f"`{path[-1]}`"
    for schema, _ in schemas_at(kind, path):
        if "description" in schema:
            allowed = ", ".join(f"`{each}`" for each in schema.get("enum", ()))
            type_ = schema.get("type")
            type_ = " or ".join(type_) if isinstance(type_, list) else type_
            head = f"**{path[-1]}**" + (f": {type_}" if type_ else "")
            return head + f"\n\n{schema['description']}" + (f"\n\nOne of {allowed}." if allowed else "")
    return "" if not schemas_at(kind, path) else title


def keys_at(kind: object, path: Path) -> dict[str, Schema]:
    """Return the keys that a mapping may have, with their schemas."""
    keys: dict[str, Schema] = {}
    for schema, top in schemas_at(kind, path)[: None if path or kind != "Part" else 1]:
        for name, inner in schema.get("properties", {}).items():
            keys.setdefault(name, _described(inner, top))
    return keys


def values_at(kind: object, path: Path) -> list[str]:
    """Return the words that a value may be, if they are few."""
    if path == ("kind",):
        return list(_SCHEMAS)
    words: dict[str, None] = {}
    for schema, _ in schemas_at(kind, path):
        values = [schema["const"]] if "const" in schema else schema.get("enum", ())
        if schema.get("type") == "boolean":
            values = ["true", "false"]
        words |= dict.fromkeys(str(each) for each in values)
    return list(words)


def is_expression(kind: object, path: Path) -> bool:
    """Return True if a value is a CEL expression."""
    return any("CEL expression" in str(schema.get("description", "")) for schema, _ in schemas_at(kind, path))


def _described(schema: Schema, top: Schema) -> Schema:
    for inner, _ in _branches(schema, top):
        if "description" in inner:
            return inner
    return schema


def _step(schema: Schema, top: Schema, step: str | int) -> Iterator[tuple[Schema, Schema]]:
    for each, inner_top in _branches(schema, top):
        if isinstance(step, int):
            prefix = each.get("prefixItems", ())
            items = prefix[step] if step < len(prefix) else each.get("items")
            if isinstance(items, Mapping):
                yield items, inner_top
        elif step in each.get("properties", {}):
            yield each["properties"][step], inner_top
        elif isinstance(each.get("additionalProperties"), Mapping):
            yield each["additionalProperties"], inner_top


def _branches(schema: Schema, top: Schema, depth: int = 0) -> Iterator[tuple[Schema, Schema]]:
    """Yield a schema and all that it refers to or combines, what it says itself first."""
    if depth > 12:
        return
    yield schema, top
    reference = schema.get("$ref")
    if isinstance(reference, str):
        found = _referred(reference, top)
        if found is not None:
            yield from _branches(*found, depth + 1)
    for key in ("anyOf", "oneOf", "allOf"):
        for each in schema.get(key, ()):
            yield from _branches(each, top, depth + 1)


def _referred(reference: str, top: Schema) -> tuple[Schema, Schema] | None:
    file, _, pointer = reference.partition("#")
    root: Any = load_schema(file.partition(".")[0]) if file else top
    target = root
    for step in filter(None, pointer.split("/")):
        target = target.get(step) if isinstance(target, Mapping) else None
    return (target, root) if isinstance(target, Mapping) else None
