"""Types from JSON Schema files beside a policy, and reads of what a request may lack (W221)."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine import EngineError, PolicyError, load_policy
from engine.catalogs.lock import digests
from engine.regress.lint import check_paths

POLICY = """\
apiVersion: engine/v1
kind: Policy
name: subject
version: 1.0.0
types:
  Pod: {schema: pod.json}
inputs:
  - {name: object, type: Pod}
rule:
  match:
    - {id: all, output: OUTPUT}
"""
SCHEMA: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "properties": {
        "spec": {"$ref": "#/$defs/pod-spec"},
        "created": {"type": "string", "format": "date-time"},
        "labels": {"type": "object", "additionalProperties": {"type": "integer"}},
    },
    "required": ["spec"],
    "$defs": {
        "pod-spec": {
            "type": "object",
            "properties": {
                "containers": {"type": "array", "items": {"$ref": "#/$defs/container"}},
                "restart": {"enum": ["Always", "Never"], "default": "Always"},
                "host": {"type": ["boolean", "null"]},
            },
            "required": ["containers", "host"],
            "additionalProperties": False,
        },
        "container": {"type": "object", "properties": {"cpu": {"type": "number", "minimum": 0}}},
    },
}


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    def write(output: str = "'ok'", schema: object = SCHEMA, policy: str = POLICY) -> Path:
        file = tmp_path / "subject" / "1.0.0.yaml"
        file.parent.mkdir(exist_ok=True)
        file.write_text(policy.replace("OUTPUT", json.dumps(output)))
        text = schema if isinstance(schema, str) else json.dumps(schema, indent=1)
        (file.parent / "pod.json").write_text(text)
        return file

    return write


def decide(file: Path, **value: Any) -> object:
    policy = load_policy(str(file), use_cache=False)
    return policy.decide(policy.request_of({"object": value})).output


@pytest.mark.parametrize(
    ("output", "value", "expected"),
    [
        ("object.spec.restart", {"spec": {"containers": []}}, "Always"),
        ("size(object.spec.containers)", {"spec": {"containers": [{"cpu": 1}]}, "more": 1}, 1),
        ("object.spec.host == true", {"spec": {"containers": [], "host": None}}, False),
        ("has(object.created) && object.created.getFullYear() == 2026",
         {"spec": {"containers": []}, "created": "2026-05-01T00:00:00Z"}, True),
        ("has(object.labels) ? object.labels.a : 0", {"spec": {"containers": []}, "labels": {"a": 4}}, 4),
    ],
)  # fmt: skip
def test_values(write: Any, output: str, value: dict[str, Any], expected: object) -> None:
    assert decide(write(output), **value) == expected


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"spec": {"containers": [{"cpu": -1}]}}, "object.spec.containers[0].cpu: -1 is less than 0"),
        ({"spec": {"containers": [], "restart": "Nver"}}, "did you mean 'Never'?"),
        ({"spec": {"containers": [], "more": 1}}, "unknown field 'more' of PodPodSpec"),
        ({"spec": {}}, "PodPodSpec has no field 'containers'"),
    ],
)
def test_requests_are_held_against_the_schema(write: Any, value: dict[str, Any], message: str) -> None:
    with pytest.raises(EngineError) as raised:
        decide(write(), **value)
    assert message in str(raised.value)


def test_a_misspelt_field_is_an_error(write: Any) -> None:
    with pytest.raises(PolicyError, match="undefined field 'continers' of PodPodSpec"):
        load_policy(str(write("object.spec.continers")), use_cache=False)


def changed(path: str, value: object) -> dict[str, Any]:
    """Return the schema with one value changed or added."""
    schema: dict[str, Any] = json.loads(json.dumps(SCHEMA))
    *steps, last = path.split("/")
    inner = schema
    for step in steps:
        inner = inner[step]
    inner[last] = value
    return schema


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("properties/created/pattern", "x", "#/properties/created/pattern: 'pattern' is not supported"),
        ("oneOf", [{}], "#/oneOf: 'oneOf' is not supported"),
        ("properties/spec/$ref", "other.json", "#/properties/spec/$ref: expected a reference #/$defs/NAME"),
        ("properties/spec/$ref", "#/$defs/none", "expected a reference #/$defs/NAME, found '#/$defs/none'"),
        ("$defs/container/properties/pod", {"$ref": "#"}, "type 'Pod' contains itself: Pod → PodPodSpec"),
        ("$defs/container/properties/cpu/maximum", -5, "minimum 0.0 is more than maximum -5.0"),
        ("$defs/pod-spec/properties/restart/default", "No", "default: 'No' is not allowed"),
        ("properties/created/type", ["string", "integer"], "#/properties/created/type: expected one type"),
        ("properties/app-name", {"type": "string"}, "#/properties/app-name: expressions cannot read a field"),
        ("properties", [], "properties: expected a mapping, found a list"),
        ("required", "spec", "required: expected a list, found 'spec'"),
        (
            "$schema",
            "http://json-schema.org/draft-07/schema#",
            "expected a schema of https://json-schema.org/",
        ),
        ("$defs/container/additionalProperties", {"type": "string"}, "and a type for all others are not"),
    ],
)
def test_what_is_not_supported_is_said_with_its_place(
    write: Any, path: str, value: object, message: str
) -> None:
    file = write(schema=changed(path, value))
    with pytest.raises(PolicyError) as raised:
        load_policy(str(file), use_cache=False)
    assert message in str(raised.value)
    assert all(each.place and each.place.file.endswith("pod.json") for each in raised.value.problems)


def test_keywords_can_be_ignored(write: Any) -> None:
    policy = POLICY.replace("{schema: pod.json}", "{schema: pod.json, ignore: [pattern, format]}")
    file = write("object.created", changed("properties/created/pattern", "x"), policy)
    assert decide(file, spec={"containers": []}, created="no time") == "no time"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("missing.json", "no such file"),
        ("../pod.json", "expected a path without '..'"),
        ("/etc/pod.json", "expected a relative path"),
        ("pod.yaml", "'pod.yaml' is no JSON file"),
        ("link.json", "expected no link on the way"),
        ("folder.json", "Is a directory"),
        ("broken.json", "not valid JSON"),
    ],
)
def test_schemas_stay_in_the_folder_of_the_policy(write: Any, name: str, message: str) -> None:
    file = write(policy=POLICY.replace("pod.json", name))
    os.symlink(file, file.parent / "link.json")
    (file.parent / "folder.json").mkdir()
    (file.parent / "broken.json").write_text("{")
    report = check_paths([file])
    assert [each.code for each in report.findings] == ["E140"]
    assert message in report.findings[0].problem.message


def test_the_digest_and_the_cache_see_the_schema(write: Any, tmp_path: Path) -> None:
    file = write()
    first = load_policy(str(file))
    assert sorted(digests(tmp_path)) == ["subject/1.0.0.yaml", "subject/pod.json"]
    write(schema=changed("$defs/container/properties/cpu/minimum", -2))
    second = load_policy(str(file))
    assert first.digest != second.digest
    request = second.request_of({"object": {"spec": {"containers": [{"cpu": -1}]}}})
    assert second.decide(request).output == "ok"


GUARDED = """\
apiVersion: engine/v1
kind: Policy
name: subject
version: 1.0.0
types:
  Pod: {fields: {spec: {optional: true, fields: {n: int, tags: {type: list(string), optional: true}}}}}
inputs:
  - {name: open, type: dyn}
  - {name: pod, type: Pod}
  - {name: many, type: list(dyn)}
  - {name: count, type: int, optional: true}
rule:
  variables:
    - {name: kept, expression: "many.filter(m, has(m.a) && m.a == 'x')"}
    - {name: late, expression: open.late}
  match:
    - {id: first, condition: "!has(open.first)", output: "1"}
    - {id: late, condition: "has(open.late) && variables.late == 1", output: "2"}
    - {id: it, condition: CONDITION, output: "3"}
    - {id: rest, output: "4"}
"""


@pytest.mark.parametrize(
    ("condition", "unguarded"),
    [
        ("open.a == 1", "open.a"),
        ("open.first == 1", None),
        ("open.first.second == 1", "open.first.second"),
        ("has(open.a) && open.a == 1", None),
        ("open.a == 1 && has(open.a)", None),
        ("!has(open.a) || open.a == 1", None),
        ("has(open.a) || open.a == 1", "open.a"),
        ("has(open.a) ? open.a == 1 : false", None),
        ("has(open.a.b)", "open.a"),
        ("has(open.a) && has(open.a.b) && open.a.b > 1", None),
        ("'a' in open && open.a == 1", None),
        ("'a' in open && open['a'] == 1", None),
        ("many.exists(m, m.a == 'x')", "m.a"),
        ("many.exists(m, has(m.a) && m.a == 'x')", None),
        ("many.filter(m, has(m.a)).exists(x, x.a == 'x')", None),
        ("variables.kept.exists(x, x.a == 'x')", None),
        ("variables.kept.exists(x, x.b == 'x')", "x.b"),
        ("pod.spec.n > 1", "pod.spec"),
        ("has(pod.spec) && pod.spec.n > 1", None),
        ("has(pod.spec) && 'x' in pod.spec.tags", "pod.spec.tags"),
        ("has(pod.spec) && has(pod.spec.tags) && 'x' in pod.spec.tags", None),
        ("pod.spec == null", None),
        ("pod.spec != null && pod.spec.n > 1", None),
        ("count > 1", "count"),
        ("count == 1", None),
        ("count != null && count > 1", None),
    ],
)
def test_reads_without_a_guard(tmp_path: Path, condition: str, unguarded: str | None) -> None:
    file = tmp_path / "p.yaml"
    file.write_text(GUARDED.replace("CONDITION", json.dumps(condition)))
    found = [each.problem.message for each in check_paths([file]).findings if each.code == "W221"]
    assert found == ([] if unguarded is None else [f"{unguarded} may be absent"])


@pytest.mark.slow
def test_the_size_of_types_is_bounded(write: Any) -> None:
    many = {f"f{number}": {"type": "integer"} for number in range(6_000)}
    with pytest.raises(PolicyError, match="6,001 types and fields, at most 5,000 are allowed"):
        load_policy(str(write(schema={"type": "object", "properties": many})), use_cache=False)
    many = {f"f{number}": {"type": "integer"} for number in range(30_000)}
    with pytest.raises(PolicyError, match="more than 20,000 values"):
        load_policy(str(write(schema={"type": "object", "properties": many})), use_cache=False)
