"""Validate documents against the JSON Schemas in `schemas/`, with readable errors and their places."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from itertools import islice
from typing import TYPE_CHECKING, Any, cast

from engine.base.errors import DocumentError, Path, Problem, near, path_text, quote
from engine.base.jsontypes import Json
from engine.documents.document import Document
from engine.documents.quick import keeps_to, load_schema, python_pattern
from engine.documents.resources import shipped

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError
    from jsonschema.protocols import Validator

_WORDS = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "object": "a mapping",
    "array": "a list",
    "null": "null",
}
_MOST_ERRORS = 100
_YAML_1_1_BOOLS = {"yes", "no", "on", "off", "y", "n"}


def check_schema(document: Document, schema: str) -> None:
    """Hold a document against `schemas/<schema>.schema.json`.

    Raises:
        DocumentError: every fault, each with its place.
    """
    problems = validate(document.value, schema)
    if problems:
        raise DocumentError(problems).located(document)


def validate(value: object, schema: str) -> list[Problem]:
    """What is wrong with `value` by `schemas/<schema>.schema.json`, in document order, the first hundred."""
    if keeps_to(value, schema):
        return []
    try:
        found = islice(_validator(schema).iter_errors(cast(Json, value)), _MOST_ERRORS)
        errors = sorted(found, key=lambda error: _order(error.absolute_path))
    except RecursionError:
        return [Problem("nested too deeply", path=())]
    return [problem for error in errors for problem in _problems(error)]


def validate_schema(value: object) -> list[Problem]:
    """What is wrong with a JSON Schema by its own schema (2020-12), in document order, the first hundred."""
    from jsonschema import Draft202012Validator

    try:
        found = islice(
            Draft202012Validator(Draft202012Validator.META_SCHEMA).iter_errors(value), _MOST_ERRORS
        )
        errors = sorted(found, key=lambda error: _order(error.absolute_path))
    except RecursionError:
        return [Problem("nested too deeply", path=())]
    return [problem for error in errors for problem in _problems(error)]


@cache
def _validator(schema: str) -> Validator:
    from pathlib import Path as FilePath

    from jsonschema import Draft202012Validator, validators
    from referencing import Registry, Resource

    resources = [
        Resource.from_contents(json.loads(path.read_text(encoding="utf-8")))
        for path in sorted(FilePath(shipped("schemas")).glob("*.schema.json"))
    ]
    registry: Registry[Any] = resources @ Registry()
    extend: Callable[..., Callable[..., Validator]] = validators.extend
    return extend(Draft202012Validator, {"pattern": _pattern})(load_schema(schema), registry=registry)


def _pattern(validator: object, pattern: str, value: object, schema: object) -> Iterator[ValidationError]:
    if isinstance(value, str) and re.search(python_pattern(pattern), value) is None:
        from jsonschema.exceptions import ValidationError

        yield ValidationError(f"{value!r} does not match {pattern!r}")


def _order(path: Sequence[str | int]) -> list[tuple[int, str | int]]:
    return [(0, step) if isinstance(step, int) else (1, str(step)) for step in path]


def _problems(error: ValidationError) -> Iterator[Problem]:
    path: Path = tuple(error.absolute_path)
    if error.validator in ("anyOf", "oneOf") and error.context:
        from jsonschema.exceptions import best_match, relevance

        yield from _problems(best_match(error.context, key=relevance) or error.context[0])
        return
    handler = _HANDLERS.get(str(error.validator))
    if handler is None:
        yield Problem(f"{_name(path)}: {error.message[:200]}", path=path)
        return
    yield from handler(error, path)


def _name(path: Path) -> str:
    return path_text(path) or "the document"


def _schema(error: ValidationError) -> dict[str, Any]:
    """The subschema that a value breaks; a boolean one has no keywords to break."""
    return error.schema if isinstance(error.schema, dict) else {}


def _expected(error: ValidationError) -> Any:
    """What the broken keyword asks for."""
    return error.validator_value


def _instance(error: ValidationError) -> Any:
    return error.instance


def _unknown_field(error: ValidationError, path: Path) -> Iterator[Problem]:
    known = list(_schema(error).get("properties", {}))
    patterns = _schema(error).get("patternProperties", {})
    for key in _instance(error):
        if key not in known and not any(re.search(python_pattern(pattern), str(key)) for pattern in patterns):
            message = f"unknown field {quote(key)} in {_name(path)}"
            hint = near(str(key), known)
            if _instance(error)[key] is None and not (hint or "").startswith("did you mean"):
                hint = "a comma inside { } begins a new field: put quotes around text with commas"
            yield Problem(message, hint=hint, path=(*path, key), at_key=True)


def _missing_field(error: ValidationError, path: Path) -> Iterator[Problem]:
    missing = next(name for name in _expected(error) if name not in _instance(error))
    # jsonschema reports each missing name on its own; the message tells which.
    for name in _expected(error):
        if error.message.startswith(repr(name)):
            missing = name
    described = _schema(error).get("properties", {}).get(missing, {}).get("description")
    yield Problem(f"{_name(path)} has no field '{missing}'", hint=described, path=path)


def _wrong_type(error: ValidationError, path: Path) -> Iterator[Problem]:
    allowed = _expected(error) if isinstance(_expected(error), list) else [_expected(error)]
    expected = " or ".join(_WORDS[name] for name in allowed)
    hint = None
    if isinstance(error.instance, str) and error.instance.lower() in _YAML_1_1_BOOLS and "boolean" in allowed:
        hint = f"{error.instance} is text here; write true or false"
    elif isinstance(error.instance, (int, float)) and allowed == ["string"]:
        hint = f'write "{quote(error.instance)}" in quotes'
    elif isinstance(error.instance, list) and allowed == ["string"] and path and path[-1] == "type":
        hint = "the type of a list is written list(string)"
    elif isinstance(error.instance, (dict, list)) and allowed == ["string"]:
        hint = "text or an expression that begins with { or [ needs quotes"
    elif allowed == ["object"] and "value" in _schema(error).get("properties", {}):
        hint = f"write {{value: {quote(error.instance)}}}"
    yield Problem(f"{_name(path)}: expected {expected}, found {quote(error.instance)}", hint=hint, path=path)


def _not_listed(error: ValidationError, path: Path) -> Iterator[Problem]:
    options = [str(option) for option in _expected(error)]
    yield Problem(
        f"{_name(path)}: {quote(error.instance)} is not allowed",
        hint=near(str(error.instance), options) or "known: " + ", ".join(options),
        path=path,
    )


def _not_constant(error: ValidationError, path: Path) -> Iterator[Problem]:
    yield Problem(
        f"{_name(path)}: expected {quote(_expected(error))}, found {quote(error.instance)}", path=path
    )


def _too_small(error: ValidationError, path: Path) -> Iterator[Problem]:
    yield Problem(
        f"{_name(path)}: {quote(error.instance)} is less than {_expected(error)}, the least allowed",
        path=path,
    )


def _too_large(error: ValidationError, path: Path) -> Iterator[Problem]:
    yield Problem(
        f"{_name(path)}: {quote(error.instance)} is more than {_expected(error)}, the most allowed",
        path=path,
    )


def _wrong_form(error: ValidationError, path: Path) -> Iterator[Problem]:
    hint = _schema(error).get("description")
    examples = _schema(error).get("examples")
    if examples:
        hint = "for example " + ", ".join(str(example) for example in examples[:3])
    message = f"{_name(path)}: {quote(error.instance)} has not the expected form"
    if "propertyNames" in error.absolute_schema_path:
        yield Problem(message, hint=hint, path=(*path, str(error.instance)), at_key=True)
    else:
        yield Problem(message, hint=hint, path=path)


def _empty(error: ValidationError, path: Path) -> Iterator[Problem]:
    yield Problem(f"{_name(path)} is empty", path=path)


def _too_many(error: ValidationError, path: Path) -> Iterator[Problem]:
    yield Problem(
        f"{_name(path)}: {len(_instance(error))} fields, expected {_expected(error)} at the most", path=path
    )


def _needs_one_of(error: ValidationError, path: Path) -> Iterator[Problem]:
    yield Problem(
        f"{_name(path)}: {_schema(error).get('$comment', 'fields that do not go together')}", path=path
    )


_HANDLERS: dict[str, Callable[[ValidationError, Path], Iterator[Problem]]] = {
    "additionalProperties": _unknown_field,
    "unevaluatedProperties": _unknown_field,
    "required": _missing_field,
    "type": _wrong_type,
    "enum": _not_listed,
    "const": _not_constant,
    "minimum": _too_small,
    "exclusiveMinimum": _too_small,
    "maximum": _too_large,
    "pattern": _wrong_form,
    "minItems": _empty,
    "minLength": _empty,
    "minProperties": _empty,
    "maxProperties": _too_many,
    "not": _needs_one_of,
    "dependentRequired": _needs_one_of,
}
