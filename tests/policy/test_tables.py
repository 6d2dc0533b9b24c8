"""Tables of constants: rows instead of parallel lists, on all runtimes, checked cell by cell."""

from __future__ import annotations

from pathlib import Path

import pytest

import engine
from tests.conftest import Run

POLICY = """\
apiVersion: engine/v1
kind: Policy
name: shape
version: 1.0.0
inputs: [{name: params, type: double, description: Parameters.}]
constants:
  shapes:
    description: Typical shapes.
    table:
      columns:
        up_to: {type: double, unit: parameter}
        layers: {type: int, unit: layer}
        label: {type: string, optional: true}
      rows:
        - [1500000000, 16, small]
        - [4500000000.0, 28, null]
        - [1.0e+18, 126, large]
rule:
  variables:
    - {name: row, expression: 'constants.shapes.filter(row, params <= row.up_to)[0]'}
  match:
    - {id: labelled, condition: variables.row.label != null, output: 'variables.row.label'}
    - {id: layers, output: string(variables.row.layers)}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "shape" / "1.0.0.yaml"
    path.parent.mkdir()
    path.write_text(POLICY)
    return path


@pytest.mark.parametrize("how", [{}, {"explain": True}, {"runtime": "cel-python"}])
@pytest.mark.parametrize(
    ("params", "output"), [(1e9, "small"), (1.5e9, "small"), (4e9, "28"), (1e10, "large")]
)
def test_a_row_is_looked_up(file: Path, params: float, output: str, how: dict[str, object]) -> None:
    request = engine.Request({"params": params})
    assert engine.load_policy(str(file)).decide(request, **how).output == output  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("old", "new", "place", "message"),
    [
        (
            "[4500000000.0, 28, null]",
            "[4500000000.0, 28]",
            "16:11",
            "E104 row 2 has 2 cells, expected 3 cells (up_to, layers, label)",
        ),
        ("28, null", "28.5, null", "16:26", "E104 layers: expected a whole number"),
        ("28, null", "null, null", "16:26", "E104 layers"),
        ("28, null", "28, 3", "16:30", "E104 label: expected text"),
        ("type: int,", "type: integer,", "12:24", "E102"),
        ("row.up_to", "row.up_tp", "20:", "E103 undefined field 'up_tp' of ShapesRow"),
        (
            "    table:",
            "    value: 3\n    table:",
            "8:5",
            "E002 constants.shapes has a value or a table, found both",
        ),
        ("      rows:", "      row:", "", "E002"),
        ("        up_to:", "        in:", "11:9", "E108 'in' is a reserved word"),
    ],
)
def test_a_faulty_table_is_refused_at_its_place(
    file: Path, run: Run, old: str, new: str, place: str, message: str
) -> None:
    assert old in POLICY
    file.write_text(POLICY.replace(old, new))
    ran = run("check", file)
    assert ran.code == 1
    assert f"{file}:{place}" in ran.out
    assert message in ran.out


def test_a_constant_without_a_value_is_refused(file: Path, run: Run) -> None:
    file.write_text(POLICY.replace("constants:\n", "constants:\n  none: {unit: x, description: y}\n"))
    assert f"{file}:7:9: E002 constants.none has no field 'value'" in run("check", file).out


def test_an_overlay_replaces_the_rows(file: Path) -> None:
    settings = {"shapes": [[1e18, 7, None]]}
    policy = engine.load_policy(str(file), constants=settings)
    assert policy.decide(engine.Request({"params": 5.0})).output == "7"
    with pytest.raises(engine.PolicyError, match="constant 'shapes' is a table, found 3"):
        engine.load_policy(str(file), constants={"shapes": 3})


def test_mutants_drop_rows_and_change_cells(file: Path, run: Run) -> None:
    from engine.regress.mutants import mutants

    names = [mutant.name for mutant in mutants(engine.load_policy(str(file)).compiled)]
    assert "constants.shapes: row 2 dropped" in names
    assert "constants.shapes: row 3, layers: 126 → 127" in names
    assert len(names) == len(set(names))
    suite = file.parent / "tests" / "shape_test.yaml"
    suite.parent.mkdir()
    suite.write_text(
        "apiVersion: engine/v1\nkind: Suite\npolicy: shape@1\ntests:\n  - name: rows\n"
        "    columns: [name, params, output]\n    cases:\n      - [small, 1.0e+9, small]\n"
        '      - [middle, 4.0e+9, "28"]\n      - [large, 1.0e+10, large]\n'
    )
    found = run("test", file.parent, "--mutate", "--format", "json").json["mutation"]
    survivors = {each["mutant"] for each in found["survivors"]}
    assert "constants.shapes: row 2 dropped" not in survivors
    assert "constants.shapes: row 1, up_to: 1500000000.0 → 1500000000.1" in survivors


def test_explain_and_coverage_take_tables(file: Path, run: Run) -> None:
    (file.parent / "in.json").write_text('{"params": 2e9}')
    ran = run("explain", "--policy", file, "--input", file.parent / "in.json", "--format", "json").ok()
    assert any(flip["path"] == "params" for flip in ran.json["flips"])
    assert run("check", file).ok().out == "1 file checked, no findings\n"
