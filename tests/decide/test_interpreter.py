"""The interpreter: first match wins, laziness, errors with places, traces."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import engine
from engine.cel.runtimes.compiled import CompiledRuntime
from engine.decide.interpreter import Evaluator

HEAD = "apiVersion: engine/v1\nkind: Policy\nname: p\nversion: 1.0.0\ninputs: [{name: n, type: int}]\n"


def evaluator(tmp_path: Path, rule: str) -> Evaluator:
    file = tmp_path / "p.yaml"
    file.write_text(HEAD + rule)
    compiled = engine.load_policy(str(file)).compiled
    return Evaluator(compiled, CompiledRuntime(compiled.objects))


def decide(evaluator: Evaluator, n: Any, *, explain: bool = False) -> engine.Decision:
    decision, _ = evaluator.decide(engine.Request.from_inputs({"n": n}), explain=explain)
    return decision


def test_decide_several_matches_hold_chooses_the_first(tmp_path: Path) -> None:
    e = evaluator(
        tmp_path,
        "rule:\n  match:\n"
        "    - {id: large, condition: n > 9, output: n}\n"
        "    - {id: positive, condition: n > 0, output: -n}\n",
    )
    assert [decide(e, n).match_id for n in (10, 9, 0)] == ["large", "positive", None]
    assert [decide(e, n).output for n in (10, 9)] == [10, -9]


def test_decide_unused_variable_is_not_evaluated(tmp_path: Path) -> None:
    e = evaluator(
        tmp_path,
        "rule:\n"
        "  variables: [{name: inverse, expression: 1 / n}]\n"
        "  match: [{id: zero, condition: n == 0, output: '0'}, {id: other, output: variables.inverse}]\n",
    )
    assert decide(e, 0).match_id == "zero"
    assert decide(e, 1).output == 1


def test_decide_failing_condition_reports_its_place(tmp_path: Path) -> None:
    e = evaluator(tmp_path, "rule:\n  match:\n    - {id: m, condition: 1 / n > 0, output: n}\n")
    with pytest.raises(engine.EvaluationError) as raised:
        decide(e, 0)
    place = raised.value.problems[0].place
    assert place is not None
    assert (place.line, Path(place.file).name) == (8, "p.yaml")


def test_decide_nested_rule_without_result_continues(tmp_path: Path) -> None:
    e = evaluator(
        tmp_path,
        "rule:\n"
        "  match:\n"
        "    - {rule: {id: inner, match: [{id: five, condition: n == 5, output: n}]}}\n"
        "    - {id: rest, output: n}\n",
    )
    assert [decide(e, n).match_id for n in (5, 6)] == ["five", "rest"]


def test_decide_explain_traces_every_match(tmp_path: Path) -> None:
    e = evaluator(tmp_path, "rule: {match: [{id: a, condition: n > 9, output: n}, {id: b, output: n}]}\n")
    assert decide(e, 1).trace is None
    trace = decide(e, 1, explain=True).to_dict()["trace"]
    assert "'a'" in str(trace)
    assert "'b'" in str(trace)


def test_chosen_gives_the_match_without_its_output(tmp_path: Path) -> None:
    e = evaluator(tmp_path, "rule: {match: [{id: m, condition: n == 0, output: 1 / n}]}\n")
    values = e.encoded(e.binder.bind(engine.Request.from_inputs({"n": 0})))
    assert e.chosen(values) == "m"
