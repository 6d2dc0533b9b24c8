"""`engine policies import` converts CEL's policy format, or refuses and writes nothing."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

import engine
from engine.catalogs.store import PolicyStore
from engine.documents import parse_document
from engine.plan import signatures
from engine.policy.imports import import_policy
from tests.conftest import TOP, Ran, Run
from tests.support.cel_policies import ERRORS, answers, suite, write

SUITE = {entry["name"]: entry for entry in suite()}
PROTOBUF = {"pb", "context_pb"}


@pytest.mark.slow
def test_policies_of_the_suite_pass_their_tests_and_the_page_says_so() -> None:
    page = (TOP / "docs" / "cel-policy-suite.md").read_text(encoding="utf-8")
    for name, tests, result in answers():
        if name.startswith(ERRORS):
            assert f"| {name.removeprefix(ERRORS)} | {result} |" in page
            continue
        assert f"| {name} | {tests} | {result} |" in page
        sections = _sections(yaml.safe_load(SUITE[name]["tests"]))
        expected = sum(len(section["tests"]) for section in sections)
        assert (result, tests) == ("passes", expected) or name in PROTOBUF, name


def _sections(tests: dict[str, list[dict[str, list[object]]]]) -> list[dict[str, list[object]]]:
    return tests.get("section") or tests["sections"]


@pytest.mark.parametrize("name", [name for name in SUITE if name.startswith(ERRORS)] + sorted(PROTOBUF))
def test_policies_with_errors_are_refused_where_they_are_written(name: str, tmp_path: Path, run: Run) -> None:
    folder = write(SUITE[name], tmp_path / "cel")
    ran = run("policies", "import", str(folder), str(tmp_path / "made"))
    assert ran.code == 2
    assert not (tmp_path / "made").exists()
    expected, line = EXPECTED[name.removeprefix(ERRORS)]
    assert expected in ran.err
    lines = (folder / "policy.yaml").read_text().splitlines()
    assert any(f"policy.yaml:{number}:" in ran.err for number, each in enumerate(lines, 1) if line in each)


EXPECTED = {
    "aggregate_errors": ("outputs of an aggregate have one type", '"403"'),
    "aggregate_false_condition": ("condition is always false", 'condition: "false"'),
    "aggregate_heterogeneous_outputs": ("found 'int', expected 'string'", '"403"'),
    "aggregate_list_errors": ("found 'int', expected 'list(string)'", '"403"'),
    "aggregate_nested_mixed_semantics": (
        "nested aggregate rules are not allowed",
        "              aggregate:",
    ),
    "aggregate_subrule_heterogeneous_outputs": ("found 'int', expected 'string'", '"403"'),
    "aggregate_unreachable_in_nested_first_match": ("match creates unreachable outputs", "is_admin"),
    "compose_conflicting_output": ("found 'map(string, bool)', expected 'bool'", "{'banned': true}"),
    "compose_conflicting_subrule": ("found 'map(string, bool)', expected 'bool'", "{'banned': false}"),
    "duplicate_variable": ("variable 'want' is declared twice", "    - name: want"),
    "import": ("invalid qualified name: punc.Import!, wanted name of the form 'qualified.name'", "- name: >"),
    "incompatible_outputs": ("found 'string', expected 'bool'", "'false'"),
    "syntax": ("unexpected 'resource'", "lin resource"),
    "undeclared_reference": ("undeclared reference to 'spec", "spec.labels"),
    "unreachable": ("match creates unreachable outputs", "variables.missing.size() > 0"),
    "unreachable_under_unconditional_aggregate_subrule": (
        "match creates unreachable outputs",
        '    - condition: "true"',
    ),
    "pb": (
        "protobuf messages and enums cannot be imported",
        "- name: cel.expr.conformance.proto3.TestAllTypes",
    ),
    "context_pb": ("protobuf messages and enums cannot be imported", "proto3.TestAllTypes"),
}
"""What is said, and a line that it is said of."""

POLICY = """
name: quota
rule:
  match:
    - condition: n > limits.most && has(team.name)
      output: "team.name"
    - output: "'none'"
"""
CONFIG = """
variables:
  - {name: n, type_name: int}
  - {name: limits.most, type_name: int}
  - {name: team, type_name: map, params: [{type_name: string}, {type_name: dyn}]}
"""
TESTS = """
section:
  - name: some
    tests:
      - name: many
        input: {n: {value: 3}, limits.most: {expr: 1 + 1}, team: {expr: "{'name': 'a'}"}}
        output: {value: a}
      - name: unlimited
        input: {n: {value: 3}, team: {value: {}}}
        output: {value: none}
"""


def imported(folder: Path, run: Run, policy: str = POLICY, config: str = CONFIG, tests: str = TESTS) -> Ran:
    for name, text in (("p", policy), ("c", config), ("t", tests)):
        (folder / f"{name}.yaml").write_text(text)
    files = ("--config", str(folder / "c.yaml"), "--tests", str(folder / "t.yaml"))
    return run("policies", "import", str(folder / "p.yaml"), str(folder / "made"), *files)


def test_names_with_dots_become_records_and_what_a_test_leaves_out_optional(tmp_path: Path, run: Run) -> None:
    ran = imported(tmp_path, run)
    assert ran.code == 0, ran.err
    made = yaml.safe_load((tmp_path / "made/quota/1.0.0.yaml").read_text())
    assert made["types"] == {"Limits": {"fields": {"most": {"type": "int", "optional": True}}}}
    assert made["inputs"][:2] == [{"name": "n", "type": "int"}, {"name": "limits", "type": "Limits"}]
    cases = yaml.safe_load((tmp_path / "made/quota/tests/quota_test.yaml").read_text())["tests"]
    assert cases[0]["inputs"] == {"n": 3, "limits": {"most": 2}, "team": {"name": "a"}}
    assert cases[1]["inputs"]["limits"] == {}


@pytest.mark.parametrize(
    ("changed", "old", "new", "message"),
    [
        ("policy", "name: quota", "name: My Quota", "'My Quota' is no name of a policy"),
        ("policy", "  match:", "  matches:", "rule: 'matches' cannot be imported"),
        ("policy", "rule:", "kind: Role\nrule:", "kind: expected ValidatingAdmissionPolicy or none"),
        ("policy", "output: \"'none'\"", "outputs: 1", "match: 'outputs' cannot be imported"),
        (
            "config",
            "{name: n, type_name: int}",
            "{name: n, type_name: acme.Team}",
            "type 'acme.Team' cannot be imported",
        ),
        ("config", "{name: n, type_name: int}", "{name: n}", "no type_name"),
        ("config", "{name: team, ", "{name: limits, ", "variable 'limits.most' is a field of 'limits'"),
        (
            "config",
            "variables:",
            "context_variable: {type_name: a.B}\nvariables:",
            "'context_variable' cannot be",
        ),
        (
            "config",
            "variables:",
            "functions: [{name: f, overloads: [{args: []}]}]\nvariables:",
            "'f() -> dyn' is not offered",
        ),
        (
            "tests",
            "{n: {value: 3}, team",
            "{m: {value: 3}, team",
            "input 'm' is no variable of the environment",
        ),
        (
            "tests",
            "{'name': 'a'}",
            "{'name': 1u}",
            "a suite cannot hold map values of this kind: {'name': 1u}",
        ),
        ("tests", "1 + 1", "1 / 0", "divide by zero"),
        ("tests", "1 + 1", "n", "undeclared reference to 'n'"),
        (
            "tests",
            "{value: a}",
            "{error_set: [broken]}",
            "the tests expect errors, and the policy has none: broken",
        ),
        ("tests", "name: unlimited", "name: many", "test 'some: many' is there twice"),
        ("tests", "section:", "sectoin:", "tests: no list 'section'"),
    ],
)
def test_what_cannot_be_imported_is_said_and_nothing_is_written(
    changed: str, old: str, new: str, message: str, tmp_path: Path, run: Run
) -> None:
    texts = {"policy": POLICY, "config": CONFIG, "tests": TESTS}
    assert old in texts[changed]
    texts[changed] = texts[changed].replace(old, new)
    ran = imported(tmp_path, run, **texts)
    assert ran.code == 2
    assert message in ran.err
    assert not (tmp_path / "made").exists()


ADMISSION = """
name: containers
kind: ValidatingAdmissionPolicy
metadata: {name: containers.example.com}
spec:
  failurePolicy: Fail
  variables:
    - {name: most, expression: "3"}
  validations:
    - {expression: n < variables.most, messageExpression: "'found ' + string(n)", reason: Invalid}
    - {expression: n > 0 || n < -5, message: 'n: none "at all"'}
"""


def test_an_admission_policy_gives_the_message_of_the_first_validation_that_fails(
    tmp_path: Path, run: Run
) -> None:
    tests = "section: [{tests: ["
    for n, expected in (
        (4, "{value: found 4}"),
        (0, "{value: 'n: none \"at all\"'}"),
        (1, "{expr: optional.none()}"),
    ):
        tests += f"{{name: '{n}', input: {{n: {{value: {n}}}}}, output: {expected}}}, "
    ran = imported(tmp_path, run, ADMISSION, "variables: [{name: n, type_name: int}]", tests + "]}]")
    assert ran.code == 0, ran.err
    assert "note: spec.failurePolicy is left out" in ran.err
    assert "note: metadata is left out" in ran.err
    assert "# spec.validations.reason is left out." in (tmp_path / "made/containers/1.0.0.yaml").read_text()
    ran = run("test", str(tmp_path / "made"))
    assert ran.code == 0, ran.out


JUNK = [None, [1], {"a": 1}, "x y"]


def test_values_of_any_form_are_refused_with_a_message() -> None:
    texts = {"policy": ADMISSION, "config": CONFIG.replace("variables:", FUNCTIONS), "tests": TESTS}
    sound = {part: yaml.safe_load(text) for part, text in texts.items()}
    store, builders = PolicyStore(()), signatures()
    tried = 0
    for part, document in sound.items():
        for number, path in enumerate(paths(document)):
            changed = {**sound, part: replaced(document, path, JUNK[number % len(JUNK)])}
            made = [parse_document(yaml.safe_dump(changed[each]), each) for each in sound]
            tried += 1
            with contextlib.suppress(engine.EngineError):
                import_policy(*made, store, builders)
    assert tried > 60


FUNCTIONS = """
functions:
  - name: size
    overloads:
      - {args: [{type_name: string}], return: {type_name: int}}
      - {target: {type_name: list, params: [{type_name: dyn}]}, args: [], return: {type_name: int}}
variables:"""


def paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    keys = value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in keys:
        yield from paths(value[key], (*path, key))


def replaced(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    made = copy.copy(value)
    made[path[0]] = replaced(value[path[0]], path[1:], new)
    return made
