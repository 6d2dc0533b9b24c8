"""The quick checks say yes to nothing that jsonschema refuses."""

from __future__ import annotations

import copy
import functools
import gzip
import json
import random
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.base.errors import DocumentError
from engine.bulk.registry_lines import read_request
from engine.decide.request import Request
from engine.documents import quick
from engine.documents.json_source import decode_json
from engine.documents.lines import decode_line
from engine.documents.schema import _validator
from tests.conftest import DATA, TOP, examples

GOOD: list[tuple[str, Any]] = []
OUTPUT = {"decision", "frontier", "map", "sizing"}
"""Documents that commands print; jsonschema checks them in tests."""
for _file in sorted((TOP / "schemas").glob("*.schema.json")):
    _name = _file.name.removesuffix(".schema.json")
    if _name in OUTPUT:
        continue
    GOOD += [(_name, example) for example in json.loads(_file.read_text()).get("examples", [])]
for _path in sorted((TOP / "policies").rglob("*.yaml")):
    _document = yaml.load(_path.read_text(), Loader=yaml.CSafeLoader)
    if re.fullmatch(r"\d+\.\d+\.\d+", _path.parent.name):
        continue  # a part of a folder, which is no document by itself
    GOOD.append((_document["kind"].lower(), _document))

ODD = [None, True, False, 0, -1, 1, 5.0, 5.5, 1e300, 2**70, "", "x", [], {}, [1], {"a": 1}]


def test_there_is_something_to_check() -> None:
    assert {name for name, _ in GOOD} >= {"inventory", "registry", "request", "model", "policy", "catalog"}


@pytest.mark.parametrize("position", range(len(GOOD)))
def test_good_documents(position: int) -> None:
    name, document = GOOD[position]
    assert quick._check(name)(document)


def changed(document: Any, rng: random.Random) -> Any:
    """A document with something odd at one place: a value, a key that is gone or new."""
    document = copy.deepcopy(document)
    places: list[Any] = [document]
    for place in places:
        inner = place.values() if isinstance(place, dict) else place if isinstance(place, list) else ()
        places += [each for each in inner if isinstance(each, (dict, list))]
    place = rng.choice(places)
    odd = copy.deepcopy(rng.choice(ODD))
    if isinstance(place, list):
        place.insert(rng.randint(0, len(place)), odd)
    elif not place or rng.random() < 0.2:
        place[rng.choice(["extra", "kind", "devices", "params", "id"])] = odd
    elif rng.random() < 0.3:
        del place[rng.choice(list(place))]
    else:
        place[rng.choice(list(place))] = odd
    return document


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(st.sampled_from(range(len(GOOD))), st.integers(0, 2**32), st.integers(1, 3))
def test_changed_documents(position: int, seed: int, changes: int) -> None:
    name, document = GOOD[position]
    rng = random.Random(seed)
    for _ in range(changes):
        document = changed(document, rng)
    right = _validator(name).is_valid(document)
    assert quick._check(name)(document) == right


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "integer"},
        {"type": "integer", "minimum": 1},
        {"type": ["number", "null"], "maximum": 5},
        {"type": ["integer", "string"], "exclusiveMinimum": 0},
        {"type": "string", "minLength": 1},
        {"type": ["string", "boolean"], "pattern": "^x$"},
        {"type": "array"},
        {"minimum": 1},
        {"const": 1},
        {"enum": [1, "x", None]},
        {"$ref": "#/$defs/count"},
        {"$ref": "#/$defs/count", "maximum": 0},
        {"type": "object", "properties": {"a": {"type": "integer"}}, "additionalProperties": False},
        {"properties": {"a": {"type": "string"}}, "required": ["a"]},
        {"type": "object", "additionalProperties": {"type": "integer"}},
        True,
        False,
    ],
    ids=str,
)
def test_check_of_a_field_agrees_with_jsonschema(
    schema: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Values of some types match a field's schema by their type alone; the others are checked by keyword."""
    counts = {"count": {"type": ["integer", "null"], "minimum": 0}}
    fields = {"type": "object", "properties": {"field": schema}, "$defs": counts}
    (tmp_path / "fields.schema.json").write_text(json.dumps(fields))
    monkeypatch.setattr(quick, "shipped", lambda folder: str(tmp_path))
    quick.load_schema.cache_clear()
    validator = jsonschema.Draft202012Validator(fields)
    check = quick._check.__wrapped__("fields")
    quick.load_schema.cache_clear()
    assert check({})
    for value in ODD:
        assert check({"field": value}) == validator.is_valid({"field": value}), value
        assert check(value) == validator.is_valid(value), value


LINES = st.one_of(
    st.recursive(
        st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text()),
        lambda inner: st.one_of(st.lists(inner), st.dictionaries(st.text(), inner)),
    ).flatmap(
        lambda value: st.sampled_from(
            [
                json.dumps(value),
                json.dumps(value, ensure_ascii=False),
                json.dumps(value, indent=1).replace("\n", " "),
            ]
        )
    ),
    st.text('{}[]:,"\\u01aeE+-. '),
    st.sampled_from(
        [
            '{"a":1,"a":2}',
            '{"a" :1,"a":2}',
            '{"a":1,"a":2,"b":"\\u003a"}',
            '{"a:":{"b":1,"b":":"}}',
            '{"a":{"x":1},"a":{"y":2}}',
            '{"a":1e5,"a":100000.0}',
            "NaN",
            "[1e400]",
            "[123456789012345678901234567890]",
            '"\\ud800"',
            "1.0",
            "-0",
            "-0.0",
            "\ufeff{}",
            "[" * 2000 + "]" * 2000,
        ]
    ),
)


@pytest.mark.slow
@settings(max_examples=examples(250), deadline=None)
@given(LINES)
def test_lines_are_read_as_strictly_as_files(text: str) -> None:
    try:
        expected = decode_json(text.removeprefix("\ufeff"))
    except ValueError:
        with pytest.raises(DocumentError):
            decode_line(text.encode("utf-8", "surrogatepass"))
        return
    try:
        found = decode_line(text.encode("utf-8"))
    except UnicodeEncodeError:
        return
    assert repr(found) == repr(expected)


@functools.cache
def history() -> list[dict[str, Any]]:
    """A hundred lines of the reference data."""
    with gzip.open(DATA / "reference" / "plans.jsonl.gz", "rt", encoding="utf-8") as file:
        return random.Random(7).sample([json.loads(line) for line in file], 100)


def test_registries_are_read_straight() -> None:
    for line in history():
        assert read_request(json.dumps(line).encode()) == Request.from_dict(line)


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(st.integers(0, 99), st.integers(0, 2**32), st.integers(1, 3), st.booleans())
def test_changed_registries(position: int, seed: int, changes: int, twice: bool) -> None:
    """What is read straight is what the readers with words make of it; what they refuse is not read."""
    document: Any = history()[position]
    rng = random.Random(seed)
    for _ in range(changes):
        document = changed(document, rng)
    if twice and isinstance(document, dict):
        document.pop("expected", None)  # nobody reads what is in it, keys that stand twice included
    text = json.dumps(document)
    if twice:
        key = rng.choice(['"available":', '"memory_bytes":', '"registry":', '"kind":'])
        text = text.replace(key, f"{key} 1, {key}", 1)
    found = read_request(text.encode())
    if found is not None:
        assert found == Request.from_dict(decode_json(text))
        assert repr(found) == repr(Request.from_dict(decode_json(text)))


def test_a_schema_with_another_keyword_has_no_quick_check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "odd.schema.json").write_text('{"contains": {"type": "string"}}')
    monkeypatch.setattr(quick, "shipped", lambda folder: str(tmp_path))
    assert not quick._check("odd")(["x"])


def test_keeps_to_leaves_a_field_with_another_keyword_to_jsonschema(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "odd_field.schema.json").write_text('{"properties": {"a": {"contains": true}, "b": {}}}')
    monkeypatch.setattr(quick, "shipped", lambda folder: str(tmp_path))
    assert quick.keeps_to({"b": 1}, "odd_field")
    assert not quick.keeps_to({"a": ["x"]}, "odd_field")
