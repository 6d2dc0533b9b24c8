"""Hints for keys that a document cannot have: other languages' words, other places, other kinds."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from functools import cache

from engine.base.errors import near
from engine.documents.quick import load_schema, python_pattern

_WORDS = {
    "apiVersion": "apiversion api",
    "kind": "type",
    "name": "id library catalog ref use title metadata",
    "id": "name key label",
    "type": "typ kind datatype",
    "description": "desc doc docs comment title summary note",
    "unit": "units",
    "value": "default val constant number",
    "default": "value fallback defaultvalue",
    "minimum": "min gte ge least lower exclusiveminimum",
    "maximum": "max lte le most upper exclusivemaximum",
    "enum": "values allowed oneof options choices in",
    "optional": "nullable",
    "items": "list elements array element",
    "fields": "properties attributes record members object",
    "values": "additionalproperties map enum allowed",
    "inputs": "input parameters params args arguments given with request variables",
    "constants": "const consts parameters params settings config values",
    "catalogs": "catalogue catalogues tables data",
    "libraries": "imports import include includes uses use modules",
    "variables": "vars let locals definitions",
    "rule": "rules spec policy validate validations",
    "match": "matches rules cases when switch",
    "table": "decisiontable",
    "aggregate": "collect all",
    "condition": "when if where cond expr expression test predicate preconditions unless matches",
    "output": "then result value action decision return effect outcome verdict allow deny do",
    "expression": "expr value formula cel condition output",
    "explanation": "message reason msg why because messageexpression text comment description",
    "hit": "hitpolicy policy",
    "rows": "row csv data file rules lines",
    "columns": "headers header fields",
    "input": "expression expr of from source",
    "base": "extends from parent catalog policy inherits overlays",
    "disable": "delete remove drop off",
    "before": "above",
    "after": "below",
    "replace": "change override modify update patch name edit set",
    "requirements": "require filters",
    "matches": "match rules",
    "scores": "prefer score",
    "entries": "rows entry data products values records",
    "with": "args params parameters inputs bind set",
    "as": "alias prefix rename",
    "policy": "policies ref of target",
    "tests": "test cases scenarios specs",
    "expect": "then assert want should output result",
    "cases": "rows table examples data",
    "defaults": "common background given",
    "fixtures": "data mocks values",
}
"""What other languages and tools call a key, without marks and capitals, by the key."""

_HOMES = {
    "rule": ("match", "table", "aggregate"),
    "rule.match": ("condition", "output", "explanation", "plan"),
}
"""Where keys belong that often stand a level too far out."""

_EXPECTED = ("match", "output", "outcome", "golden", "plan", "explanation", "error", "strategy")

KINDS = ("policy", "overlay", "library", "catalog", "patch", "suite", "fixtures", "part")


def for_key(
    key: str, known: Collection[str], schema: str, *, depth: int = 0, missing: Collection[str] = ()
) -> str | None:
    """Return the hint for a key that a mapping cannot have.

    Args:
        key: the key.
        known: the keys that it can have.
        schema: the name of the document's schema.
        depth: how many steps below the document the mapping is.
        missing: the keys that it lacks.
    """
    folded = re.sub(r"[-_ ]", "", key).casefold()
    meant = [each for each in known if each.casefold() == folded]
    if "match" in known and "condition" not in known and key in _HOMES["rule.match"]:
        return f"it belongs to a match: match: [{{{key}: …}}]"
    if folded in ("else", "otherwise", "default") and {"condition", "output"} <= {*known}:
        return "the last match has no condition: write output"
    close = near(key, known)
    if not meant and close is not None and close.startswith("did you mean"):
        return close
    meant = meant or [each for each in known if folded in _WORDS.get(each, "").split()]
    meant = [each for each in meant if each in missing] or meant
    if meant:
        return "did you mean " + " or ".join(map(repr, meant[:2])) + "?"
    if folded == "required":
        return "what is not optional: true is required"
    if depth and key in load_schema(schema).get("properties", {}):
        return "it belongs to the document: check the indentation"
    for home, keys in _HOMES.items():
        if not depth and key in keys and "rule" in known:
            return f"it belongs under {home}: check the indentation"
    if "expect" in known and key in _EXPECTED:
        return "it belongs under expect: check the indentation"
    return close


def meant_by(hint: str | None) -> frozenset[str]:
    """Return the keys that a hint proposes."""
    return (
        frozenset(re.findall(r"'([^']+)'", hint)) if hint and hint.startswith("did you mean") else frozenset()
    )


def kind_of(value: Mapping[str, object], but: str) -> str | None:
    """Return the kind of document that has all keys of a mapping, if just one other than `but` has."""
    fitting = [schema for schema in KINDS if schema != but and _fits(value, schema)]
    return _kind(fitting[0]) if len(fitting) == 1 else None


def _fits(value: Mapping[str, object], schema: str) -> bool:
    keywords = load_schema(schema)
    properties, required = keywords.get("properties"), keywords.get("required")
    if not isinstance(properties, dict) or not isinstance(required, list):
        return False
    return all(key in properties for key in value) and all(key in value for key in required)


@cache
def _kind(schema: str) -> str:
    kind: Mapping[str, object] = load_schema(schema)["properties"]["kind"]
    return str(kind.get("const", schema.capitalize()))


def for_form(text: str, pattern: str) -> str | None:
    """Return the hint for a name of another form: the same in this form, if it has one."""
    for candidate in _candidates(text):
        if candidate != text and re.search(python_pattern(pattern), candidate):
            return f"write {candidate}"
    return None


def _candidates(text: str) -> Iterable[str]:
    for mark in ("-", "_"):
        words = re.sub(r"([a-z0-9])([A-Z])", rf"\1{mark}\2", text.strip())
        yield re.sub(r"[^A-Za-z0-9]+", mark, words)
        yield re.sub(r"[^A-Za-z0-9]+", mark, words).lower()


def is_of_other_kind(value: object, schema: str) -> bool:
    """Return True if a document states another kind than its schema has."""
    kind: Mapping[str, object] = load_schema(schema).get("properties", {}).get("kind", {})
    return isinstance(value, dict) and "kind" in value and value["kind"] != kind.get("const", value["kind"])
