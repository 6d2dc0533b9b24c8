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
from engine.base.records import replace
from engine.documents.document import Document
from engine.documents.key_hints import for_form, for_key, is_of_other_kind, kind_of, meant_by
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
    except TypeError:  # names are matched with patterns
        numbered = list(islice(_numbers_as_names(value, ()), _MOST_ERRORS))
        if not numbered:
            raise
        return numbered
    if is_of_other_kind(value, schema):  # all the rest would follow from it
        of_kind = [error for error in errors if list(error.absolute_path) == ["kind"]]
        errors = of_kind or errors
    elif (kind := _other_kind(value, errors, schema)) is not None:
        return [kind]
    unknown = {problem: error for error in errors for problem in _unknown_fields(error, schema)}
    meant = {
        (problem.path[:-1], name) for problem in unknown if problem.path for name in meant_by(problem.hint)
    }
    named = {
        problem.path[:-1] for problem in unknown if problem.path and (problem.hint or "").startswith(_NAMED)
    }
    return [
        each
        for each in (problem for error in errors for problem in _problems(error, schema))
        if _missing_name(each) is None
        or ((each.path, _missing_name(each)) not in meant and each.path not in named)
    ]


_NAMED = "write name:"
"""The beginning of the hint for `- total: {…}` where `- {name: total, …}` is meant."""


def _other_kind(value: object, errors: Sequence[ValidationError], schema: str) -> Problem | None:
    """Return the problem of a document whose keys are those of another kind."""
    unknown = [
        problem
        for error in errors
        for problem in _unknown_fields(error, schema)
        if problem.path is not None and len(problem.path) == 1
    ]
    kind = kind_of(value, schema) if unknown and isinstance(value, dict) else None
    if kind is None:
        return None
    message = f"{quote(unknown[0].path[0] if unknown[0].path else '')} belongs to kind: {kind}"
    return replace(unknown[0], message=message, hint=f"write kind: {kind}")


def _unknown_fields(error: ValidationError, schema: str) -> Iterator[Problem]:
    if error.validator in ("additionalProperties", "unevaluatedProperties"):
        yield from _unknown_field(error, tuple(error.absolute_path), schema)


def _missing_name(problem: Problem) -> str | None:
    found = re.search(r"has no field '([^']+)'$", problem.message)
    return found[1] if found else None


def _numbers_as_names(value: object, path: Path) -> Iterator[Problem]:
    """Yield keys that are no text, where only text names something."""
    items: Iterator[tuple[Any, object]] = iter(())
    if isinstance(value, (dict, list)):
        items = iter(value.items()) if isinstance(value, dict) else iter(enumerate(value))
    for step, inner in items:
        if isinstance(value, dict) and not isinstance(step, str):
            yield Problem(f"expected a name, found {quote(step)}", path=(*path, step), at_key=True)
        yield from _numbers_as_names(inner, (*path, step))


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


def _problems(error: ValidationError, schema: str = "") -> Iterator[Problem]:
    path: Path = tuple(error.absolute_path)
    if error.validator in ("anyOf", "oneOf") and error.context:
        from jsonschema.exceptions import best_match, relevance

        yield from _problems(best_match(error.context, key=relevance) or error.context[0], schema)
        return
    if error.validator in ("additionalProperties", "unevaluatedProperties"):
        yield from _unknown_field(error, path, schema)
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


def _unknown_field(error: ValidationError, path: Path, schema: str) -> Iterator[Problem]:
    known = list(_schema(error).get("properties", {}))
    patterns = _schema(error).get("patternProperties", {})
    missing = [each for each in _schema(error).get("required", ()) if each not in _instance(error)]
    for key in _instance(error):
        if key not in known and not any(re.search(python_pattern(pattern), str(key)) for pattern in patterns):
            message = f"unknown field {quote(key)} in {_name(path)}"
            hint = near(str(key), known)
            if schema:
                hint = for_key(str(key), known, schema, depth=len(path), missing=missing)
            if (
                "name" in missing
                and len(_instance(error)) == 1
                and isinstance(_instance(error)[key], (dict, str))
            ):
                hint = f"{_NAMED} {key}, and its fields beside it"
            if _instance(error)[key] is None and not (hint or "").startswith("did you mean"):
                hint = "a comma inside { } begins a new field: put quotes around text with commas"
            yield Problem(message, hint=hint, path=(*path, key), at_key=True)


def _missing_field(error: ValidationError, path: Path) -> Iterator[Problem]:
    missing = next(name for name in _expected(error) if name not in _instance(error))
    # jsonschema reports each missing name on its own; the message tells which.
    for name in _expected(error):
        if error.message.startswith(repr(name)):
            missing = name
    declared = _schema(error).get("properties", {}).get(missing, {})
    hint = f"write {missing}: {declared['const']}" if "const" in declared else declared.get("description")
    yield Problem(f"{_name(path)} has no field '{missing}'", hint=hint, path=path)


def _wrong_type(error: ValidationError, path: Path) -> Iterator[Problem]:
    allowed = _expected(error) if isinstance(_expected(error), list) else [_expected(error)]
    expected = " or ".join(_WORDS[name] for name in allowed) if len(allowed) < _MANY_TYPES else "a value"
    hint = None
    if isinstance(error.instance, str) and error.instance.lower() in _YAML_1_1_BOOLS and "boolean" in allowed:
        hint = f"{error.instance} is text here; write true or false"
    elif path and path[-1] == "version" and isinstance(error.instance, (int, float)):
        hint = "a version has three numbers, as 1.0.0 has"
    elif error.instance is None:
        hint = "a value is missing after the colon"
    elif isinstance(error.instance, (int, float)) and allowed == ["string"]:
        hint = f'write "{quote(error.instance)}" in quotes'
    elif isinstance(error.instance, list) and allowed == ["string"] and path and path[-1] == "type":
        hint = "the type of a list is written list(string)"
    elif isinstance(error.instance, dict) and path[:1] == ("catalogs",):
        hint = "a catalog is listed as name@1, or name@1.0.0"
    elif isinstance(error.instance, (dict, list)) and allowed == ["string"]:
        hint = "text or an expression that begins with { or [ needs quotes"
    elif "array" in allowed and isinstance(error.instance, (str, int, float)) and _holds_scalars(error):
        hint = f"write [{', '.join(re.split(r'[ ]*[|;][ ]*', str(error.instance)))}]"
    elif "array" in allowed and isinstance(error.instance, dict):
        hint = "each element of a list begins with '- ', or all stand in [ ]"
    elif path and path[-1] == "values" and isinstance(error.instance, list):
        hint = "the values that are allowed are listed by enum"
    elif "object" in allowed and isinstance(error.instance, list):
        hint = "write name: value, without '- ' and [ ]"
    elif (
        "object" in allowed
        and isinstance(error.instance, (str, int, float))
        and len(str(error.instance)) < _SHOWN
    ):
        hint = _wrapped(error)
    yield Problem(f"{_name(path)}: expected {expected}, found {quote(error.instance)}", hint=hint, path=path)


_SHOWN = 60
_MANY_TYPES = 5
_FIRST = ("value", "params", "builder", "outcome", "type")
"""Keys of which a mapping's only value may be written without it by mistake."""


def _holds_scalars(error: ValidationError) -> bool:
    """Return True for a list of scalars, of which one is given, and short enough to be repeated."""
    items = _schema(error).get("items", {})
    return len(str(error.instance)) < _SHOWN and items.get("type") != "object" and "$ref" not in items


def _wrapped(error: ValidationError) -> str | None:
    properties = _schema(error).get("properties", {})
    first = next((each for each in _FIRST if each in properties), None)
    if first is None:
        return None
    if first == "outcome":  # of what a test expects, the match is the shortest
        return f"write {{match: {error.instance}}}"
    value = quote(error.instance) if first == "value" else error.instance
    return f"write {{{first}: {value}}}"


def _not_listed(error: ValidationError, path: Path) -> Iterator[Problem]:
    options = [str(option) for option in _expected(error)]
    yield Problem(
        f"{_name(path)}: {quote(error.instance)} is not allowed",
        hint=near(str(error.instance), options) or "known: " + ", ".join(options),
        path=path,
    )


def _not_constant(error: ValidationError, path: Path) -> Iterator[Problem]:
    message = f"{_name(path)}: expected {quote(_expected(error))}, found {quote(error.instance)}"
    hint = None if path == ("kind",) else f"write {_expected(error)}"
    yield Problem(message, hint=hint, path=path)


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
    hint = for_form(str(error.instance), str(_expected(error))) or hint
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
