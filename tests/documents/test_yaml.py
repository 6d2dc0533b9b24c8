"""YAML's traps: the evident meaning, or (tests/data/bad_input) a clear error."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import pytest

from engine import DocumentError
from engine.documents import Limits, parse_document
from tests.conftest import Run


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no", "no"),
        ("yes", "yes"),
        ("on", "on"),
        ("off", "off"),
        ("y", "y"),
        ("true", True),
        ("True", True),
        ("false", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("1", 1),
        ("+1", 1),
        ("-1", -1),
        ("1_000", 1000),
        ("0o17", 15),
        ("0x1F", 31),
        ("1e3", 1000.0),
        ("1E3", 1000.0),
        ("1.5e-3", 0.0015),
        ("1.0", 1.0),
        ("1.", 1.0),
        (".5", 0.5),
        ("1:30", "1:30"),
        ("12:30:45", "12:30:45"),
        ("2026-01-31", "2026-01-31"),
        ("1.0.0", "1.0.0"),
        ("80GiB", "80GiB"),
        ('"1"', "1"),
        ("'no'", "no"),
        ("=", "="),
        ("<<", "<<"),
        ("0", 0),
        ("9223372036854775808", 9223372036854775808),
    ],
)
def test_scalar(text: str, value: Any) -> None:
    found = parse_document(f"a: {text}\n", "x.yaml").value["a"]
    assert found == value
    assert type(found) is type(value)
    assert not isinstance(found, datetime.date)


def test_aliases_are_values() -> None:
    document = parse_document("base: &b {kind: Cpu}\nlist: [*b, *b]\n", "x.yaml")
    assert document.value["list"] == [{"kind": "Cpu"}, {"kind": "Cpu"}]


def test_every_value_and_key_has_its_place() -> None:
    document = parse_document("a:\n  - b: 1\n    c: [x,\n      y]\n", "x.yaml")
    assert str(document.place(("a", 0, "b"))) == "x.yaml:2:8"
    assert str(document.place(("a", 0, "b"), key=True)) == "x.yaml:2:5"
    assert str(document.place(("a", 0, "c", 1))) == "x.yaml:4:7"
    assert str(document.place(("a", 0, "nope"))) == "x.yaml:2:5"


@pytest.mark.parametrize(
    ("text", "limits"),
    [
        ("a: [1, 2, 3]\n", Limits(nodes=3)),
        ("a: [[[[1]]]]\n", Limits(depth=3)),
        ("a: &x [1, 1, 1]\nb: [*x, *x, *x]\n", Limits(nodes=12)),
    ],
)
def test_limits(text: str, limits: Limits) -> None:
    with pytest.raises(DocumentError) as caught:
        parse_document(text, "x.yaml", limits)
    assert caught.value.place is not None


@pytest.mark.slow
def test_json_places_are_those_of_the_file(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "i.json"
    file.write_text('{\n  "devices": [\n    {"kind": "Cpu", "memory": 1,\n     "availabel": true}\n  ]\n}\n')
    ran = run("eval", "--inventory", file, "--params", "1", "--quantization", "int8")
    assert ran.err.startswith(f"error: {file}:4:6: ")
    assert "did you mean 'available'?" in ran.err
