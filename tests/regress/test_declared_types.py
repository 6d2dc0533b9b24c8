"""Declared types in searches, explanations and proofs: drawn values are valid, proofs use the bounds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import z3
from hypothesis import HealthCheck, Phase, given, settings

from engine.base.errors import EvaluationError
from engine.decide.policy import load_policy
from engine.decide.request import Request
from engine.regress.encode import Unknowns
from engine.regress.fuzz_diff import as_test, search
from engine.regress.prove import Encoding, Prover, model_inputs
from engine.regress.strategies import inputs
from tests.conftest import Run

PATIENT: dict[str, Any] = {"deadline": None, "suppress_health_check": list(HealthCheck)}


class Reached(Exception):
    """All matches were reached."""


POLICY = """\
apiVersion: engine/v1
kind: Policy
name: orders
version: 1.0.0
types:
  Order:
    fields:
      amount: {type: double, minimum: 1, maximum: 50}
      tier: {type: string, enum: [free, team, gold], default: free}
      note: {type: string, optional: true}
      lines: list(Line)
      origin: {optional: true, fields: {zone: {type: string, enum: [north, south]}}}
  Line: {fields: {count: {type: int, minimum: 1, maximum: 8}, unused: {type: int, optional: true}}}
  Wait: {type: duration, minimum: 1m, maximum: 1h}
inputs:
  - {name: order, type: Order}
  - {name: n, type: int, minimum: 3, maximum: 9, optional: true}
  - {name: wait, type: Wait}
  - {name: ports, type: "map(int, Wait)", optional: true}
rule:
  match:
    - {id: dear, condition: order.amount > 60.0, output: "1"}
    - {id: south, condition: "has(order.origin) && order.origin.zone == 'south'", output: "2"}
    - {id: gold, condition: order.tier == 'gold', output: "3"}
    - {id: noted, condition: has(order.note), output: "4"}
    - {id: many, condition: "n != null && n >= 8", output: "5"}
    - {id: large, condition: "order.lines.exists(l, l.count > 7)", output: "6"}
    - {id: slow, condition: "wait >= duration('1h')", output: "7"}
    - {id: ports, condition: "ports != null && 80 in ports", output: "8"}
    - {id: rest, output: "0"}
"""


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("types") / "p.yaml"
    file.write_text(POLICY)
    return file


def test_drawn_requests_are_valid_and_reach_matches(file: Path) -> None:
    policy = load_policy(str(file), use_cache=False)
    wanted = {"south", "gold", "noted", "rest"}

    # Hypothesis draws from the constants of the modules that happen to be loaded: how many draws reach all
    # matches differs from run to run, so that the test ends with the last of them.
    @settings(max_examples=3_000, database=None, phases=[Phase.generate], **PATIENT)
    @given(inputs(policy))
    def decide(drawn: dict[str, Any]) -> None:
        assert "unused" not in str(drawn)
        match = policy.decide(Request(drawn)).match_id
        assert match != "dear"
        wanted.discard(match or "")
        if not wanted:
            raise Reached

    with pytest.raises(Reached):
        decide()


def test_a_difference_is_found_within_the_bounds(file: Path, tmp_path: Path) -> None:
    changed = tmp_path / "changed.yaml"
    changed.write_text(POLICY.replace("wait >= duration('1h')", "wait > duration('1h')"))
    before, after = load_policy(str(file)), load_policy(str(changed))
    found = search(before, after, examples=1_000, seed=1).found
    assert found is not None
    assert found.inputs["wait"] == "3600s"
    assert "wait: 3600s" in as_test(found)


def test_flips_are_allowed_values(file: Path, run: Run, tmp_path: Path) -> None:
    given = tmp_path / "input.json"
    given.write_text(
        '{"order": {"amount": 3, "tier": "free", "lines": [{"count": 2}]}, "n": 4, "wait": "90s"}'
    )
    flips = run("explain", "--policy", file, "--input", given, "--format", "json").json["flips"]
    found = {(flip["path"], flip["to"], flip["match_to"]) for flip in flips}
    assert ("n", 8, "many") in found
    assert ("order.tier", "gold", "gold") in found
    assert ("order.lines[0].count", 8, "large") in found
    assert ("wait", "3600s", "slow") in found
    assert not [path for path, _, _ in found if path == "order.amount"]


def proofs(file: Path) -> dict[str, tuple[str, bool]]:
    prover = Prover(load_policy(str(file), use_cache=False))
    return {proof.claim: (proof.verdict, proof.verified) for proof in prover.proofs()}


def test_proofs_use_bounds_and_know_what_may_be_absent(file: Path) -> None:
    found = proofs(file)
    assert found["dear can never be chosen"][0] == "proved"
    for match in ("south", "gold", "noted", "many", "slow"):
        assert found[f"{match} can never be chosen"] == ("refuted", True), match
    assert found["some match holds for every request"][0] == "proved"


@pytest.mark.parametrize(
    ("condition", "total"),
    [
        ("order.origin.zone == 'south'", False),
        ("has(order.origin) && order.origin.zone == 'south'", True),
        ("n >= 3", False),
        ("n == 3", True),
        ("n != null ? n >= 3 : false", True),
        ("order.note == null || order.note == 'x'", True),
        ("order.amount >= 1.0 && (order.tier == 'x' || order.amount < 60.0)", True),
    ],
)
def test_reading_what_is_absent_leaves_requests_without_a_decision(
    tmp_path: Path, condition: str, total: bool
) -> None:
    file = tmp_path / "p.yaml"
    head = POLICY.partition("  match:")[0]
    first = f'    - {{id: first, condition: "{condition}", output: "1"}}\n'
    file.write_text(head + "  match:\n" + first + "    - {id: rest, output: '2'}\n")
    policy = load_policy(str(file), use_cache=False)
    unknowns = Unknowns()
    encoding = Encoding(policy.compiled, unknowns)
    solver = z3.Solver()
    solver.add(encoding.failed, *unknowns.facts)
    assert (solver.check() == z3.unsat) is total
    if not total:
        request = Request(dict(model_inputs(policy.compiled, solver.model(), unknowns)))
        with pytest.raises(EvaluationError):
            policy.decide(request)
