"""The type of a JSON Schema, as far as code reads the schemas in `schemas/`."""

from __future__ import annotations

from typing import TypedDict

_Keywords = TypedDict("_Keywords", {"$ref": str, "$defs": dict[str, "Schema"], "x-unit": str}, total=False)


class Schema(_Keywords, total=False):
    """The keywords of a schema that code reads."""

    type: str | list[str]
    title: str
    description: str
    enum: list[str]
    minimum: int
    maximum: int
    properties: dict[str, Schema]
    required: list[str]
    items: Schema
    additionalProperties: Schema
