"""Computed columns over lists of records: what reads `stage.room` decides as loops over positions do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

import engine
from tests.conftest import TOP, Run

POLICY = """\
apiVersion: engine/v1
kind: Policy
name: carts
version: 1.0.0
inputs:
  - {name: items, type: "list(map(string, double))", description: Price and count of each item.}
constants:
  discount: {value: 0.5, unit: ratio, description: From this count on.}
  many: {value: 10.0, unit: item, description: Many of one item.}
rule:
  variables:
    - name: lines
      description: The items with what they cost.
      records: items
      as: item
      columns:
        - {name: factor, expression: 'item["count"] >= constants.many ? constants.discount : 1.0'}
        - {name: cost, expression: 'item.factor * item["price"] * item["count"]', unit: EUR}
        - {name: weight, values: variables.weights}
    - {name: weights, expression: 'items.map(item, item["count"] * 2.0)'}
  match:
    - {id: total, output: EXPRESSION}
"""

ITEMS = [{"price": 3.0, "count": 2.0}, {"price": 1.0, "count": 10.0}, {"price": 5.0, "count": 1.0}]
"""They cost 6, 5 (at half price) and 5."""


def put(folder: Path, text: str) -> Path:
    file = folder / "carts" / "1.0.0.yaml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


@pytest.mark.parametrize("how", [{}, {"explain": True}, {"runtime": "cel-python"}])
@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("variables.lines.map(line, line.cost).sum()", 16.0),
        ("variables.lines.cost.sum()", 16.0),
        ('variables.lines.map(line, line.cost + line["price"])', [9.0, 6.0, 10.0]),
        ("variables.lines.map(line, line.weight)", [4.0, 20.0, 2.0]),
        ("variables.lines[1].cost", 5.0),
        ("variables.lines[int(variables.lines[2].cost) - 5].cost", 6.0),
        ("variables.lines.all(line, line.cost < 6.0)", False),
        ("variables.lines.exists(line, line.cost < 6.0)", True),
        ("variables.lines.exists_one(line, line.cost > 5.0)", True),
        ('variables.lines.filter(line, line.cost < 6.0).map(line, line["price"])', [1.0, 5.0]),
        ("variables.lines.map(line, line.cost > 5.0, line.weight)", [4.0]),
        (
            "variables.lines.map(line, variables.lines.exists(other, other.cost > line.cost))",
            [False, True, True],
        ),
        ("variables.lines.map(line, [1.0].map(line, line + 1.0)[0] + line.cost)", [8.0, 7.0, 7.0]),
        ("cel.bind(line, 1.0, variables.lines.map(other, other.cost + line))", [7.0, 6.0, 6.0]),
        ("size(variables.lines)", 3),
        ('variables.lines.map(line, line["count"])', [2.0, 10.0, 1.0]),
        ("{'most': variables.lines.map(line, line.cost).max()}.most", 6.0),
    ],
)
def test_a_column_is_read_through_its_element(
    tmp_path: Path, expression: str, value: object, how: dict[str, object]
) -> None:
    file = put(tmp_path, POLICY.replace("EXPRESSION", json.dumps(expression)))
    request = engine.Request({"items": ITEMS})
    policy = engine.load_policy(str(file))
    assert policy.decide(request, **how).output == value  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("records: items", "records: constants.many", "14:16: E104 records are a list, found 'double'"),
        ("      as: item\n", "", "12:7: E002 variable 'lines' has records, as and columns, or an expression"),
        (
            "      as: item\n",
            "      as: item\n      expression: items\n",
            "E002 variable 'lines' has records, as and",
        ),
        (
            "values: variables.weights",
            "values: constants.many",
            "19:34: E104 values are a list, found 'double'",
        ),
        ("values: variables.weights", "unit: kg", "19:11: E002 column 'weight' has an expression or values"),
        ("name: factor", "name: cost", "E108 variable 'lines.cost' is declared twice"),
        ("name: weight,", "name: in,", "E108 'in' is a reserved word"),
        ("constants.many ? constants.discount : 1.0", "item.cost", "E107 variables depend on each other"),
        ("EXPRESSION", "variables.lines.costs", "E103"),
    ],
)
def test_a_faulty_column_is_refused(tmp_path: Path, run: Run, old: str, new: str, message: str) -> None:
    assert old in POLICY
    text = POLICY.replace(old, new).replace("EXPRESSION", "variables.lines.cost")
    file = put(tmp_path, text)
    ran = run("check", file)
    assert ran.code == 1
    assert f"{file}:" in ran.out
    assert message in ran.out


def test_an_error_points_into_the_column(tmp_path: Path) -> None:
    text = POLICY.replace('item["price"] *', 'item["prize"] *')
    file = put(tmp_path, text.replace("EXPRESSION", "variables.lines.cost"))
    with pytest.raises(engine.EvaluationError) as caught:
        engine.load_policy(str(file)).decide(engine.Request({"items": ITEMS}))
    assert str(caught.value.place).startswith(f"{file}:18:")


def test_columns_are_covered_and_mutated(tmp_path: Path, run: Run) -> None:
    file = put(tmp_path, POLICY.replace("EXPRESSION", "variables.lines.cost.sum()"))
    suite = file.parent / "tests" / "carts_test.yaml"
    suite.parent.mkdir()
    case = json.dumps(["all", ITEMS[:1], 6.0])
    suite.write_text(
        "apiVersion: engine/v1\nkind: Suite\npolicy: carts@1\ntests:\n  - name: carts\n"
        f"    columns: [name, items, output]\n    cases:\n      - {case}\n"
    )
    found = run("test", tmp_path, "--coverage", "--mutate", "--format", "json").json
    assert any("variables.lines.factor" in json.dumps(each) for each in found["coverage"]["missing"])
    survivors = {each["mutant"] for each in found["mutation"]["survivors"]}
    assert any("factor" in each or ">=" in each for each in survivors)
    assert found["mutation"]["killed"] > 0


def test_a_library_has_columns(tmp_path: Path) -> None:
    library = POLICY.partition("  match:")[0].replace("kind: Policy", "kind: Library")
    library = library.replace("rule:\n  variables:", "variables:").replace("\n    ", "\n  ")
    file = tmp_path / "library" / "carts" / "1.0.0.yaml"
    file.parent.mkdir(parents=True)
    file.write_text(library)
    head = "apiVersion: engine/v1\nkind: Policy\nname: mine\nversion: 1.0.0\nlibraries: [carts@1]\n"
    inputs = 'inputs: [{name: items, type: "list(map(string, double))"}]\n'
    policy = tmp_path / "mine" / "1.0.0.yaml"
    policy.parent.mkdir()
    policy.write_text(f"{head}{inputs}rule: {{match: [{{output: 'carts.lines.map(l, l.cost).sum()'}}]}}\n")
    assert engine.load_policy("mine", tmp_path).decide(engine.Request({"items": ITEMS})).output == 16.0


def with_columns() -> dict[str, Any]:
    """Return sharding 2.0.0 with columns of stages instead of loops over positions."""
    value: dict[str, Any] = yaml.safe_load((TOP / "policies" / "sharding" / "2.0.0.yaml").read_text())
    value |= {"name": "mine", "version": "1.0.0"}
    candidate = value["rule"]["match"][0]["plan"]["candidate"]
    by_name = {each["name"]: each for each in candidate["variables"]}
    fixed = by_name["fixed_bytes"]["expression"].strip()
    body = fixed.removeprefix("candidate.stages.map(stage,").removesuffix(")")
    stages = {
        "name": "stages",
        "records": "candidate.stages",
        "as": "stage",
        "columns": [
            {"name": "fixed_bytes", "expression": body},
            {
                "name": "room",
                "expression": "math.greatest(0, (stage.budget_bytes - stage.fixed_bytes)"
                " / variables.layer_bytes)",
            },
            {"name": "layers", "values": "variables.dealt"},
            {
                "name": "bytes",
                "expression": "stage.fixed_bytes"
                " + (stage.layers + stage.count - 1) / stage.count * variables.layer_bytes",
            },
        ],
    }
    by_name["fixed_bytes"]["expression"] = "variables.stages.fixed_bytes"
    by_name["room"]["expression"] = "variables.stages.room"
    by_name["stage_bytes"]["expression"] = "variables.stages.map(stage, stage.bytes)"
    candidate["variables"].append(stages)
    return value


@pytest.mark.slow
def test_sharding_with_columns_decides_as_with_loops(tmp_path: Path) -> None:
    file = tmp_path / "mine" / "1.0.0.yaml"
    file.parent.mkdir()
    file.write_text(yaml.safe_dump(with_columns(), sort_keys=False, width=1000))
    policies = engine.load_policy("sharding@2.0.0"), engine.load_policy("mine", tmp_path)
    for line in (TOP / "examples" / "history.jsonl").read_text().splitlines()[::3]:
        request = engine.Request.from_dict(json.loads(line))
        first, second = ({**policy.decide(request).to_dict(), "policy": None} for policy in policies)
        assert first == second


def test_a_misspelt_column_of_an_object_is_refused(tmp_path: Path, run: Run) -> None:
    value = with_columns()
    columns = value["rule"]["match"][0]["plan"]["candidate"]["variables"][-1]["columns"]
    columns[1]["expression"] = "stage.budget_bytes - stage.fixd_bytes"
    file = tmp_path / "mine" / "1.0.0.yaml"
    file.parent.mkdir()
    file.write_text(yaml.safe_dump(value, sort_keys=False, width=1000))
    assert "E103 undefined field 'fixd_bytes' of Stage" in run("check", file).out
    columns[1] = {"name": "count", "expression": "1"}
    file.write_text(yaml.safe_dump(value, sort_keys=False, width=1000))
    assert "E108 Stage has a field 'count' already" in run("check", file).out


def test_an_unused_column_is_reported(tmp_path: Path, run: Run) -> None:
    file = put(tmp_path, POLICY.replace("EXPRESSION", "variables.lines.cost"))
    ran = run("check", file)
    assert f"{file}:19:18: W204 column 'lines.weight' is never read" in ran.out
    assert ran.out.count("W204") == 2  # and what only it reads
