"""Proofs by the SMT solver, held against what the policy decides."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import engine
from engine.regress.prove import Prover
from engine.request import Request
from tests.conftest import TOP, Run

HEAD = """apiVersion: engine/v1
kind: Policy
name: p
version: 1.0.0
inputs:
  - {name: n, type: int}
  - {name: m, type: int}
  - {name: x, type: double}
  - {name: b, type: bool}
  - {name: s, type: string}
  - {name: model, type: Model}
constants:
  c: {value: 7, unit: count, description: Seven.}
rule:
  variables:
    - {name: twice, expression: n * 2}
    - {name: part, expression: "n / m"}
  match:
"""


def policy(folder: Path, *conditions: str, last: bool = True) -> Path:
    matches = [f"    - {{id: m{i}, condition: '{c}', output: n}}\n" for i, c in enumerate(conditions, 1)]
    path = folder / "p.yaml"
    path.write_text(HEAD + "".join(matches) + ("    - {id: last, output: n}\n" if last else ""))
    return path


def checked(run: Run, path: Path, *more: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = run("check", path, "--prove", "--format", "json", *more).json["findings"]
    return [each for each in found if each["code"] in ("W201", "W202", "E115")]


@pytest.mark.parametrize(
    ("conditions", "unreachable"),
    [
        (["variables.twice > 10", "n > 5"], ["m2"]),
        (["variables.twice > 10", "n > 4"], []),
        (["n + m > 0 && n - m > 0", "n > m && n > -m"], ["m2"]),
        (["x > 0.5 || x <= 0.5"], ["last"]),
        (['s.startsWith("ab")', 's == "abc"'], ["m2"]),
        (["n % 2 == 0", "n % 4 == 2"], ["m2"]),
        (["n in [1, 2, 3]", "n > 0 && n < constants.c - 3"], ["m2"]),
        (["model.params < 0"], ["m1"]),
        (["b ? n > 3 : n > 5", "n > 6"], ["m2"]),
        (["n / m == 2 && m == 0"], ["m1"]),
        (["math.greatest(n, m) > 5", "n > 5"], ["m2"]),
        (["double(n) > 1.0e18 && n < 1000000000000000000"], ["m1"]),
    ],
    ids=str,
)
def test_out_of_reach(conditions: list[str], unreachable: list[str], run: Run, tmp_path: Path) -> None:
    found = checked(run, policy(tmp_path, *conditions))
    assert [each["message"].split("'")[1] for each in found if each["code"] == "W201"] == unreachable


def test_a_request_without_a_match(run: Run, tmp_path: Path) -> None:
    path = policy(tmp_path, "n > 3", "n < 3 || b", last=False)
    (found,) = checked(run, path)
    assert found["code"] == "W202"
    witness = json.loads(found["hint"].removeprefix("as for "))
    assert (witness["n"], witness["b"]) == (3, False)
    assert engine.load_policy(str(path)).decide(Request(witness)).outcome == "no_match"


def test_totality_that_is_proved_is_no_finding(run: Run, tmp_path: Path) -> None:
    path = policy(tmp_path, "n > 3", "n + 0 <= 3", last=False)
    codes = {each["code"] for each in run("check", path, "--format", "json").json["findings"]}
    assert "W202" in codes
    assert checked(run, path) == []


def test_overlaps(run: Run, tmp_path: Path) -> None:
    proofs = run("check", policy(tmp_path, "n > 3", "m > 3", "n < 2"), "--prove", "--format", "json").json[
        "proofs"
    ]
    overlaps = {proof["claim"]: proof for proof in proofs if proof["kind"] == "overlap"}
    assert overlaps["m1 and m3 never hold together"]["verdict"] == "proved"
    both = overlaps["m1 and m2 never hold together"]
    assert both["verdict"] == "refuted"
    assert both["concrete"]
    assert both["witness"]["n"] > 3
    assert both["witness"]["m"] > 3


def test_what_the_solver_does_not_know_is_said(run: Run, tmp_path: Path) -> None:
    out = run("check", policy(tmp_path, 's.matches("a+") && n > 3', "n > 3"), "--prove").out
    assert "taken to have any value" in out
    assert '    s.matches("a+")' in out
    assert "maybe   m1 can be chosen" in out


ASSERTED = """
apiVersion: engine/v1
kind: Suite
policy: p.yaml
tests: [{name: t, inputs: {n: 1, m: 1, x: 0.0, b: true, s: "", model: 1B}, expect: {outcome: value}}]
assert:
"""


def asserted(run: Run, folder: Path, *assertions: dict[str, Any]) -> Any:
    policy(folder, "n > constants.c && b", "n > 3")
    suite = folder / "p_test.yaml"
    suite.write_text(ASSERTED.lstrip() + "".join(f"  - {json.dumps(each)}\n" for each in assertions))
    return run("check", suite, "--prove", "--format", "json").json


@pytest.mark.parametrize(
    ("verdict", "assertion"),
    [
        ("proved", {"holds": "n <= 7 || !b || match == 'm1'"}),
        ("refuted", {"holds": "n <= 6 || !b || match == 'm1'"}),
        ("proved", {"assume": "variables.twice > 6", "holds": "match != 'last'"}),
        ("refuted", {"assume": "variables.twice >= 6", "holds": "match != 'last'"}),
        (
            "proved",
            {"assume": "a.n <= b.n && a.b == b.b", "holds": "!(a.match == 'm1' && b.match == 'last')"},
        ),
        ("refuted", {"assume": "a.n <= b.n", "holds": "!(a.match == 'm1' && b.match == 'm2')"}),
    ],
)
def test_assertions(verdict: str, assertion: dict[str, Any], run: Run, tmp_path: Path) -> None:
    found = asserted(run, tmp_path, {"name": "stated", **assertion})
    (proof,) = (each for each in found["proofs"] if each["kind"] == "assertion")
    assert (proof["claim"], proof["verdict"]) == ("stated", verdict)
    assert [each["code"] for each in found["findings"]] == (["E115"] if verdict == "refuted" else [])


@pytest.mark.parametrize(
    ("assertion", "message"),
    [
        ({"holds": "mach == 'm1'"}, "undeclared reference to 'mach'"),
        ({"holds": "n"}, "holds: expected 'bool'"),
        ({"holds": "true", "assume": "n >"}, "ends too early"),
        ({"holds": "true", "differ": ["variables.twise"]}, "'variables.twise' is no variable"),
    ],
)
def test_faulty_assertions(assertion: dict[str, Any], message: str, run: Run, tmp_path: Path) -> None:
    (found,) = asserted(run, tmp_path, {"name": "stated", **assertion})["findings"]
    assert message in found["message"]
    assert found["line"] == 6


def test_the_shipped_assertions(run: Run) -> None:
    found = run("check", TOP / "policies", "--prove", "--format", "json").json
    stated = [proof for proof in found["proofs"] if proof["kind"] == "assertion"]
    assert len(stated) == 3
    assert {proof["verdict"] for proof in stated} == {"proved"}


TERMS = [
    "n",
    "m",
    "n + m",
    "n - m",
    "n * 3",
    "n / 2",
    "n % 3",
    "variables.part",
    "variables.twice",
    "2",
    "-1",
]
CONDITIONS = st.deferred(
    lambda: st.one_of(
        st.builds(
            "{} {} {}".format,
            st.sampled_from(TERMS),
            st.sampled_from(["<", "<=", "==", "!="]),
            st.sampled_from(TERMS),
        ),
        st.builds(
            "x {} {}".format, st.sampled_from(["<", ">="]), st.sampled_from(["0.5", "x * 2.0", "double(m)"])
        ),
        st.sampled_from(["b", "!b", 's == "a"', 's.contains("b")', "n in [1, m]"]),
        st.builds("({} {} {})".format, CONDITIONS, st.sampled_from(["&&", "||"]), CONDITIONS),
        st.builds("({} ? {} : {})".format, CONDITIONS, CONDITIONS, CONDITIONS),
    )
)


@settings(max_examples=15, deadline=None)
@given(st.lists(CONDITIONS, min_size=1, max_size=3), st.integers(0, 2**32))
def test_drawn_policies(tmp_path_factory: pytest.TempPathFactory, conditions: list[str], seed: int) -> None:
    """A witness is decided as it says; what is proved out of reach is reached by no drawn request."""
    path = policy(tmp_path_factory.mktemp("drawn"), *conditions)
    loaded = engine.load_policy(str(path), use_cache=False)
    rng = random.Random(seed)
    edges = [0, 1, -1, 2, 3, -3, 7, 2**62, -(2**63), 2**63 - 1]
    drawn = [
        {"n": rng.choice(edges), "m": rng.choice(edges), "x": rng.choice([0.0, 0.5, 1.0, -2.0]),
         "b": rng.random() < 0.5, "s": rng.choice(["", "a", "ab"]), "model": {"params": 1}}
        for _ in range(60)
    ]  # fmt: skip
    chosen = set()
    for inputs in drawn:
        try:
            chosen.add(loaded.decide(Request(inputs)).match_id)
        except engine.EvaluationError:
            continue
    for proof in Prover(loaded, seconds=3).proofs():
        if proof.kind == "reachable" and proof.verdict == "proved":
            assert proof.match not in chosen
        elif proof.kind == "reachable" and proof.verdict == "refuted":
            assert proof.concrete
            assert proof.verified, (conditions, proof)
        elif proof.kind == "total":
            assert proof.verdict != "refuted"
