"""The compiler: ordered variables, checked expressions, every problem with its place."""

from __future__ import annotations

import pytest

from engine.base.errors import PolicyError
from engine.catalogs.store import PolicyStore
from engine.documents import parse_document
from engine.plan import signatures
from engine.policy import CompiledPolicy, compile_policy
from engine.policy.compiler import compile_faulty

HEAD = "apiVersion: engine/v1\nkind: Policy\nname: p\nversion: 1.0.0\n"


def compile_text(text: str) -> CompiledPolicy:
    return compile_policy(parse_document(HEAD + text, "p.yaml"), PolicyStore(), signatures())


def messages(text: str) -> list[str]:
    with pytest.raises(PolicyError) as raised:
        compile_text(text)
    return [f"{problem.place}: {problem.message}" for problem in raised.value.problems]


def test_compile_policy_variables_keep_their_types() -> None:
    policy = compile_text(
        "inputs: [{name: n, type: int}]\n"
        "rule:\n"
        "  variables:\n"
        "    - {name: later, expression: variables.first > 4}\n"
        "    - {name: first, expression: n * 2}\n"
        "  match: [{id: m, condition: variables.later, output: variables.first}]\n"
    )
    assert {name: str(v.expression.checked.type) for name, v in policy.rule.variables.items()} == {
        "later": "bool",
        "first": "int",
    }
    assert [match.id for match in policy.rule.matches] == ["m"]


def test_compile_policy_several_problems_are_reported_in_file_order() -> None:
    found = messages(
        "inputs: [{name: n, type: int}]\n"
        "rule:\n"
        "  match:\n"
        "    - {id: a, condition: n + 1, output: n}\n"
        "    - {id: b, condition: m > 1, output: n}\n"
    )
    assert len(found) == 2
    assert found[0].startswith("p.yaml:8:28: ")
    assert found[1].startswith("p.yaml:9:26: ")
    assert "bool" in found[0]
    assert "'m'" in found[1]


def test_compile_policy_cyclic_variables_are_rejected() -> None:
    (problem,) = messages(
        "inputs: [{name: n, type: int}]\n"
        "rule:\n"
        "  variables:\n"
        "    - {name: a, expression: variables.b + n}\n"
        "    - {name: b, expression: variables.a + n}\n"
        "  match: [{id: m, output: variables.a}]\n"
    )
    assert problem.startswith("p.yaml:8:14: ")
    assert "a → b → a" in problem


def test_compile_policy_position_inside_folded_text_maps_to_the_file() -> None:
    (problem,) = messages(
        "inputs: [{name: n, type: int}]\nrule:\n  match:\n"
        "    - id: m\n      output: >-\n        n +\n        wrong\n"
    )
    assert problem.startswith("p.yaml:11:9: ")


def test_compile_policy_constant_keeps_value_and_unit() -> None:
    policy = compile_text(
        "inputs: [{name: n, type: int}]\n"
        "constants: {limit: {value: 4, unit: devices, description: Devices.}}\n"
        "rule: {match: [{id: m, condition: n <= constants.limit, output: n}]}\n"
    )
    assert (policy.constants["limit"].value, policy.constants["limit"].unit) == (4, "devices")


def test_compile_faulty_keeps_the_valid_parts() -> None:
    document = parse_document(
        HEAD
        + "inputs: [{name: n, type: int}]\nrule: {match: [{id: a, output: n}, {id: b, output: wrong}]}\n",
        "p.yaml",
    )
    policy, problems = compile_faulty(document, PolicyStore(), signatures())
    assert policy is not None
    assert policy.rule.matches[0].id == "a"
    assert len(problems) == 1
