"""The types of schemas/types.schema.json as CEL types."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING

from engine.base.records import field, record
from engine.cel import celtypes as t
from engine.cel.celtypes import Field, ObjectType, Type
from engine.documents.quick import load_schema

if TYPE_CHECKING:
    from engine.documents.json_schema import Schema

_SCALARS = {"string": t.STRING, "integer": t.INT, "number": t.DOUBLE, "boolean": t.BOOL}


@record
class SchemaTypes:
    """Types by the names that policies may use; `objects` holds the fields of those that have some."""

    named: Mapping[str, Type]
    objects: Mapping[str, ObjectType]
    units: Mapping[str, str] = field(default_factory=dict)
    """The units of declared types that state one, by name."""


@cache
def schema_types() -> SchemaTypes:
    """The types that the schema defines."""
    definitions = load_schema("types")["$defs"]
    named = {
        name: t.object_type(name) if definition["type"] == "object" else _type(definition, {})
        for name, definition in definitions.items()
    }
    objects = {
        name: ObjectType(name, _fields(definition, named), definition.get("description", ""))
        for name, definition in definitions.items()
        if definition["type"] == "object"
    }
    return SchemaTypes(named, objects)


def _fields(definition: Schema, named: Mapping[str, Type]) -> dict[str, Field]:
    return {
        name: Field(_type(schema, named), schema.get("description", ""), schema.get("x-unit", ""))
        for name, schema in definition["properties"].items()
    }


def _type(schema: Schema, named: Mapping[str, Type]) -> Type:
    if "$ref" in schema:
        return named[schema["$ref"].rpartition("/")[2]]
    kind = schema["type"]
    if isinstance(kind, list):
        (scalar,) = (name for name in kind if name != "null")
        return t.wrapper_of(_SCALARS[scalar])
    if kind == "array":
        return t.list_of(_type(schema["items"], named))
    if kind == "object":
        return t.map_of(t.STRING, _type(schema["additionalProperties"], named))
    return _SCALARS[kind]
