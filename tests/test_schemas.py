"""The schemas: valid, described, and true of their own examples."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from referencing import Registry, Resource

from tests.conftest import TOP

FILES = sorted((TOP / "schemas").glob("*.schema.json"))
SCHEMAS = {path.name: json.loads(path.read_text(encoding="utf-8")) for path in FILES}
REGISTRY: Registry[Any] = Registry().with_resources(
    [(name, Resource.from_contents(schema)) for name, schema in SCHEMAS.items()]
)


def properties(schema: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every property of a schema, with where it stands."""
    if isinstance(schema, dict):
        for name, inner in schema.get("properties", {}).items():
            yield f"{path}.{name}", inner
        for key, inner in schema.items():
            if key not in ("examples", "enum", "const"):
                yield from properties(inner, f"{path}/{key}")
    elif isinstance(schema, list):
        for position, inner in enumerate(schema):
            yield from properties(inner, f"{path}/{position}")


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_schema(file: Path) -> None:
    schema = SCHEMAS[file.name]
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["$id"] == file.name
    assert schema["title"]
    assert schema["description"]
    assert [
        where for where, inner in properties(schema) if not ({"description", "$ref"} & inner.keys())
    ] == []


@pytest.mark.parametrize("name", [name for name in SCHEMAS if name != "types.schema.json"])
def test_examples_are_valid(name: str) -> None:
    examples = SCHEMAS[name]["examples"]
    validator = jsonschema.Draft202012Validator(SCHEMAS[name], registry=REGISTRY)
    assert examples
    for example in examples:
        validator.validate(example)
