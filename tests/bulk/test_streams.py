"""Parquet in and out: rows are requests, decisions are columns."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from tests.conftest import Run

pytestmark = pytest.mark.usefixtures("first_version")

CPU: dict[str, Any] = {"kind": "Cpu", "memory": "64GiB"}
GPU = {"kind": "CudaGpu", "memory": "24GiB", "device_id": 3, "numa_node": 1}
TPU = {"kind": "Tpu", "memory": "128GiB", "chip_count": 4, "version": "V5p"}
REQUESTS: list[dict[str, Any]] = [
    {"id": "a", "inventory": {"devices": [CPU, GPU]}, "model": {"params": "7B"}, "quantization": "bf16"},
    {"id": "b", "inventory": {"devices": [TPU]}, "model": {"params": "70B"}, "quantization": "int8"},
    {"id": "c", "inventory": {"devices": [CPU]}, "model": {"params": "7B"}, "quantization": "bf17"},
    {"id": "d", "inventory": {"devices": []}, "model": {"params": "400B"}, "quantization": "bf16"},
]


def rows(path: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = pyarrow.parquet.read_table(path).to_pylist()
    return found


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "requests.parquet"
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(REQUESTS), path)
    return path


@pytest.fixture
def lines(tmp_path: Path) -> Path:
    path = tmp_path / "requests.jsonl"
    path.write_text("".join(json.dumps(each) + "\n" for each in REQUESTS))
    return path


@pytest.mark.slow
def test_structures_and_text_are_read_alike(run: Run, table: Path, lines: Path, tmp_path: Path) -> None:
    expected = run("batch", lines)
    assert [each["id"] for each in expected.lines] == ["a", "b", "c", "d"]
    ran = run("batch", table)
    assert (ran.code, ran.out) == (1, expected.out)
    text = tmp_path / "text.parquet"
    packed = [
        {name: json.dumps(value) if isinstance(value, dict) else value for name, value in each.items()}
        for each in REQUESTS
    ]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(packed), text)
    # The model as text would be JSON of an object, and the inventory likewise.
    assert run("batch", text).out == expected.out


@pytest.mark.slow
@pytest.mark.parametrize("jobs", ["1", "2"])
def test_decisions_as_columns(jobs: str, run: Run, lines: Path, tmp_path: Path) -> None:
    out = tmp_path / "decisions.parquet"
    ran = run("batch", lines, "--output", out, "--jobs", jobs)
    assert ran.code == 1
    assert ran.err == "1 of 4 lines failed; first: line 3\n"
    found = rows(out)
    whole = run("batch", lines).lines
    for row, decision in zip(found, whole, strict=True):
        assert row["id"] == decision["id"]
        if "error" in decision:
            assert (row["line"], row["error"]) == (3, decision["error"]["message"])
            assert row["decision"] is row["match"] is row["warnings"] is None
            continue
        plan = decision["plan"]
        assert json.loads(row["decision"]) == decision
        assert (row["match"], row["outcome"]) == (decision["match"], decision["outcome"])
        assert row["strategy"] == plan["strategy"]["kind"]
        assert row["shards"] == len(plan["shards"])
        assert row["total_memory_bytes"] == plan["total_memory_bytes"]
        assert row["estimated_tokens_per_sec"] == plan["estimated_tokens_per_sec"]
        assert row["warnings"] == plan["warnings"]
        assert row["policy"] == f"sharding@{decision['policy']['version']}"
        assert row["fits_in_memory"] == decision["fits_in_memory"]


@pytest.mark.slow
def test_many_rows(run: Run, tmp_path: Path) -> None:
    path, out = tmp_path / "r.parquet", tmp_path / "d.parquet"
    many = [{**REQUESTS[0], "id": str(number)} for number in range(3000)]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(many), path, row_group_size=700)
    run("batch", path, "-o", out).ok()
    assert [row["id"] for row in rows(out)] == [str(number) for number in range(3000)]


def test_no_rows(run: Run, tmp_path: Path) -> None:
    path, out = tmp_path / "r.jsonl", tmp_path / "d.parquet"
    path.write_text("")
    run("batch", path, "-o", out).ok()
    assert rows(out) == []


@pytest.mark.slow
@pytest.mark.parametrize("kept", [0, 3, 100, -9])
def test_a_damaged_table(kept: int, run: Run, table: Path, tmp_path: Path) -> None:
    table.write_bytes(table.read_bytes()[:kept])
    ran = run("batch", table, "-o", tmp_path / "d.parquet")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith(f"error: {table}: invalid or damaged Parquet file: ")
    assert len(ran.err.splitlines()) == 1
    assert not (tmp_path / "d.parquet").exists()


def test_text_that_is_no_json_is_an_error_of_its_row(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "r.parquet"
    good = {**REQUESTS[0], "inventory": json.dumps(REQUESTS[0]["inventory"])}
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist([{**good, "inventory": "{"}, good]), path)
    ran = run("batch", path)
    assert ran.code == 1
    assert "not valid JSON" in ran.lines[0]["error"]["message"]
    assert ran.lines[1]["id"] == "a"


def test_what_does_not_go_together(run: Run, table: Path, tmp_path: Path) -> None:
    ran = run("batch", table, "-o", tmp_path / "d.parquet", "--format", "ai-hwaccel")
    assert ran.code == 2
    assert "does not apply to Parquet output" in ran.err
    ran = run("batch", table, "-o", tmp_path / "d.parquet", "--resume")
    assert ran.code == 2
    assert "neither compressed nor Parquet" in ran.err
