"""Decision tables: hit policies, cells, CSV files, overlaps and gaps, on both runtimes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

import engine
from tests.conftest import Run

INPUTS = [
    {"name": "score", "type": "int", "description": "Score."},
    {"name": "region", "type": "string", "description": "Region."},
    {"name": "amount", "type": "double", "description": "Amount."},
]
COLUMNS = {
    "score": {"input": "score", "type": "int"},
    "region": {"input": "region", "type": "string"},
    "rate": {"type": "double"},
}


def write(folder: Path, table: dict[str, Any], name: str = "rates", **more: Any) -> Path:
    """Write a policy whose rule is a table."""
    file = folder / name / "1.0.0.yaml"
    file.parent.mkdir(parents=True, exist_ok=True)
    policy = {"apiVersion": "engine/v1", "kind": "Policy", "name": name, "version": "1.0.0", "inputs": INPUTS}
    file.write_text(yaml.safe_dump({**policy, **more, "rule": {"table": table}}, sort_keys=False))
    return file


def decided(file: Path, runtime: str = "compiled", **inputs: Any) -> tuple[str | None, Any]:
    policy = engine.load_policy(str(file), [str(file.parents[1])])
    request = {"score": 0, "region": "eu", "amount": 1.0, **inputs}
    decision = policy.decide(engine.Request(request), runtime=runtime)
    return decision.match_id, decision.output


def problems(run: Run, file: Path, *arguments: str) -> list[tuple[str, int, int, str, str]]:
    result = run("check", str(file), "--format", "json", *arguments)
    found = json.loads(result.out)["findings"]
    return [(each["code"], each["line"], each["column"], each["message"], each["hint"]) for each in found]


@pytest.mark.parametrize("runtime", ["compiled", "cel-python"])
def test_table_of_every_kind_of_test_decides_by_its_rows(tmp_path: Path, runtime: str) -> None:
    rows = [
        [">= constants.prime", "eu", 3.5],
        ["[600..700)", ["eu", "us"], 5],
        ["(0..600)", 'in ["eu", "us"]', "= amount * 2.0"],
        [-1, '!= "eu"', 8.0],
        ["-", 'not in ["eu", "us"]', 9.5],
    ]
    constants = {"prime": {"value": 700, "unit": "point", "description": "Prime."}}
    file = write(tmp_path, {"hit": "first", "columns": COLUMNS, "rows": rows}, constants=constants)
    expected = [
        ({"score": 700}, 3.5),
        ({"score": 699, "region": "us"}, 5.0),
        ({"score": 600}, 5.0),
        ({"score": 599, "amount": 4.0}, 8.0),
        ({"score": -1, "region": "us"}, 8.0),
        ({"score": 700, "region": "asia"}, 9.5),
    ]
    for inputs, rate in expected:
        assert decided(file, runtime, **inputs)[1] == rate, inputs
    assert decided(file, runtime, score=0) == (None, None)


def test_unique_table_with_overlapping_rows_is_refused_with_a_request(tmp_path: Path, run: Run) -> None:
    rows = [[">= 700", "-", 3.5], ["[600..700]", "eu", 5.0], ["< 600", "-", 9.0]]
    file = write(tmp_path, {"columns": COLUMNS, "rows": rows})
    found = problems(run, file)
    assert [(code, message) for code, _, _, message, _ in found] == [
        ("E131", "rows 1 and 2 overlap"),
        ("W220", "no row covers some inputs"),
    ] or [code for code, *_ in found] == ["E131"]
    witness = json.loads(found[0][4].removeprefix("both hold for ").partition(";")[0])
    assert witness == {"score": 700, "region": "eu"}
    with pytest.raises(engine.PolicyError, match="rows 1 and 2 overlap"):
        engine.load_policy(str(file))


def test_unique_table_tested_against_a_variable_is_refused(tmp_path: Path, run: Run) -> None:
    rows = [["< int(amount)", "-", 3.5], [">= 5", "-", 5.0]]
    file = write(tmp_path, {"columns": COLUMNS, "rows": rows})
    assert problems(run, file)[0][3] == "rows 1 and 2 may overlap: 'score: int(amount)' has no fixed value"


def test_any_table_may_overlap_where_results_are_equal(tmp_path: Path, run: Run) -> None:
    rows: list[list[Any]] = [[">= 600", "-", 5.0], ["-", "eu", 5.0]]
    file = write(tmp_path, {"hit": "any", "columns": COLUMNS, "rows": rows})
    assert decided(file, score=700)[1] == 5.0
    rows[1][2] = 6.0
    file = write(tmp_path, {"hit": "any", "columns": COLUMNS, "rows": rows})
    assert problems(run, file)[0][3] == "rows 1 and 2 overlap and give different results"


def test_priority_table_takes_the_result_that_comes_first_in_values(tmp_path: Path, run: Run) -> None:
    columns = {**COLUMNS, "rate": {"type": "string", "values": ["refuse", "review", "accept"]}}
    rows = [["-", "-", "accept"], ["< 600", "-", "review"], ["-", "us", "refuse"]]
    file = write(tmp_path, {"hit": "priority", "columns": columns, "rows": rows})
    assert decided(file, score=500, region="us")[1] == "refuse"
    assert decided(file, score=500)[1] == "review"
    assert decided(file, score=600)[1] == "accept"
    rows[0][2] = "acept"
    file = write(tmp_path, {"hit": "priority", "columns": columns, "rows": rows})
    assert [(code, message) for code, _, _, message, _ in problems(run, file)] == [
        ("E130", 'rate: "acept" is not among its values')
    ]


@pytest.mark.parametrize(
    ("aggregate", "expected"),
    [(None, [2.0, 3.0]), ("sum", 5.0), ("min", 2.0), ("max", 3.0), ("count", 2)],
)
def test_collect_table_gives_the_results_of_all_rows(
    tmp_path: Path, aggregate: str | None, expected: object
) -> None:
    rows = [[">= 600", "-", 2.0], ["-", "us", 7.0], ["-", "eu", 3]]
    table: dict[str, Any] = {"hit": "collect", "columns": COLUMNS, "rows": rows}
    if aggregate is not None:
        table["aggregate"] = aggregate
    for runtime in ("compiled", "cel-python"):
        assert decided(write(tmp_path, table), runtime, score=600)[1] == expected


def test_several_results_are_a_map_and_named_columns_describe_the_row(tmp_path: Path) -> None:
    columns = {
        "high": {"input": "score * 2 > 10", "type": "bool"},
        "id": {"type": "string"},
        "rate": {"type": "double", "optional": True},
        "note": {"type": "string"},
        "explanation": {"type": "string"},
    }
    rows = [
        [True, "top", 2, 'a "quoted" note', '= "score %d".format([score])'],
        [False, "low", None, "n", "-"],
    ]
    file = write(tmp_path, {"columns": columns, "rows": rows})
    assert decided(file, score=6) == ("top", {"rate": 2.0, "note": 'a "quoted" note'})
    assert decided(file, score=5) == ("low", {"rate": None, "note": "n"})
    policy = engine.load_policy(str(file))
    decision = policy.decide(engine.Request({"score": 6, "region": "", "amount": 0.0}))
    assert decision.explanation == "score 6"


CSV = """\
id,region,score,rate\r
good,"in [""eu"", 'us']",>= 700,3.5\r
mid,-,[600..700),5\r
\r
rest,-,-,= 9.0 + double(score) / 100.0
"""
CSV_COLUMNS = {"id": {"type": "string"}, **COLUMNS}


def test_rows_of_a_csv_file_decide_and_a_changed_file_counts_at_once(tmp_path: Path, run: Run) -> None:
    file = write(tmp_path, {"hit": "first", "columns": CSV_COLUMNS, "rows": "rates.csv"})
    (file.parent / "rates.csv").write_text(CSV)
    assert decided(file, score=700, region="us") == ("good", 3.5)
    assert decided(file, score=500) == ("rest", 14.0)
    request = tmp_path / "request.yaml"
    request.write_text("{score: 500, region: eu, amount: 1.0}")
    command = ("eval", "--policies", str(tmp_path), "--policy", "rates", "--input", str(request))
    first = json.loads(run(*command, "--format", "json").ok().out)
    (file.parent / "rates.csv").write_text(CSV.replace("9.0", "8.0"))
    second = json.loads(run(*command, "--format", "json").ok().out)
    assert (first["output"], second["output"]) == (14.0, 13.0)
    assert first["policy"]["digest"] != second["policy"]["digest"]


@pytest.mark.parametrize(
    ("old", "new", "place", "message"),
    [
        ("[600..700)", "about 600", (3, 7), "score: expected a whole number, found 'about 600'"),
        ("double(score)", "double(scor)", (5, 25), "undeclared reference to 'scor'"),
        ("id,region", "id,regoin", (1, 4), "unknown column 'regoin'"),
        ("3.5", '"3.5', (2, 33), "a quoted cell that does not end"),
        (",3.5", "", (2, 1), "row 1 has 3 cells, expected 4 cells (id, score, region, rate)"),
        ("5\r\n\r", "\r\n\r", (3, 18), "rate: an empty cell"),
    ],
)
def test_faulty_csv_is_refused_at_its_cell(
    tmp_path: Path, run: Run, old: str, new: str, place: tuple[int, int], message: str
) -> None:
    file = write(tmp_path, {"hit": "first", "columns": CSV_COLUMNS, "rows": "rates.csv"})
    (file.parent / "rates.csv").write_bytes(CSV.replace(old, new, 1).encode())
    found = json.loads(run("check", str(file), "--format", "json").out)["findings"]
    first = found[0]
    assert first["file"].endswith("rates.csv")
    assert (first["line"], first["column"], first["message"]) == (*place, message)


@pytest.mark.parametrize("name", ["../rates.csv", "/etc/passwd.csv", "link.csv", "missing.csv", "rates.txt"])
def test_csv_outside_of_the_policys_folder_is_refused(tmp_path: Path, run: Run, name: str) -> None:
    file = write(tmp_path, {"hit": "first", "columns": CSV_COLUMNS, "rows": name})
    (tmp_path / "rates.csv").write_text(CSV)
    (file.parent / "link.csv").symlink_to(tmp_path / "rates.csv")
    assert [each[0] for each in problems(run, file)] == ["E130"]


@pytest.mark.parametrize(
    ("cells", "column", "message"),
    [
        (["high", "-", 1.0], 9, "score: expected a whole number, found 'high'"),
        ([">= ", "-", 1.0], 9, "score: nothing after '>='"),
        ([">= (1", "-", 1.0], 13, None),
        (["-", 5, 1.0], 14, "region: expected text, found 5"),
        (["-", None, 1.0], 14, "region: an empty cell"),
        (["-", "-", "much"], 19, "rate: expected a number, found 'much'"),
        (["-", "-", "= region"], 19, "rate: expected 'double', the expression gives 'string'"),
        (["-", "-"], 7, "row 1 has 2 cells, expected 3 cells (score, region, rate)"),
    ],
)
def test_cell_of_another_type_is_refused_at_its_place(
    tmp_path: Path, run: Run, cells: list[Any], column: int, message: str | None
) -> None:
    file = tmp_path / "rates.yaml"
    inline = json.dumps(cells).replace('"', "'")
    file.write_text(
        "apiVersion: engine/v1\nkind: Policy\nname: rates\nversion: 1.0.0\n"
        f"inputs: {json.dumps(INPUTS)}\nrule:\n  table:\n    hit: first\n"
        f"    columns: {json.dumps(COLUMNS)}\n    rows:\n    - {inline}\n"
    )
    first = problems(run, file)[0]
    assert first[1] == 11
    if message is not None:
        assert first[3] == message
        assert abs(first[2] - column) <= 4, first


def test_gap_is_reported_with_a_request_and_its_values_close_it(tmp_path: Path, run: Run) -> None:
    rows = [[">= 600", "-", 1.0], ["< 600", "eu", 2.0], ["< 600", "us", 3.0]]
    file = write(tmp_path, {"columns": COLUMNS, "rows": rows})
    code, _, _, message, hint = problems(run, file)[0]
    assert (code, message) == ("W220", "no row covers some inputs")
    request = json.loads(hint.removeprefix("for example "))
    assert decided(file, **request) == (None, None)
    columns = {**COLUMNS, "region": {"input": "region", "type": "string", "values": ["eu", "us"]}}
    file = write(tmp_path, {"columns": columns, "rows": rows})
    assert [each[0] for each in problems(run, file)] == []


def test_proof_confirms_that_rows_of_a_table_exclude_each_other_and_cover_all(
    tmp_path: Path, run: Run
) -> None:
    pytest.importorskip("z3")
    columns = {**COLUMNS, "region": {"input": "region", "type": "string", "values": ["eu", "us"]}}
    rows = [[">= 600", "-", 1.0], ["< 600", "eu", 2.0], ["< 600", "us", 3.0]]
    file = write(tmp_path, {"columns": columns, "rows": rows})
    text = run("check", str(file), "--prove").ok().out
    assert "proved  some match holds for every request" in text
    assert text.count("never hold together") == text.count("proved  rates/") == 3


def test_overlay_changes_constants_of_a_table_and_overlaps_are_found_then(tmp_path: Path) -> None:
    constants = {"low": {"value": 600, "unit": "point", "description": "Low."}}
    rows = [["< constants.low", "-", 1.0], [">= 600", "-", 2.0]]
    write(tmp_path, {"columns": COLUMNS, "rows": rows}, constants=constants)
    policy = engine.load_policy("rates", [str(tmp_path)], constants={"low": 500})
    assert policy.decide(engine.Request({"score": 550, "region": "", "amount": 0.0})).match_id is None
    with pytest.raises(engine.PolicyError, match="rows 1 and 2 overlap"):
        engine.load_policy("rates", [str(tmp_path)], constants={"low": 700})


def test_released_csv_is_locked_and_vendored_with_its_policy(tmp_path: Path, run: Run) -> None:
    file = write(tmp_path / "p", {"hit": "first", "columns": CSV_COLUMNS, "rows": "rates.csv"})
    table = file.parent / "rates.csv"
    table.write_text(CSV)
    run("policies", "lock", str(tmp_path / "p")).ok()
    assert "rates/rates.csv" in (tmp_path / "p" / "policies.lock").read_text()
    run("policies", "vendor", "rates", str(tmp_path / "copy"), "--policies", str(tmp_path / "p")).ok()
    assert (tmp_path / "copy/rates/rates.csv").read_bytes() == table.read_bytes()
    table.write_text(CSV.replace("3.5", "3.6"))
    assert "E110" in run("check", str(tmp_path / "p")).out


def test_mutants_and_coverage_see_the_rows_of_a_table(tmp_path: Path, run: Run) -> None:
    rows = [[">= 600", "-", 1.0], ["< 600", "-", 2.0]]
    file = write(tmp_path, {"columns": COLUMNS, "rows": rows})
    suite = file.parent / "rates_test.yaml"
    case = {
        "name": "high",
        "inputs": {"score": 600, "region": "eu", "amount": 1.0},
        "expect": {"output": 1.0},
    }
    head = {"apiVersion": "engine/v1", "kind": "Suite", "policy": "rates"}
    suite.write_text(yaml.safe_dump({**head, "tests": [case]}))
    result = run(
        "test", str(suite), "--policies", str(tmp_path), "--coverage", "--mutate", "--format", "json"
    )
    report = json.loads(result.out)
    assert "rates/2" in json.dumps(report["coverage"])
    assert any(
        "rates/1" in json.dumps(each) or ">=" in json.dumps(each) for each in report["mutation"]["survivors"]
    )


def test_faulty_expression_of_a_column_is_reported_once_at_the_column(tmp_path: Path, run: Run) -> None:
    columns = {
        **COLUMNS,
        "score": {"input": "scoer", "type": "int"},
        "region": {"input": "amount", "type": "string"},
    }
    file = write(tmp_path, {"columns": columns, "rows": [["> 5", "eu", 1.0], ["< 5", "eu", 1.0]]})
    found = [(code, message) for code, _, _, message, _ in problems(run, file)]
    assert found == [
        ("E102", "undeclared reference to 'scoer'"),
        ("E104", "column 'region': expected 'string', the expression gives 'double'"),
    ]
