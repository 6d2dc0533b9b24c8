"""Proofs by the SMT solver, held against what the policy decides."""

from __future__ import annotations

import json
import random
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import engine
from engine.cel.times import FIRST_TIMESTAMP, LAST_TIMESTAMP, Timestamp
from engine.decide.request import Request
from engine.regress.prove import Prover
from tests.conftest import TOP, Run, examples
from tests.support.cel import evaluate

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


NESTED = """apiVersion: engine/v1
kind: Policy
name: p
version: 1.0.0
inputs: [{name: n, type: int}, {name: l, type: list(int)}]
rule:
  variables:
    - {name: x, expression: n}
    - {name: y, expression: variables.x + 1}
    - {name: size, expression: "size(l.filter(i, i > 1))"}
    - {name: kept, expression: "l.filter(i, i > 1)"}
  match:
    - id: outer
      condition: n == 5
      rule:
        variables:
          - {name: x, expression: "100"}
          - {name: kept, expression: "l.filter(i, i > 2)"}
          - {name: size, expression: variables.size + 1}
        match:
          - {id: own, condition: variables.y == 101, output: "1"}
          - {id: outside, condition: variables.y == 6 && size(variables.kept) > 0, output: "2"}
          - {id: shadowed, condition: variables.size == 3, output: "3"}
    - {id: many, condition: size(variables.kept) == 0, output: "4"}
    - {id: last, output: "5"}
"""


def test_variables_of_one_name_in_nested_rules(tmp_path: Path) -> None:
    """A variable reads what its own rule reads; what has no formula is not the same in two rules."""
    path = tmp_path / "p.yaml"
    path.write_text(NESTED)
    loaded = engine.load_policy(str(path), use_cache=False)
    assert loaded.decide(Request({"n": 5, "l": [2, 3]})).match_id == "outside"
    assert loaded.decide(Request({"n": 5, "l": [2, 2]})).match_id == "shadowed"
    verdicts = {each.match: each.verdict for each in Prover(loaded).proofs() if each.kind == "reachable"}
    assert verdicts["own"] == "proved"
    assert {verdicts[each] for each in ("outside", "shadowed", "many", "last")} == {"refuted"}


@pytest.mark.slow
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
    witness = json.loads(found["hint"].removeprefix("for example: "))
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
    assert "treated as unconstrained" in out
    assert '    s.matches("a+")' in out
    assert "maybe   m1 can be chosen" in out


ASSERTED = """
apiVersion: engine/v1
kind: Suite
policy: p.yaml
tests: [{name: t, inputs: {n: 1, m: 1, x: 0.0, b: true, s: "", model: 1B}, expect: {outcome: value}}]
assert:
"""


TIMES = """apiVersion: engine/v1
kind: Policy
name: p
version: 1.0.0
inputs:
  - {name: t, type: timestamp}
  - {name: u, type: timestamp}
  - {name: d, type: duration}
  - {name: s, type: string}
constants:
  names: {value: [a, b, c], unit: name, description: Names.}
rule:
  variables:
    - {name: long, expression: "constants.names.filter(x, x != 'b')"}
  match:
"""


def timed(folder: Path, *conditions: str, last: bool = False) -> Path:
    matches = [
        f"    - {{id: m{i}, condition: {json.dumps(c)}, output: '{i}'}}\n"
        for i, c in enumerate(conditions, 1)
    ]
    path = folder / "p.yaml"
    path.write_text(TIMES + "".join(matches) + ("    - {id: last, output: '0'}\n" if last else ""))
    return path


@pytest.mark.slow
@pytest.mark.parametrize(
    "conditions",
    [
        ("t.getHours() >= 0 && t.getHours() < 12", "t.getHours() >= 12"),
        ("t.getDayOfWeek() in [0, 6]", "t.getDayOfWeek() > 0 && t.getDayOfWeek() < 6"),
        ("t.getMonth() == 1", "t.getMonth() != 1"),
        ("t.getDate() <= 31",),
        ("t.getMonth() != 1 || t.getDate() < 30",),
        ("t.getFullYear() >= 2027", "t < timestamp('2027-01-01T00:00:00Z')"),
        ("t.getHours('+02:00') == 0", "t.getHours('+02:00') > 0", "t > timestamp('9999-12-31T00:00:00Z')"),
        ("t < u", "t == u", "t - duration('1ns') >= u"),
        ("d.getHours() > 0", "d < duration('1h')"),
        ("int(t) > 0", "t < timestamp(1)"),
        ("s in constants.names", "!constants.names.exists(n, n == s)"),
        ("constants.names.all(n, n != s)", "s in ['a', 'b', 'c']"),
        ("size(variables.long) == 2",),
        ("variables.long[1] == 'c'",),
        ("['a', 'b'].exists_one(n, s.startsWith(n))", "!s.startsWith('a') && !s.startsWith('b')"),
    ],
    ids=str,
)
def test_times_and_literal_lists_are_modelled(conditions: tuple[str, ...], run: Run, tmp_path: Path) -> None:
    proofs = run("check", timed(tmp_path, *conditions), "--prove", "--format", "json").json["proofs"]
    (total,) = (proof for proof in proofs if proof["kind"] == "total")
    assert (total["verdict"], total["abstract"]) == ("proved", [])


@pytest.mark.parametrize(
    ("conditions", "reached"),
    [
        (("t.getHours() == 28", "t.getMonth() == 1 && t.getDate() == 30"), []),
        (
            (
                "t.getFullYear() == 2100 && t.getDayOfYear() == 365",
                "t.getFullYear() == 2096 && t.getDayOfYear() == 365",
            ),
            ["m2"],
        ),
        (("t + d < t && d > duration('0s')", "t - u > duration('9223372036s')"), ["m2"]),
        (("t.getHours('Europe/Berlin') == 28", "t.getHours('Europe/Berlin') == 23"), ["m2"]),
        (("constants.names.filter(n, n == s).size() > 1", "variables.long.map(n, n + s)[0] == 'ax'"), ["m2"]),
    ],
    ids=str,
)
def test_impossible_times_are_never_witnesses(
    conditions: tuple[str, ...], reached: list[str], run: Run, tmp_path: Path
) -> None:
    proofs = run("check", timed(tmp_path, *conditions, last=True), "--prove", "--format", "json").json[
        "proofs"
    ]
    reachable = {proof["claim"].split()[0]: proof for proof in proofs if proof["kind"] == "reachable"}
    assert [match for match in ("m1", "m2") if reachable[match]["verdict"] == "refuted"] == reached
    assert reachable["last"]["verified"]


@pytest.mark.parametrize(
    "name", ["getFullYear", "getMonth", "getDate", "getDayOfYear", "getDayOfWeek", "getHours"]
)
def test_parts_of_drawn_times_are_those_of_the_runtime(name: str, tmp_path: Path) -> None:
    rng = random.Random(name)
    for _ in range(5):
        time = Timestamp(rng.randint(FIRST_TIMESTAMP, LAST_TIMESTAMP))
        value = evaluate(f"timestamp('{time}').{name}()", "compiled")
        path = timed(tmp_path, f"t == timestamp('{time}') && t.{name}() != {value}", last=True)
        prover = Prover(engine.load_policy(str(path), use_cache=False))
        (proof,) = (each for each in prover.proofs() if each.match == "m1" and each.kind == "reachable")
        assert proof.verdict == "proved", time


def test_finding_of_a_check_and_of_a_proof_is_listed_once(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    policy(tmp_path, "n > 3 && n < 2")
    assert len(checked(run, Path("p.yaml"))) == 1


def asserted(run: Run, folder: Path, *assertions: dict[str, Any]) -> Any:
    policy(folder, "n > constants.c && b", "n > 3")
    suite = folder / "p_test.yaml"
    suite.write_text(ASSERTED.lstrip() + "".join(f"  - {json.dumps(each)}\n" for each in assertions))
    return run("check", suite, "--prove", "--format", "json").json


@pytest.mark.slow
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
        ("proved", {"holds": "output == n"}),
        ("refuted", {"holds": "output > 3"}),
        ("proved", {"assume": "match == 'm1'", "holds": "output > 7"}),
        ("proved", {"differ": ["m", "x"], "holds": "a.match == b.match && a.output == b.output"}),
        ("refuted", {"differ": ["n"], "holds": "a.match == b.match"}),
        ("proved", {"differ": ["n"], "assume": "a.n <= b.n", "holds": "a.output <= b.output"}),
        ("proved", {"differ": ["model.params"], "holds": "a.match == b.match"}),
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
        ({"holds": "true", "differ": ["variables.twise"]}, "unknown variable or input 'variables.twise'"),
    ],
)
def test_faulty_assertions(assertion: dict[str, Any], message: str, run: Run, tmp_path: Path) -> None:
    (found,) = asserted(run, tmp_path, {"name": "stated", **assertion})["findings"]
    assert message in found["message"]
    assert found["line"] == 6


def test_assertion_after_a_faulty_one_is_still_proved(run: Run, tmp_path: Path) -> None:
    found = asserted(
        run,
        tmp_path,
        {"name": "faulty", "holds": "mach == 'm1'"},
        {"name": "false", "holds": "match == 'm1'"},
        {"name": "true", "holds": "match != 'm3'"},
    )
    assert [each["code"] for each in found["findings"]] == ["E102", "E115"]
    assert [each["claim"] for each in found["proofs"]] == ["false", "true"]


def test_requests_that_differ_in_a_variable_keep_it_apart_in_what_is_not_modelled(
    run: Run, tmp_path: Path
) -> None:
    """What has no formula and reads the variable may differ, too."""
    path = tmp_path / "p.yaml"
    path.write_text(
        "apiVersion: engine/v1\nkind: Policy\nname: p\nversion: 1.0.0\n"
        "inputs: [{name: n, type: int}, {name: l, type: list(int)}]\n"
        "rule:\n  variables: [{name: x, expression: n}]\n  match:\n"
        "    - {id: few, condition: 'size(l.filter(i, i > variables.x)) > 1', output: '1'}\n"
        "    - {id: last, output: '0'}\n"
    )
    suite = tmp_path / "p_test.yaml"
    suite.write_text(
        "apiVersion: engine/v1\nkind: Suite\npolicy: p.yaml\n"
        "tests: [{name: t, inputs: {n: 1, l: []}, expect: {match: last}}]\n"
        "assert: [{name: same, differ: [variables.x], holds: a.match == b.match}]\n"
    )
    found = run("check", suite, "--prove", "--format", "json").json
    assert [each["verdict"] for each in found["proofs"]] == ["refuted"]


@pytest.mark.slow
def test_the_shipped_assertions(run: Run) -> None:
    suite = TOP / "policies" / "sharding" / "tests" / "strategy_test.yaml"
    found = run("check", suite, "--prove", "--format", "json").json
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


@pytest.mark.slow
@settings(max_examples=examples(3), deadline=None)
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


@pytest.mark.slow
def test_claims_that_do_not_depend_on_doubles_are_proved_despite_them(run: Run, tmp_path: Path) -> None:
    """Division of doubles is too much for the solver, and beside the point here."""
    path = tmp_path / "p.yaml"
    path.write_text(
        "apiVersion: engine/v1\nkind: Policy\nname: p\nversion: 1.0.0\n"
        "inputs: [{name: x, type: double}, {name: y, type: double}, {name: n, type: int}]\n"
        "constants: {c: {value: 0.35, unit: ratio, description: Most.}}\n"
        "rule:\n  variables: [{name: share, expression: x / (y * 12.0) / (x + y)}]\n  match:\n"
        "    - {id: few, condition: n < 5, output: '0'}\n"
        "    - {id: much, condition: variables.share > constants.c, output: '1'}\n"
        "    - {id: dead, condition: n < 4 && variables.share < constants.c, output: '2'}\n"
        "    - {id: last, output: '3'}\n"
    )
    start = time.process_time()
    proofs = Prover(engine.load_policy(str(path), use_cache=False), seconds=1).proofs()
    verdicts = {(proof.kind, proof.match): proof.verdict for proof in proofs if proof.kind != "overlap"}
    assert verdicts["total", None] == "proved"
    assert verdicts["reachable", "dead"] == "proved"
    assert verdicts["reachable", "last"] == "refuted"
    assert time.process_time() - start < 30


@pytest.mark.slow
def test_proofs_about_a_folder_with_libraries_leave_them_out(run: Run) -> None:
    ran = run("check", TOP / "policies" / "library", "--prove", "--format", "json")
    ran.ok()
    assert "proofs" not in ran.json
