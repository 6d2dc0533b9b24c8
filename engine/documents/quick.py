"""A quick yes to whether a value keeps to a schema; what is wrong where it doesn't is jsonschema's to say.

Importing jsonschema takes several times as long as a bare interpreter needs to start, and checking a request
with it longer than deciding. Two others only ever answer yes or no: jsonschema-rs where it is loaded already,
which is best for many values, else the functions that are made of the schema here, for the keywords that
schemas/ uses. A schema with another keyword has no quick check.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from engine.documents.resources import shipped

Check = Callable[[Any], bool]


class _UnknownKeyword(Exception):
    """A schema that says more than these functions understand."""


def keeps_to(value: Any, schema: str) -> bool:
    """True only if `value` keeps to `schemas/<schema>.schema.json`; False may also mean: ask jsonschema."""
    try:
        return _native(schema)(value) if "jsonschema_rs" in sys.modules else _check(schema)(value)
    except (RecursionError, ValueError, TypeError):
        return False


@cache
def load_schema(name: str) -> dict[str, Any]:
    """The schema of that name, as it stands in its file."""
    with open(os.path.join(shipped("schemas"), f"{name}.schema.json"), encoding="utf-8") as file:
        schema: dict[str, Any] = json.load(file)
    return schema


@cache
def _native(schema: str) -> Check:
    """jsonschema-rs's validator."""
    import jsonschema_rs

    names = sorted(os.listdir(shipped("schemas")))
    others = [(name, load_schema(name.removesuffix(".schema.json"))) for name in names]
    validator = jsonschema_rs.Draft202012Validator(
        load_schema(schema), registry=jsonschema_rs.Registry(others)
    )
    check: Check = validator.is_valid
    return check


@cache
def _check(schema: str) -> Check:
    try:
        return _Compiler(load_schema(schema)).check(load_schema(schema))
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
_NOTES = {"$schema", "$id", "title", "description", "examples", "default", "$defs", "$comment"}


class _Compiler:
    """Makes one function of each keyword of a schema."""

    def __init__(self, root: Mapping[str, Any]) -> None:
        self.root = root
        self.open: dict[int, list[Check]] = {}

    def check(self, schema: Any) -> Check:
        if isinstance(schema, bool):
            return lambda value: schema
        if id(schema) in self.open:  # a schema that refers to itself
            made = self.open[id(schema)]
            return lambda value: made[0](value)
        made = self.open[id(schema)] = []
        checks = [self.keyword(word, schema) for word in schema if word not in _NOTES]
        needed = [check for check in checks if check is not None]
        if len(needed) == 1:
            made.append(needed[0])
        else:
            made.append(lambda value: all(check(value) for check in needed))
        return made[0]

    def keyword(self, word: str, schema: Mapping[str, Any]) -> Check | None:
        method = getattr(self, f"on_{word.strip('$').lower()}", None)
        if method is None:
            raise _UnknownKeyword(word)
        check: Check | None = method(schema[word], schema)
        return check

    def on_ref(self, reference: str, schema: Any) -> Check:
        file, _, pointer = reference.partition("#")
        root = load_schema(file.removesuffix(".schema.json")) if file else self.root
        target: Any = root
        for step in pointer.strip("/").split("/") if pointer.strip("/") else ():
            target = target[step]
        return (_Compiler(root) if file else self).check(target)

    def on_type(self, names: str | list[str], schema: Any) -> Check:
        checks = [_TYPES[name] for name in ([names] if isinstance(names, str) else names)]
        return checks[0] if len(checks) == 1 else lambda value: any(check(value) for check in checks)

    def on_const(self, wanted: Any, schema: Any) -> Check:
        return lambda value: type(value) is type(wanted) and value == wanted

    def on_enum(self, options: list[Any], schema: Any) -> Check:
        return lambda value: any(type(value) is type(each) and value == each for each in options)

    def on_minimum(self, least: float, schema: Any) -> Check:
        return lambda value: not _is_number(value) or value >= least

    def on_exclusiveminimum(self, bound: float, schema: Any) -> Check:
        return lambda value: not _is_number(value) or value > bound

    def on_maximum(self, most: float, schema: Any) -> Check:
        return lambda value: not _is_number(value) or value <= most

    def on_minlength(self, least: int, schema: Any) -> Check:
        return lambda value: not isinstance(value, str) or len(value) >= least

    def on_pattern(self, pattern: str, schema: Any) -> Check:
        search = re.compile(pattern).search
        return lambda value: not isinstance(value, str) or search(value) is not None

    def on_minitems(self, least: int, schema: Any) -> Check:
        return lambda value: not isinstance(value, list) or len(value) >= least

    def on_maxitems(self, most: int, schema: Any) -> Check:
        return lambda value: not isinstance(value, list) or len(value) <= most

    def on_propertynames(self, names: Any, schema: Any) -> Check:
        check = self.check(names)
        return lambda value: not isinstance(value, dict) or all(map(check, value))

    def on_oneof(self, options: list[Any], schema: Any) -> Check:
        checks = [self.check(each) for each in options]
        return lambda value: sum(check(value) for check in checks) == 1

    def on_minproperties(self, least: int, schema: Any) -> Check:
        return lambda value: not isinstance(value, dict) or len(value) >= least

    def on_maxproperties(self, most: int, schema: Any) -> Check:
        return lambda value: not isinstance(value, dict) or len(value) <= most

    def on_required(self, names: list[str], schema: Any) -> Check:
        return lambda value: not isinstance(value, dict) or all(name in value for name in names)

    def on_items(self, items: Any, schema: Any) -> Check:
        check = self.check(items)
        return lambda value: not isinstance(value, list) or all(map(check, value))

    def on_properties(self, properties: Mapping[str, Any], schema: Mapping[str, Any]) -> Check:
        checks = {name: self.check(each) for name, each in properties.items()}
        others = schema.get("additionalProperties", True)
        other = self.check(others)
        if "patternProperties" in schema:
            raise _UnknownKeyword("patternProperties")

        def check(value: Any) -> bool:
            return not isinstance(value, dict) or all(
                checks.get(name, other)(element) for name, element in value.items()
            )

        return check

    def on_additionalproperties(self, others: Any, schema: Mapping[str, Any]) -> Check | None:
        if "properties" in schema:
            return None  # seen to there
        check = self.check(others)
        return lambda value: not isinstance(value, dict) or all(map(check, value.values()))


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
