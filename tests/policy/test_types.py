"""Types that a policy declares: what the checker, requests and suites make of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine import PolicyError, RequestError, load_policy
from engine.base.errors import EngineError
from engine.cel.runtimes.registry import RUNTIMES
from engine.regress.lint import check_paths
from engine.regress.suite import read_suite

_HEAD = "apiVersion: engine/v1\nkind: Policy\nname: subject\nversion: 1.0.0\n"

POD = """\
types:
  Pod:
    open: true
    fields:
      spec: PodSpec
      labels: {type: "map(int, string)", optional: true}
  PodSpec:
    fields:
      containers: list(Container)
      initContainers: {type: list(Container), optional: true}
      hostNetwork: {type: bool, optional: true}
      mode: {type: string, enum: [hard, soft], default: soft}
  Container:
    fields:
      name: string
      level: {type: Level, default: 3}
      securityContext: {optional: true, fields: {privileged: {type: bool, optional: true}}}
  Level: {type: int, minimum: 1, maximum: 5}
inputs:
  - {name: object, type: Pod}
"""
CONTEXT = "object.spec.containers.filter(c, has(c.securityContext) && c.securityContext.privileged == true)"


def rule(output: str) -> str:
    return f"rule:\n  match:\n    - id: all\n      output: >-\n        {output}\n"


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    def write(text: str, name: str = "subject/1.0.0.yaml") -> Path:
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(_HEAD + text if "apiVersion" not in text else text)
        return file

    return write


def problems(file: Path) -> list[tuple[int, int, str | None, str]]:
    """Return line, column, code and message of what is wrong with a policy."""
    with pytest.raises(PolicyError) as raised:
        load_policy(str(file), use_cache=False)
    places = [(problem, problem.place) for problem in raised.value.problems]
    return [(place.line, place.column, problem.code, problem.message) for problem, place in places if place]


def values(file: Path, **inputs: Any) -> list[object]:
    """Return a policy's output by all runtimes."""
    policy = load_policy(str(file), use_cache=False)
    request = policy.request_of(inputs)
    return [policy.decide(request, runtime=runtime).output for runtime in RUNTIMES]


def refusal(file: Path, **inputs: Any) -> str:
    policy = load_policy(str(file), use_cache=False)
    with pytest.raises(RequestError) as raised:
        policy.decide(policy.request_of(inputs))
    return str(raised.value)


# --- the checker --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "message", "hint"),
    [
        (
            CONTEXT.replace("has(c.securityContext)", "has(c.securityContxt)"),
            "of Container",
            "securityContext",
        ),
        (CONTEXT.replace("privileged", "privilegd"), "of ContainerSecurityContext", "privileged"),
        ("object.sepc.mode", "undefined field 'sepc' of Pod", "spec"),
    ],
)
def test_a_misspelt_nested_field_is_an_error(write: Any, path: str, message: str, hint: str) -> None:
    file = write(POD + rule(f"dyn({path})"))
    with pytest.raises(PolicyError) as raised:
        load_policy(str(file), use_cache=False)
    assert message in str(raised.value)
    assert f"did you mean '{hint}'?" in str(raised.value)


def test_a_field_of_another_type_is_an_error(write: Any) -> None:
    file = write(POD + rule("object.spec.mode > 3"))
    assert [code for _, _, code, _ in problems(file)] == ["E104"]


# --- values -------------------------------------------------------------------------------------------------


def pod(*containers: dict[str, Any], **spec: Any) -> dict[str, Any]:
    return {"spec": {"containers": list(containers), **spec}}


@pytest.mark.parametrize(
    ("output", "value", "expected"),
    [
        ("object.spec.mode", pod(), "soft"),
        ("object.spec.mode", pod(mode="hard"), "hard"),
        ("object.spec.mode", pod(mode=None), "soft"),
        ("object.spec.containers.map(c, c.level)", pod({"name": "a"}, {"name": "b", "level": 5}), [3, 5]),
        ("has(object.spec.hostNetwork)", pod(), False),
        ("has(object.spec.hostNetwork)", pod(hostNetwork=None), False),
        ("has(object.spec.hostNetwork)", pod(hostNetwork=False), True),
        ("object.spec.hostNetwork == true", pod(), False),
        ("has(object.spec.initContainers)", pod(initContainers=[]), True),
        ("has(object.spec.initContainers)", pod(), False),
        ("has(object.spec.containers)", pod(), True),
        ("size(object.spec.containers + (has(object.spec.initContainers) ? object.spec.initContainers : []))",
         pod({"name": "a"}, initContainers=[{"name": "b"}]), 2),
        ("size(has(object.spec.initContainers) ? object.spec.initContainers : [])", pod(), 0),
        (f"{CONTEXT}.map(c, c.name)",
         pod({"name": "a", "securityContext": {"privileged": True}}, {"name": "c", "securityContext": {}}),
         ["a"]),
        ("has(object.labels) ? object.labels[7] : ''", {**pod(), "labels": {"7": "x"}}, "x"),
        ("has(object.labels) ? object.labels[7] : ''", {**pod(), "labels": {7: "x"}}, "x"),
        ("object.?labels.optMap(l, size(l)).orValue(0)", pod(), 0),
        ("object.spec.?initContainers.orValue([]).size()", pod(initContainers=[{"name": "a"}]), 1),
        ("object.spec.containers[0].?securityContext.?privileged.orValue(false)", pod({"name": "a"}), False),
        ("object.spec.containers[0].?securityContext.?privileged.orValue(false)",
         pod({"name": "a", "securityContext": {"privileged": True}}), True),
        ("false && object.spec.containers[0].securityContext.privileged", pod({"name": "a"}), False),
        ("object.spec.containers[0].securityContext.privileged && false", pod({"name": "a"}), False),
    ],
)  # fmt: skip
def test_values(write: Any, output: str, value: dict[str, Any], expected: object) -> None:
    found = values(write(POD + rule(output)), object={**value, "kind": "Pod"})
    assert found == [expected] * len(RUNTIMES)


def test_reading_what_is_absent_is_an_error(write: Any) -> None:
    file = write(POD + rule("object.spec.containers[0].securityContext.privileged == true"))
    policy = load_policy(str(file), use_cache=False)
    for runtime in RUNTIMES:
        with pytest.raises(EngineError, match="null_type has no field 'privileged'"):
            policy.decide(policy.request_of({"object": pod({"name": "a"})}), runtime=runtime)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"spec": {"containers": [{"name": "a", "level": 9}]}},
         "object.spec.containers[0].level: 9 is more than 5, the most allowed"),
        ({"spec": {"containers": [{"name": "a", "level": 0}]}}, "0 is less than 1, the least allowed"),
        ({"spec": {"containers": [], "mode": "sfot"}}, "object.spec.mode: 'sfot' is not allowed"),
        ({"spec": {"containers": [], "mode": "sfot"}}, "did you mean 'soft'?"),
        ({"spec": {"containers": [{}]}}, "object.spec.containers[0]: Container has no field 'name'"),
        ({"spec": {"containers": [{"name": "a", "securityContxt": {}}]}}, "unknown field 'securityContxt'"),
        ({"spec": {"containers": []}, "labels": {"x": "y"}}, "labels.x: expected a whole number as a key"),
        ({"spec": {"containers": []}, "labels": {1: "a", "1": "b"}}, "the key 1 is there twice"),
    ],
)  # fmt: skip
def test_requests_are_held_against_types(write: Any, value: dict[str, Any], message: str) -> None:
    assert message in refusal(write(POD + rule("''")), object=value)


def test_requests_say_where(write: Any, tmp_path: Path, run: Any) -> None:
    file = write(POD + rule("''"))
    request = tmp_path / "request.yaml"
    request.write_text("object:\n  spec:\n    containers:\n      - {name: a, level: 9}\n  labels: {8: b}\n")
    result = run("eval", "--policy", str(file), "--input", str(request))
    assert result.code == 2
    assert f"{request}:4:26: object.spec.containers[0].level: 9 is more than 5" in result.err


INPUTS = """\
inputs:
  - {name: n, type: int, optional: true, minimum: 2}
  - {name: names, type: list(string), optional: true}
  - {name: by, type: "map(int, string)", default: {"1": one}}
  - {name: since, type: timestamp, optional: true}
  - {name: tier, type: string, enum: [free, team], default: free}
"""


@pytest.mark.parametrize(
    ("output", "inputs", "expected"),
    [
        ("n == null", {}, True),
        ("n != null ? n : 0", {"n": 5}, 5),
        ("names == null", {}, True),
        ("names != null && 'a' in names", {"names": ["a"]}, True),
        ("names != null ? size(names) : -1", {}, -1),
        ("by[1]", {}, "one"),
        ("by[2]", {"by": {"2": "two"}}, "two"),
        ("since == null", {}, True),
        (
            "since != null && since < timestamp('2026-01-01T00:00:00Z')",
            {"since": "2025-01-01T00:00:00Z"},
            True,
        ),
        ("tier", {}, "free"),
    ],
)
def test_inputs_of_any_type_may_be_left_out(
    write: Any, output: str, inputs: dict[str, Any], expected: object
) -> None:
    assert values(write(INPUTS + rule(output)), **inputs) == [expected] * len(RUNTIMES)


def test_bounds_of_inputs(write: Any) -> None:
    file = write(INPUTS + rule("''"))
    assert "n: 1 is less than 2" in refusal(file, n=1)
    assert "tier: 'tema' is not allowed" in refusal(file, tier="tema")


# --- faulty declarations ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("types", "expected"),
    [
        ("Abc: {fields: {b: Bcd}}\n  Bcd: {fields: {a: {type: list(Abc), optional: true}}}",
         (6, 3, "E107", "type 'Abc' contains itself: Abc → Bcd → Abc")),
        ("Abc: list(Abc)", (6, 3, "E107", "type 'Abc' contains itself: Abc → Abc")),
        ("Abc: {fields: {n: {type: int, minimum: 5, maximum: 2}}}",
         (6, 42, "E104", "minimum 5 is more than maximum 2")),
        ("Abc: {fields: {n: {type: int, maximum: 2, default: 3}}}",
         (6, 54, "E104", "default: 3 is more than 2, the most allowed")),
        ("Abc: {fields: {s: {fields: {n: int}, default: {m: 1}}}}",
         (6, 50, "E104", "default: unknown field 'm' of AbcS")),
        ("Abc: {fields: {n: inte}}", (6, 21, "E102", "'inte' is not a type")),
        ("Abc: {fields: {n: {type: string, minimum: 1}}}", (6, 45, "E104", "minimum of type 'string'")),
        ("Abc: {fields: {n: {type: int, enum: [1, x]}}}",
         (6, 43, "E104", "enum: expected a whole number, found 'x'")),
        ("Abc: {fields: {n: {type: int, enum: [1, 1]}}}", (6, 43, "E108", "1 is listed twice")),
        ("Abc: {type: int, fields: {n: int}}",
         (6, 3, "E104", "a type is stated by one of type, fields, items, values; found type and fields")),
        ("Abc: {type: int, keys: int}", (6, 20, "E104", "'keys' goes with 'values'")),
        ("Abc: {keys: double, values: int}", (6, 15, "E104", "map keys cannot be of type 'double'")),
        ("Device: {fields: {n: int}}", (6, 3, "E108", "'Device' is the name of another type")),
        ("int: {fields: {n: int}}", (6, 3, "E108", "'int' is the name of another type")),
        ("Abc: {fields: {b: {fields: {n: int}}}}\n  AbcB: {fields: {}}",
         (6, 18, "E108", "the record would have the type AbcB, which exists")),
        ("Abc: {fields: {m: Inventory}}", (6, 21, "E104", "type 'Inventory' is for inputs, not for fields")),
    ],
)  # fmt: skip
def test_faulty_types(write: Any, types: str, expected: tuple[int, int, str, str]) -> None:
    assert problems(write(f"types:\n  {types}\n{rule('1')}")) == [expected]


def test_unknown_words_of_a_type_are_found(write: Any) -> None:
    file = write("types:\n  A: {fields: {n: {type: int, minimun: 1}}}\n" + rule("1"))
    with pytest.raises(EngineError, match="unknown field 'minimun'") as raised:
        load_policy(str(file), use_cache=False)
    assert "did you mean 'minimum'" in str(raised.value)


def test_types_nest_to_a_limit(write: Any) -> None:
    types = "".join(f"  T{n}: {{fields: {{x: T{n + 1}}}}}\n" for n in range(40)) + "  T40: int\n"
    assert "types nested deeper than 32 levels" in problems(write("types:\n" + types + rule("1")))[0][3]


# --- libraries and suites -----------------------------------------------------------------------------------

LIBRARY = """\
apiVersion: engine/v1
kind: Library
name: shapes
version: 1.0.0
types:
  Box: {fields: {width: {type: double, minimum: 0, unit: m}, height: double}}
inputs: [{name: box, type: Box}]
variables: [{name: area, expression: box.width * box.height, unit: m^2, description: Area.}]
"""


def test_a_policy_uses_the_types_of_its_libraries(write: Any) -> None:
    write(LIBRARY, "library/shapes/1.0.0.yaml")
    file = write("libraries: [shapes@1]\ninputs: [{name: box, type: Box}]\n" + rule("shapes.area"))
    policy = load_policy(str(file), [str(file.parents[1])], use_cache=False)
    request = policy.request_of({"box": {"width": 2, "height": 3}})
    assert policy.decide(request).output == 6.0


def test_one_type_declared_twice_must_be_the_same(write: Any) -> None:
    write(LIBRARY, "library/shapes/1.0.0.yaml")
    text = (
        "libraries: [shapes@1]\ntypes: {Box: {fields: {width: double}}}\ninputs: [{name: box, type: Box}]\n"
    )
    file = write(text + rule("shapes.area"))
    with pytest.raises(PolicyError, match="type 'Box' is declared differently in"):
        load_policy(str(file), [str(file.parents[1])], use_cache=False)


SUITE = """\
apiVersion: engine/v1
kind: Suite
policy: subject@1
fixtures:
  object:
    plain: {spec: {containers: []}}
    typo: {spec: {containers: [{name: web, securityContxt: {}}]}}
tests:
  - name: by pod
    columns: [object, object.spec.mode, output]
    cases:
      - [plain, soft, ""]
      - [typo, soft, ""]
      - [plain, sfot, ""]
  - {name: by part, matrix: {object: [plain], object.labels: [{1: a}, {x: a}]}, expect: {output: ""}}
  - {name: refused, inputs: {object: typo}, expect: {error: unknown field}}
"""


def test_suites_are_held_against_types(write: Any) -> None:
    policy = write(POD + rule("''"))
    suite = write(SUITE, "subject/tests/subject_test.yaml")
    with pytest.raises(EngineError) as raised:
        read_suite(suite, [str(policy.parents[1])])
    found = [
        (p.place.line, p.place.column, p.message.partition(":")[0]) for p in raised.value.problems if p.place
    ]
    assert found == [
        (7, 44, "object.spec.containers[0].securityContxt"),
        (14, 17, "object.spec.mode"),
        (15, 72, "object.labels.x"),
    ]
    report = check_paths([suite])
    assert [finding.code for finding in report.findings] == ["E116"] * 3


TABLE = """\
inputs:
  - {name: plan, type: string, enum: [basic, large]}
  - {name: severity, type: int, minimum: 1, maximum: 3}
rule:
  table:
    columns:
      plan: {input: plan, type: string}
      severity: {input: severity, type: int}
      minutes: {type: int}
    rows:
      - [basic, "-", 60]
      - [large, "[1..2]", 5]
      - [large, 3, 10]
"""


def test_rows_of_a_table_need_to_cover_allowed_values_only(write: Any) -> None:
    def gaps(text: str) -> list[str]:
        findings = check_paths([write(text)]).findings
        return [each.problem.hint or "" for each in findings if each.code == "W220"]

    assert gaps(TABLE) == []
    (gap,) = gaps(TABLE.replace("maximum: 3", "maximum: 4"))
    assert '{"plan": "large", "severity": 4}' in gap
    assert len(gaps(TABLE.replace(", enum: [basic, large]", ""))) == 1
