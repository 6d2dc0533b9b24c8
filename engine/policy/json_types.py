"""Types from JSON Schema: `types: {Pod: {schema: pod.json}}` is written out as declared types.

The schema's file is beside the policy. Its root becomes the type of that name, and each definition under
`$defs` a type of its own. Requests are held against what has a counterpart in declared types; any other
keyword is an error at its place, unless `ignore` names it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from engine.base.errors import EngineError, PolicyError, Problem
from engine.catalogs.store import PolicyStore
from engine.catalogs.table_files import read_schema
from engine.documents import Document, validate_schema
from engine.documents.composed import Node, close_document, open_document

DIALECT = "https://json-schema.org/draft/2020-12/schema"
CODE = "E140"
_NOTES = frozenset(
    {
        *("$schema", "$id", "$comment", "$defs", "title", "description", "examples"),
        *("deprecated", "readOnly", "writeOnly"),
    }
)
_SCALARS = {"string": "string", "integer": "int", "number": "double", "boolean": "bool"}
_READ = frozenset(
    {
        *("type", "properties", "required", "additionalProperties", "items", "enum", "const", "default"),
        *("minimum", "maximum", "$ref", "format"),
    }
)
_OWN = ("schema", "ignore", "description")
"""Words of a declaration that names a schema."""


def expand_schemas(document: Document, store: PolicyStore) -> Document:
    """Return a policy or library with its schemas written out as types; itself if it names none.

    Args:
        document: the document.
        store: reads the files beside it.

    Raises:
        PolicyError: everything that is wrong with the schemas, with places.
    """
    types = document.value.get("types", {})
    if not any(isinstance(each, dict) and "schema" in each for each in types.values()):
        return document
    root = open_document(document)
    found: dict[str, Node] = {}
    files: list[Document] = []
    problems: list[Problem] = []
    for name, node in root["types"].items():
        if isinstance(node.value, dict) and "schema" in node:
            found |= _expanded(name, node, store, files, problems)
        else:
            found[name] = node
    if problems:
        raise PolicyError(problems)
    root.value["types"] = Node(found, root["types"].document, root["types"].path)
    return close_document(root, document.name, (document, *files))


def _expanded(
    name: str, node: Node, store: PolicyStore, files: list[Document], problems: list[Problem]
) -> dict[str, Node]:
    """Return the types that a schema makes."""
    for key, inner in node.items():
        if key not in _OWN:
            message = (
                f"a type is stated by one of type, fields, items, values, schema; found schema and {key}"
            )
            problems.append(inner.problem(message, code="E104", key=True))
            return {}
    file = node["schema"]
    try:
        document = read_schema(store, file.document.name, file.value)
    except EngineError as error:
        problems += [each.at(file.problem("").place).coded(CODE) for each in error.problems]
        return {}
    files.append(document)
    schema = open_document(document)
    if isinstance(document.value, dict) and _other_dialect(schema, problems):
        return {}
    faults = validate_schema(document.value)
    if faults:
        problems += [each.at(document.place(each.path or (), key=each.at_key)).coded(CODE) for each in faults]
        return {}
    ignored = {each.value for each in node["ignore"]} if "ignore" in node else set()
    reader = _Reader(name, ignored, problems)
    return reader.types(schema)


def _other_dialect(root: Node, problems: list[Problem]) -> bool:
    """Report a schema of another version of JSON Schema."""
    dialect = root.get("$schema")
    if dialect is None or str(dialect.value).removesuffix("#") == DIALECT:
        return False
    message = f"expected a schema of {DIALECT}, found {dialect.value!r}"
    problems.append(dialect.problem(message, code=CODE))
    return True


class _Reader:
    """Reads one schema."""

    def __init__(self, name: str, ignored: set[str], problems: list[Problem]) -> None:
        self.name = name
        self.ignored = ignored
        self.problems = problems
        self.definitions: dict[str, str] = {}

    def fail(self, node: Node, message: str, hint: str | None = None, *, key: bool = False) -> None:
        self.problems.append(node.problem(message, hint, code=CODE, key=key))

    def types(self, root: Node) -> dict[str, Node]:
        """Return the type of the root, and those of its definitions."""
        if not isinstance(root.value, dict):
            self.fail(root, "expected a JSON Schema with the fields of an object")
            return {}
        definitions = root.get("$defs")
        listed = list(definitions.items()) if definitions is not None else []
        self.definitions = {name: f"{self.name}{_camel(name)}" for name, _ in listed}
        found = {self.name: self.type(root)}
        for name, node in listed:
            found[self.definitions[name]] = self.type(node)
        return found

    def type(self, node: Node) -> Node:
        """Return what a schema says as a declaration of a type."""
        if node.value is True or node.value == {}:
            return node.derived({"type": "dyn"})
        if not isinstance(node.value, dict):
            self.fail(node, f"{_pointer(node)}: expected a schema, found {node.value!r}")
            return node.derived({"type": "dyn"})
        self.check_keywords(node)
        kinds, nullable = self.kinds(node)
        made = dict(self.form(node, kinds))
        made |= self.bounds(node)
        if nullable:
            made["optional"] = node.derived(True)
        if "description" in node and isinstance(node["description"].value, str):
            made["description"] = node["description"]
        if "x-unit" in node and isinstance(node["x-unit"].value, str):
            made["unit"] = node["x-unit"]
        default = node.get("default")
        if default is not None and default.value is not None:
            made["default"] = default
        return Node(made, node.document, node.path)

    def check_keywords(self, node: Node) -> None:
        for key, inner in node.items():
            if (
                key not in _NOTES
                and key not in _READ
                and key not in self.ignored
                and not key.startswith("x-")
            ):
                hint = f"remove it, or accept that requests are not held to it: ignore: [{key}]"
                self.fail(inner, f"{_pointer(inner)}: '{key}' is not supported", hint, key=True)

    def kinds(self, node: Node) -> tuple[list[str], bool]:
        """Return the types that a schema names but null, and whether null is one of them."""
        stated = node.get("type")
        if stated is None:
            return [], False
        names = [each.value for each in stated] if isinstance(stated.value, list) else [stated.value]
        kinds = [name for name in names if name != "null"]
        if len(kinds) != 1 or kinds[0] not in (*_SCALARS, "object", "array"):
            message = (
                f"{_pointer(stated)}: expected one type, or one and null, found {', '.join(map(str, names))}"
            )
            self.fail(stated, message)
            return ["any"], False
        return kinds, "null" in names

    def form(self, node: Node, kinds: list[str]) -> Iterator[tuple[str, Node]]:
        """Yield what states the type."""
        if "$ref" in node:
            yield "type", self.reference(node["$ref"])
        elif kinds == ["object"] or (not kinds and "properties" in node):
            yield from self.object(node)
        elif kinds == ["array"] or (not kinds and "items" in node):
            yield "items", self.type(node["items"]) if "items" in node else node.derived({"type": "dyn"})
        elif kinds and kinds[0] in _SCALARS:
            format_ = None if "format" in self.ignored else node.get("format")
            timed = kinds == ["string"] and format_ is not None and format_.value == "date-time"
            yield "type", node.derived("timestamp" if timed else _SCALARS[kinds[0]])
        elif "enum" in node or "const" in node:
            yield "type", node.derived(self.type_of_values(node))
        else:
            yield "type", node.derived("dyn")

    def reference(self, node: Node) -> Node:
        target = str(node.value)
        if target == "#":
            return node.derived(self.name)
        name = target.removeprefix("#/$defs/").replace("~1", "/").replace("~0", "~")
        if not target.startswith("#/$defs/") or name not in self.definitions:
            self.fail(node, f"{_pointer(node)}: expected a reference #/$defs/NAME, found {target!r}")
            return node.derived("dyn")
        return node.derived(self.definitions[name])

    def object(self, node: Node) -> Iterator[tuple[str, Node]]:
        others = node.get("additionalProperties")
        properties = node.get("properties")
        if properties is None and others is not None and others.value is False:
            yield "fields", node.derived({})
            return
        if properties is None or not properties.value:
            yield "values", node.derived({"type": "dyn"}) if others is None else self.type(others)
            return
        if others is not None and not isinstance(others.value, bool):
            message = f"{_pointer(others)}: properties and a type for all others are not supported together"
            self.fail(others, message, "use true or false", key=True)
        required = {each.value for each in node["required"]} if "required" in node else set()
        fields: dict[str, Node] = {}
        for name, inner in properties.items():
            if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
                hint = "leave it out: an object with additionalProperties may have it all the same"
                self.fail(
                    inner, f"{_pointer(inner)}: expressions cannot read a field of this name", hint, key=True
                )
                continue
            field = self.type(inner)
            if name not in required:
                field.value["optional"] = inner.derived(True)
            fields[name] = field
        for name in sorted(str(each) for each in required - properties.value.keys()):
            fields[name] = node["required"].derived({"type": "dyn"})
        yield "fields", Node(fields, properties.document, properties.path)
        if others is None or others.value is not False:
            yield "open", node.derived(True)

    def bounds(self, node: Node) -> Iterator[tuple[str, Node]]:
        """Yield which values are allowed."""
        for key in ("minimum", "maximum"):
            if key in node:
                yield key, node[key]
        if "const" in node:
            yield "enum", node["const"].derived([node["const"]])
        elif "enum" in node:
            values = [each for each in node["enum"] if each.value is not None]
            yield "enum", Node(values, node["enum"].document, node["enum"].path)

    def type_of_values(self, node: Node) -> str:
        """Return the type of the values of `enum` or `const`, if they are of one."""
        values = [node["const"].value] if "const" in node else [each.value for each in node["enum"]]
        names = {bool: "bool", int: "int", float: "double", str: "string"}
        types = {names.get(type(value), "dyn") for value in values if value is not None}
        return types.pop() if len(types) == 1 else "dyn"


def _pointer(node: Node) -> str:
    """Return a place in a schema as JSON pointers write it: `#/properties/spec`."""
    return "#" + "".join(f"/{step}" for step in node.path)


def _camel(name: str) -> str:
    """Return the name of a definition as a part of a type's: `pod-spec` becomes `PodSpec`."""
    return "".join(part[:1].upper() + part[1:] for part in re.split("[^A-Za-z0-9]+", name))
