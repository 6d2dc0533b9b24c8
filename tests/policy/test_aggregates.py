"""Rules that aggregate give the list of the outputs of all matches that hold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

import engine
from tests.conftest import Run

HEAD = {
    "apiVersion": "engine/v1",
    "kind": "Policy",
    "name": "labels",
    "version": "1.0.0",
    "inputs": [{"name": "a", "type": "bool"}, {"name": "x", "type": "int"}],
}


def write(folder: Path, rule: dict[str, Any]) -> Path:
    file = folder / "labels.yaml"
    file.write_text(yaml.safe_dump({**HEAD, "rule": rule}, sort_keys=False))
    return file


def outputs(file: Path, runtime: str, *requests: dict[str, Any]) -> list[Any]:
    policy = engine.load_policy(str(file), use_cache=False)
    made = [engine.Request.from_inputs(each) for each in requests]
    explained = [policy.decide(each, explain=True, runtime=runtime).output for each in made]
    assert explained == [policy.decide(each).output for each in made]
    return explained


NESTED = {
    "variables": [{"name": "x", "expression": "10"}, {"name": "y", "expression": "x"}],
    "aggregate": [
        {"condition": "a", "output": "variables.x"},
        {
            "rule": {
                # Both read the outer x, and z reads this y.
                "variables": [
                    {"name": "x", "expression": "variables.x + 1"},
                    {"name": "z", "expression": "variables.y * 2"},
                    {"name": "y", "expression": "variables.y + 1"},
                ],
                "match": [
                    {"rule": {"match": [
                        {"condition": "x == 1", "rule": {"match": [{"condition": "a", "output": "1"}]}},
                        {"condition": "x == 2", "output": "2"},
                    ]}},
                    {"rule": {"match": [{"condition": "x == 3", "output": "variables.z"}]}},
                    {"condition": "x == 4", "rule": {"match": [{"condition": "a", "output": "variables.x"}]}},
                    {"output": "0"},
                ],
            },
        },
        {"condition": "x > 8", "rule": {"match": [{"condition": "a", "output": "8"}]}},
        {"output": "variables.y"},
    ],
}  # fmt: skip


@pytest.mark.parametrize("runtime", ["compiled", "cel-python"])
def test_nested_rules_fall_through_where_they_have_no_condition(tmp_path: Path, runtime: str) -> None:
    file = write(tmp_path, NESTED)
    asked = [(True, 1), (False, 1), (True, 2), (True, 3), (True, 4), (False, 4), (True, 9), (False, 9)]
    assert outputs(file, runtime, *({"a": a, "x": x} for a, x in asked)) == [
        [10, 1, 1],
        # The rule whose condition holds ends the rule around it, which passes on to the next.
        [0, 1],
        [10, 2, 2],
        [10, 8, 3],
        [10, 11, 4],
        # Here it ends the rule that the aggregate collects from.
        [4],
        [10, 0, 8, 9],
        [0, 9],
    ]


def test_lists_are_collected_whole_and_none_gives_the_empty_list(tmp_path: Path) -> None:
    file = write(tmp_path, {"aggregate": [{"condition": "a", "output": "[x, x]"}]})
    assert outputs(file, "compiled", {"a": True, "x": 2}, {"a": False, "x": 2}) == [[[2, 2]], []]


def test_explanations_of_what_holds_are_joined(tmp_path: Path) -> None:
    rule = {
        "aggregate": [
            {"condition": "a", "output": "1", "explanation": "'a holds'"},
            {"condition": "x > 1", "output": "2"},
            {"condition": "x > 2", "output": "3", "explanation": "'x is ' + string(x)"},
        ]
    }
    policy = engine.load_policy(str(write(tmp_path, rule)), use_cache=False)
    decision = policy.decide(engine.Request.from_inputs({"a": True, "x": 3}))
    assert (decision.output, decision.explanation) == ([1, 2, 3], "a holds; x is 3")


def test_an_aggregate_nested_in_matches_always_has_a_result(tmp_path: Path) -> None:
    inner = {"aggregate": [{"condition": "x > 1", "output": "x"}]}
    file = write(tmp_path, {"match": [{"condition": "a", "rule": inner}, {"output": "[-1]"}]})
    asked = [{"a": True, "x": 2}, {"a": True, "x": 0}, {"a": False, "x": 2}]
    assert outputs(file, "compiled", *asked) == [[2], [], [-1]]


def test_many_matches_are_collected_in_order(tmp_path: Path) -> None:
    inner = [{"condition": f"x == {number}", "output": str(number)} for number in range(150)]
    many = [{"condition": f"x < {number}", "output": str(number)} for number in range(230)]
    file = write(tmp_path, {"aggregate": [{"rule": {"match": inner}}, *many]})
    policy = engine.load_policy(str(file), use_cache=False)
    for x in (0, 149, 228, 300):
        decision = policy.decide(engine.Request.from_inputs({"a": True, "x": x}))
        assert decision.output == [*([x] if x < 150 else []), *range(x + 1, 230)]


def test_an_error_is_reported_where_it_is_written(tmp_path: Path, run: Run) -> None:
    rule = {
        "aggregate": [
            {
                "rule": {
                    "variables": [{"name": "k", "expression": "10 / x"}],
                    "match": [{"output": "variables.k"}],
                }
            }
        ]
    }
    file = write(tmp_path, rule)
    text = file.read_text().splitlines()
    ran = run("eval", "--policy", str(file), "--input", "-", stdin='{"a": true, "x": 0}')
    line = next(number for number, each in enumerate(text, 1) if "10 / x" in each)
    assert ran.code == 2
    assert f"labels.yaml:{line}:" in ran.err
    assert "divide by zero in 10 / x" in ran.err


@pytest.mark.parametrize(
    ("aggregate", "code", "message", "at"),
    [
        ([{"output": "1"}, {"output": "'b'"}], "E111", "found 'string', expected 'int'", "'b'"),
        ([{"rule": {"match": [{"condition": "a", "output": "1"}, {"output": "0.5"}]}}], "E111", "int", "0.5"),
        ([{"rule": {"aggregate": [{"output": "1"}]}}], "E132", "nested aggregate rules", "aggregate"),
        ([{"plan": {"builder": "none"}}], "E132", "found a plan", "plan"),
        ([{"condition": "a"}], "E132", "just one of output and rule", "condition: a"),
        ([{"condition": "false", "output": "1"}], "W201", "its condition is always false", "'false'"),
        (
            [{"rule": {"match": [{"condition": "true", "output": "1"}, {"condition": "a", "output": "2"}]}}],
            "W201",
            "always holds",
            "condition: a",
        ),
        ([{"id": "p", "output": "1"}, {"id": "p", "output": "2"}], "E108", "duplicate match id 'p'", "'2'"),
        ([{"rule": {"match": [{"output": "variables.k"}]}}], "E102", "undeclared variable", "variables.k"),
    ],
)  # fmt: skip
def test_faults_are_found_at_their_places(
    tmp_path: Path, run: Run, aggregate: list[dict[str, Any]], code: str, message: str, at: str
) -> None:
    file = write(tmp_path, {"aggregate": aggregate})
    lines = file.read_text().splitlines()
    expected = max(number for number, line in enumerate(lines, 1) if at in line)
    ran = run("check", str(file))
    assert ran.code == 1
    assert f"labels.yaml:{expected}:" in ran.out
    assert f" {code} " in ran.out
    assert message in ran.out


def test_mutants_and_coverage_see_conditions_of_an_aggregate(tmp_path: Path, run: Run) -> None:
    write(
        tmp_path,
        {
            "aggregate": [
                {"condition": "a && x > 1", "output": "'a'"},
                {"condition": "x > 2", "output": "'b'"},
            ]
        },
    )
    suite = tmp_path / "labels_test.yaml"
    suite.write_text(
        "apiVersion: engine/v1\nkind: Suite\npolicy: labels.yaml\ntests:\n"
        "  - {name: both, inputs: {a: true, x: 3}, expect: {output: [a, b]}}\n"
    )
    ran = run("test", str(suite), "--coverage")
    assert ran.code == 0, ran.out + ran.err
    assert "variables.match_1_holds: x > 1 is false" in ran.out
    assert "variables.match_2_holds is false" in ran.out
