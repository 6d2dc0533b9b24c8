"""A fast "yes" to whether a value matches a schema; jsonschema describes what is wrong if it doesn't.

Importing jsonschema takes several times as long as a bare interpreter needs to start, and checking a request
with it longer than deciding. So functions compiled from the schema here answer first, for the keywords that
schemas/ uses; a schema with another keyword has no fast check.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Collection
from functools import cache
from typing import TYPE_CHECKING, cast

from engine.base.jsontypes import Json, JsonObject
from engine.documents.resources import shipped

if TYPE_CHECKING:
    from typing import TypeGuard

    from engine.documents.json_schema import Schema

Check = Callable[[object], bool]
_Names = str | list[str]


class _UnknownKeyword(Exception):
    """A schema has a keyword that isn't supported here."""


def keeps_to(value: object, schema: str) -> bool:
    """Return True only if a value matches a schema; False may also mean that jsonschema must decide.

    Args:
        value: the decoded document.
        schema: the name of the schema: `schemas/<schema>.schema.json`.
    """
    try:
        return _check(schema)(value)
    except (_UnknownKeyword, IndexError, RecursionError, ValueError, TypeError):
        return False  # IndexError: another thread compiles what is needed here


@cache
def load_schema(name: str) -> Schema:
    """Return the schema of that name, as its file has it."""
    with open(os.path.join(shipped("schemas"), f"{name}.schema.json"), encoding="utf-8") as file:
        schema: Schema = json.load(file)
    return schema


@cache
def _check(schema: str) -> Check:
    try:
        compiler = _compiler(schema)
        return compiler.check(compiler.root)
    except _UnknownKeyword:
        return lambda value: False


_TYPES: dict[str, Check] = {
    "string": lambda value: isinstance(value, str),
    "integer": lambda value: (
        (isinstance(value, int) and not isinstance(value, bool))
        or (isinstance(value, float) and value.is_integer())
    ),
    "number": lambda value: isinstance(value, (int, float)) and not isinstance(value, bool),
    "boolean": lambda value: isinstance(value, bool),
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "null": lambda value: value is None,
}
_SURE: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "object": (dict,),
    "array": (list,),
    "null": (type(None),),
}
"""Python's types whose every value has the type; of other values, some may."""
_CONCERNS: dict[str, tuple[type, ...]] = {
    "minimum": (int, float),
    "exclusiveMinimum": (int, float),
    "maximum": (int, float),
    "minLength": (str,),
    "pattern": (str,),
}
"""Keywords that hold for every value of other types."""
_NOTES = {"$schema", "$id", "title", "description", "examples", "default", "$defs", "$comment"}


class _Compiler:
    """Compiles each keyword of a schema to a function."""

    def __init__(self, root: JsonObject) -> None:
        self.root = root
        self.open: dict[int, list[Check]] = {}

    def check(self, schema: Json) -> Check:
        if not isinstance(schema, dict):
            return lambda value: bool(schema)
        if id(schema) in self.open:
            compiled = self.open[id(schema)]
            return compiled[0] if compiled else lambda value: compiled[0](value)  # it refers to itself
        compiled = self.open[id(schema)] = []
        checks = [self.keyword(word, schema) for word in schema if word not in _NOTES]
        compiled.append(_all([check for check in checks if check is not None]))
        return compiled[0]

    def keyword(self, word: str, schema: JsonObject) -> Check | None:
        method: Callable[[Json, JsonObject], Check | None] | None = getattr(
            self, f"on_{word.strip('$').lower()}", None
        )
        if method is None:
            raise _UnknownKeyword(word)
        return method(schema[word], schema)

    def target(self, reference: str) -> tuple[_Compiler, Json]:
        """Return the schema that a reference names, and the compiler of its file."""
        file, _, pointer = reference.partition("#")
        compiler = _compiler(file.removesuffix(".schema.json")) if file else self
        target: Json = compiler.root
        for step in pointer.strip("/").split("/") if pointer.strip("/") else ():
            target = cast(JsonObject, target)[step]
        return compiler, target

    def sure_types(self, schema: Json) -> Collection[type]:
        """Return Python's types whose every value matches a schema."""
        if not isinstance(schema, dict):
            return ()
        sure: tuple[type, ...] = ()
        concerned: tuple[type, ...] = ()
        for word, value in schema.items():
            if word == "type":
                sure = _sure(cast(_Names, value))
            elif word in _CONCERNS:
                concerned += _CONCERNS[word]
            elif word == "$ref":
                compiler, target = self.target(cast(str, value))
                sure = tuple(compiler.sure_types(target))
            elif word not in _NOTES:
                return ()
        return [type_ for type_ in sure if type_ not in concerned] if concerned else sure

    def on_ref(self, reference: str, schema: JsonObject) -> Check:
        compiler, target = self.target(reference)
        return compiler.check(target)

    def on_type(self, names: _Names, schema: JsonObject) -> Check | None:
        if names == "object" and "properties" in schema:
            return None  # on_properties checks it
        checks = [_TYPES[name] for name in _names(names)]
        sure = _sure(names)
        if len(checks) == 1:
            check = checks[0]
            return lambda value: type(value) in sure or check(value)
        return lambda value: type(value) in sure or any(check(value) for check in checks)

    def on_const(self, constant: Json, schema: JsonObject) -> Check:
        return lambda value: type(value) is type(constant) and value == constant

    def on_enum(self, options: list[Json], schema: JsonObject) -> Check:
        return lambda value: any(type(value) is type(option) and value == option for option in options)

    def on_minimum(self, least: float, schema: JsonObject) -> Check:
        return lambda value: not _is_number(value) or value >= least

    def on_exclusiveminimum(self, bound: float, schema: JsonObject) -> Check:
        return lambda value: not _is_number(value) or value > bound

    def on_maximum(self, most: float, schema: JsonObject) -> Check:
        return lambda value: not _is_number(value) or value <= most

    def on_minlength(self, least: int, schema: JsonObject) -> Check:
        return lambda value: not isinstance(value, str) or len(value) >= least

    def on_pattern(self, pattern: str, schema: JsonObject) -> Check:
        search = re.compile(python_pattern(pattern)).search
        return lambda value: not isinstance(value, str) or search(value) is not None

    def on_minitems(self, least: int, schema: JsonObject) -> Check:
        return lambda value: not isinstance(value, list) or len(value) >= least

    def on_maxitems(self, most: int, schema: JsonObject) -> Check:
        return lambda value: not isinstance(value, list) or len(value) <= most

    def on_propertynames(self, names: Json, schema: JsonObject) -> Check:
        check = self.check(names)
        return lambda value: not isinstance(value, dict) or all(map(check, value))

    def on_oneof(self, options: list[Json], schema: JsonObject) -> Check:
        checks = [self.check(option) for option in options]
        return lambda value: sum(check(value) for check in checks) == 1

    def on_minproperties(self, least: int, schema: JsonObject) -> Check:
        return lambda value: not isinstance(value, dict) or len(value) >= least

    def on_maxproperties(self, most: int, schema: JsonObject) -> Check:
        return lambda value: not isinstance(value, dict) or len(value) <= most

    def on_required(self, names: list[str], schema: JsonObject) -> Check:
        required = frozenset(names)
        return lambda value: not isinstance(value, dict) or value.keys() >= required

    def on_items(self, items: Json, schema: JsonObject) -> Check:
        check = self.check(items)
        return lambda value: not isinstance(value, list) or all(map(check, value))

    def on_properties(self, properties: dict[str, Json], schema: JsonObject) -> Check:
        patterned = cast(JsonObject, schema.get("patternProperties", {}))
        if any(re.search(python_pattern(pattern), name) for pattern in patterned for name in properties):
            raise _UnknownKeyword("patternProperties")
        patterns = [
            (re.compile(python_pattern(pattern)).search, self.check(part))
            for pattern, part in patterned.items()
        ]
        others = self.check(schema.get("additionalProperties", True))
        is_object = schema.get("type") == "object"
        sure: dict[str, Collection[type]] = {}
        checks: dict[str, Check] = {}
        sure_of = sure.get

        def check(value: object) -> bool:
            if not isinstance(value, dict):
                return not is_object
            for name, element in value.items():
                types = sure_of(name)
                if types is None:
                    if name not in properties:
                        parts = [part for search, part in patterns if search(name)]
                        if not all(part(element) for part in parts or (others,)):
                            return False
                        continue
                    # Compiled when it is first met: most documents have few of the fields.
                    checks[name] = self.check(properties[name])
                    types = sure[name] = self.sure_types(properties[name])
                if type(element) not in types and not checks[name](element):
                    return False
            return True

        return check

    def on_patternproperties(self, patterns: Json, schema: JsonObject) -> Check | None:
        if "properties" not in schema:
            raise _UnknownKeyword("patternProperties")
        return None  # on_properties checks them, where no property has a name that matches a pattern

    def on_additionalproperties(self, others: Json, schema: JsonObject) -> Check | None:
        if "properties" in schema:
            return None  # on_properties checks them
        check = self.check(others)
        return lambda value: not isinstance(value, dict) or all(map(check, value.values()))


def _compiler(schema: str) -> _Compiler:
    return _Compiler(cast(JsonObject, load_schema(schema)))


def python_pattern(pattern: str) -> str:
    """Return a schema's regular expression in Python's syntax; its `$` matches before a newline too."""
    return f"{pattern[:-1]}\\Z" if pattern.endswith("$") else pattern


def _all(checks: list[Check]) -> Check:
    """Return the check that holds where all of some do."""
    if len(checks) == 1:
        return checks[0]
    if len(checks) == 2:
        first, second = checks
        return lambda value: first(value) and second(value)
    return lambda value: all(check(value) for check in checks)


def _names(types: _Names) -> list[str]:
    """Return the names in a schema's `type`: one, or a list."""
    return [types] if isinstance(types, str) else types


def _sure(types: _Names) -> tuple[type, ...]:
    return tuple([type_ for name in _names(types) for type_ in _SURE[name]])


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
