"""A policy's program decides as the evaluator does, which goes expression by expression and keeps a trace."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import engine
from engine.cel.budget import Budget
from engine.fastpath.linked import NotQuick
from tests.conftest import DATA, Run

POLICIES = sorted((DATA / "policies").glob("*/policy.yaml"))


def answer(policy: engine.Policy, request: engine.Request, **how: Any) -> Any:
    """What is decided, without the trace; the class of an error."""
    try:
        decision = policy.decide(request, **how).to_dict()
    except engine.EvaluationError:
        return engine.EvaluationError
    decision.pop("trace", None)
    for each in decision.get("auto", {}).values():
        each.pop("trace", None)
    return decision


@pytest.mark.slow
def test_the_reference(plans: list[dict[str, Any]]) -> None:
    policy = engine.load_policy("sharding@1.0.0")
    for line in plans[::20]:
        for quantization in (line["quantization"], "auto"):
            request = engine.Request.from_dict({**line, "quantization": quantization})
            assert answer(policy, request) == answer(policy, request, explain=True), line["id"]


@pytest.mark.slow
def test_it_takes_every_reference_request(plans: list[dict[str, Any]]) -> None:
    policy = engine.load_policy("sharding@1.0.0")
    policy.prepare()
    program = policy._fast._program
    assert program is not None
    for line in plans:
        program.run(engine.Request.from_dict(line).inputs, 1_000_000)


@pytest.mark.parametrize("file", POLICIES, ids=lambda file: file.parent.name)
def test_semantics(file: Path) -> None:
    policy = engine.load_policy(str(file), use_cache=False)
    for case in yaml.safe_load((file.parent / "tests.yaml").read_text()):
        request = engine.Request.from_inputs(case.get("input", {}))
        assert answer(policy, request) == answer(policy, request, explain=True, runtime="cel-python")


# --- drawn policies: variables read each other wherever a value may or may not be needed

INTS = ["a", "b", "0", "1", "7", "9223372036854775807"]


def ints(names: list[str]) -> st.SearchStrategy[str]:
    leaves = st.sampled_from(INTS + [f"variables.{name}" for name in names if name.startswith("i")])
    return st.recursive(
        leaves,
        lambda inner: st.one_of(
            st.builds("({} + {})".format, inner, inner),
            st.builds("({} / {})".format, inner, inner),
            st.builds("({} < {} ? {} : {})".format, inner, inner, inner, inner),
            st.builds("cel.bind(x, {}, x > 0 ? x : {})".format, inner, inner),
            st.builds("size(xs.filter(x, x > {}))".format, inner),
            st.builds("size(xs.filter(x, x > 1 && x > {}))".format, inner),
            st.builds("xs.map(x, x > 1 ? {} : x).sum()".format, inner),
            st.builds("xs.map(x, xs.map(y, y + {}).sum()).sum()".format, inner),
            st.builds("([0] + xs.map(x, x > 0, {})).max()".format, inner),
        ),
        max_leaves=4,
    )


def bools(names: list[str]) -> st.SearchStrategy[str]:
    number = ints(names)
    named = [f"variables.{name}" for name in names if name.startswith("b")]
    leaves = st.one_of(
        st.builds("{} {} {}".format, number, st.sampled_from(["<", "<=", "==", "!=", ">"]), number),
        *([st.sampled_from(named)] if named else []),
    ).map("({})".format)
    return st.recursive(
        leaves,
        lambda inner: st.one_of(
            st.builds("({} && {})".format, inner, inner),
            st.builds("({} || {})".format, inner, inner),
            st.builds("!{}".format, inner),
            st.builds("({} ? {} : {})".format, inner, inner, inner),
            st.builds("xs.exists(x, x > 1 && {})".format, inner),
            st.builds("xs.all(x, {} || x > 1)".format, inner),
            st.builds("xs.exists_one(x, x > 2 || {})".format, inner),
        ),
        max_leaves=4,
    )


@st.composite
def rules(draw: st.DrawFn, outer: tuple[str, ...] = (), depth: int = 0) -> dict[str, Any]:
    names = list(outer)
    variables = []
    for position in range(draw(st.integers(1, 3))):
        name = f"{draw(st.sampled_from('ib'))}{depth}{position}"
        expression = draw(ints(names) if name[0] == "i" else bools(names))
        names.append(name)
        variables.append({"name": name, "expression": expression})
    matches: list[dict[str, Any]] = []
    for _ in range(draw(st.integers(1, 3))):
        match: dict[str, Any] = {}
        if draw(st.booleans()):
            match["condition"] = draw(bools(names))
        if depth < 2 and draw(st.integers(0, 3)) == 0:
            match["rule"] = draw(rules(tuple(names), depth + 1))
        else:
            match["output"] = draw(ints(names))
            match["explanation"] = f"string({draw(ints(names))})"
        matches.append(match)
    return {"variables": variables, "match": matches}


@pytest.mark.slow
@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(rule=rules(), data=st.data())
def test_drawn_policies(rule: dict[str, Any], data: st.DataObject, tmp_path_factory: Any) -> None:
    inputs = [{"name": "a", "type": "int"}, {"name": "b", "type": "int"}, {"name": "xs", "type": "list(int)"}]
    document = {"apiVersion": "engine/v1", "kind": "Policy", "name": "drawn", "version": "1.0.0"}
    file = tmp_path_factory.mktemp("drawn") / "policy.yaml"
    file.write_text(json.dumps(document | {"inputs": inputs, "rule": rule}))
    policy = engine.load_policy(str(file), use_cache=False)
    program = policy.image["code"]
    assert program is not None
    small = st.integers(-2, 3)
    for _ in range(3):
        values = {"a": data.draw(small), "b": data.draw(small), "xs": data.draw(st.lists(small, max_size=3))}
        request = engine.Request.from_inputs(values)
        expected = answer(policy, request, runtime="cel-python")
        assert answer(policy, request) == expected
        assert answer(policy, request, explain=True) == expected
        assert run_program(policy, values) == (expected is not engine.EvaluationError)


def run_program(policy: engine.Policy, values: dict[str, Any]) -> bool:
    """Whether the program itself answers, past the evaluator that would answer in its place."""
    assert policy._fast._program is not None or policy._fast.program() is not None
    program = policy._fast.program()
    assert program is not None
    bound = [values[name] for name, *_ in program.inputs]
    try:
        program.function(*bound, Budget().spend)
    except Exception:
        return False
    return True


# --- what the program doesn't take --------------------------------------------------------------------------


def test_odd_values_are_the_evaluators() -> None:
    policy = engine.load_policy("sharding@1.0.0")
    policy.prepare()
    program = policy._fast._program
    assert program is not None
    good = engine.Request.from_dict(
        {
            "inventory": {"devices": [{"kind": "CudaGpu", "memory": "80GiB"}]},
            "model": {"params": "8B"},
            "quantization": "bf16",
        }
    )
    program.run(good.inputs, 1000)
    odd = [
        {"inventory": engine.Inventory((engine.Device("CudaGpu", True),))},
        {"inventory": engine.Inventory((engine.Device("CudaGpu", 2**64, device_id=0),))},
        {"inventory": engine.Inventory((engine.Device("CudaGpu", 1, device_id=1.5),))},  # type: ignore[arg-type]
        {"inventory": engine.Inventory((engine.Device("CudaGpu", 1),))},
        {"inventory": engine.Inventory((engine.Device("CudaGpu", 1, device_id=0, attributes={"x": 1}),))},
        {"inventory": engine.Inventory((engine.Device("NoSuch", 1),))},
        {"inventory": engine.Inventory((engine.Device("Tpu", 1, device_id=0),))},
        {"inventory": engine.Inventory((), (engine.Interconnect("NVLink", 1),))},
        {"inventory": engine.Inventory((), (engine.Interconnect("NVLink", float("nan")),))},
        {"model": engine.Model(2**63)},
        {"model": engine.Model(1.5)},  # type: ignore[arg-type]
        {"quantization": "no-such"},
        {"quantization": 4},
    ]
    for inputs in odd:
        with pytest.raises(NotQuick):
            program.run({**good.inputs, **inputs}, 1000)


def test_aliases_and_letters_of_any_case() -> None:
    policy = engine.load_policy("sharding@1.0.0")
    request = engine.Request.from_dict(
        {
            "inventory": {"devices": [{"kind": "cudagpu", "memory": "80GiB"}]},
            "model": {"params": "8B"},
            "quantization": "BFloat16",
        }
    )
    decision = policy.decide(request)
    assert decision.quantization == "bf16"
    assert decision.to_dict() == answer(policy, request, explain=True)


# --- limits -------------------------------------------------------------------------------------------------

SLOW = """
apiVersion: engine/v1
kind: Policy
name: slow
version: 1.0.0
inputs: [{name: n, type: int}]
rule:
  variables:
    - {name: xs, expression: lists.range(n)}
    - {name: all, expression: 'variables.xs.map(x, variables.xs.filter(y, y > x).size()).sum()'}
  match:
    - {condition: 'variables.all > 0 || true', output: variables.all}
"""


@pytest.mark.slow
@pytest.mark.parametrize(("runtime", "steps"), [("compiled", 10_000_000), ("cel-python", 1_000_000)])
def test_a_slow_policy_is_stopped(
    runtime: str, steps: int, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENGINE_STEPS", str(steps))
    file = tmp_path / "slow.yaml"
    file.write_text(SLOW.strip())
    ran = run("eval", "--policy", file, "--input", "-", "--runtime", runtime, stdin="n: 20000")
    assert (ran.code, ran.out) == (2, "")
    message = f"evaluation budget exceeded ({steps:,} steps); raise ENGINE_STEPS\n"
    assert ran.err.startswith(f"error: {file}:9:")
    assert message in ran.err


def test_the_limit_can_be_set(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "slow.yaml"
    file.write_text(SLOW.strip())
    asked = ("eval", "--policy", file, "--input", "-", "--format", "json")
    assert run(*asked, stdin="n: 100").json["output"] == 4950
    monkeypatch.setenv("ENGINE_STEPS", "1000")
    assert "evaluation budget exceeded (1,000 steps)" in run(*asked, stdin="n: 100").err
    monkeypatch.setenv("ENGINE_STEPS", "many")
    ran = run(*asked, stdin="n: 100")
    assert (ran.code, ran.err) == (2, "error: ENGINE_STEPS: expected a whole number from 1, found 'many'\n")


def test_python_is_shown(run: Run) -> None:
    ran = run("policies", "show", "sharding@1.0.0", "--python")
    assert ran.code == 0
    compile(ran.out, "sharding", "exec")
    shown = "var_available = [each_d for each_d in spend(input_inventory.devices) if each_d.available]"
    assert shown in ran.out
    assert run("policies", "show", "accelerators", "--python").code == 2


# --- long variables that are needed first in several places

LONG = " + ".join(f"(a + {number})" for number in range(20))


def long_policy() -> dict[str, Any]:
    variables = [
        {"name": "first", "expression": f"{LONG} + 10 / a"},
        {"name": "second", "expression": f"b > 0 ? variables.first + {LONG} : {LONG} + 10 / b"},
        {
            "name": "third",
            "expression": f"b > 1 ? variables.second : variables.first + variables.second + {LONG}",
        },
        {"name": "compute_first", "expression": "1"},
    ]
    matches = [
        {"condition": "b == 3 && variables.third > 0", "output": "variables.third"},
        {
            "condition": "b == 2 || variables.second > 500",
            "output": "variables.second + variables.compute_first",
        },
        {"condition": "b < 0 ? variables.first > 0 : variables.third > 0", "output": "variables.first"},
        {"output": "xs.map(x, x > 0 ? variables.third : variables.first).sum()"},
    ]
    inputs = [{"name": "a", "type": "int"}, {"name": "b", "type": "int"}, {"name": "xs", "type": "list(int)"}]
    head = {"apiVersion": "engine/v1", "kind": "Policy", "name": "long", "version": "1.0.0"}
    return {**head, "inputs": inputs, "rule": {"variables": variables, "match": matches}}


@pytest.mark.slow
def test_long_variables_are_functions(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "long" / "1.0.0.yaml"
    file.parent.mkdir()
    file.write_text(json.dumps(long_policy()))
    shown = run("policies", "show", "long", "--python", "--policies", tmp_path)
    assert shown.code == 0
    assert "nonlocal" in shown.out
    policy = engine.load_policy(str(file), use_cache=False)
    for a in range(-25, 4, 3):
        for b in range(-2, 5):
            for xs in ([], [1], [-1, 1]):
                request = engine.Request.from_inputs({"a": a, "b": b, "xs": xs})
                expected = answer(policy, request, runtime="cel-python")
                assert answer(policy, request) == expected
                values = {"a": a, "b": b, "xs": xs}
                assert run_program(policy, values) == (expected is not engine.EvaluationError)


@pytest.mark.parametrize("runtime", ["compiled", "cel-python"])
def test_a_result_that_doubles_and_doubles_is_stopped(runtime: str, run: Run, tmp_path: Path) -> None:
    variables = [{"name": "l0", "expression": "[dyn(n)]"}]
    variables += [
        {"name": f"l{level}", "expression": f"[dyn(variables.l{level - 1}), dyn(variables.l{level - 1})]"}
        for level in range(1, 40)
    ]
    head = {"apiVersion": "engine/v1", "kind": "Policy", "name": "doubling", "version": "1.0.0"}
    rule = {"variables": variables, "match": [{"output": "variables.l39"}]}
    file = tmp_path / "doubling.yaml"
    file.write_text(json.dumps({**head, "inputs": [{"name": "n", "type": "int"}], "rule": rule}))
    ran = run("eval", "--policy", file, "--input", "-", "--runtime", runtime, stdin="n: 1")
    assert (ran.code, ran.out) == (2, "")
    assert "a value of more than 1000000 elements in variables.l39" in ran.err
