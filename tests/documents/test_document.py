"""Documents: places of values and keys, lines, offsets inside scalars."""

from __future__ import annotations

import pytest

from engine.documents import Document, parse_document

TEXT = "a: 1\nlist:\n  - x: one\n    y: >-\n      two\n      words\n"


@pytest.fixture
def document() -> Document:
    return parse_document(TEXT, "d.yaml")


def test_document_value_is_plain_data(document: Document) -> None:
    assert document.value == {"a": 1, "list": [{"x": "one", "y": "two words"}]}


@pytest.mark.parametrize(
    ("path", "key", "place"),
    [
        (("a",), False, "d.yaml:1:4"),
        (("a",), True, "d.yaml:1:1"),
        (("list", 0, "x"), False, "d.yaml:3:8"),
        (("list", 0, "x"), True, "d.yaml:3:5"),
        (("list", 0, "missing"), False, "d.yaml:3:5"),
    ],
)
def test_place_of_value_key_and_nearest_parent(
    document: Document, path: tuple[str | int, ...], key: bool, place: str
) -> None:
    assert str(document.place(path, key=key)) == place


def test_place_in_folded_scalar_undoes_folding(document: Document) -> None:
    assert str(document.place_in_scalar(("list", 0, "y"), 4)) == "d.yaml:6:7"


def test_line_past_the_end_is_empty(document: Document) -> None:
    assert document.line(1) == "a: 1"
    assert document.line(99) == ""
    assert document.line(0) == ""


def test_json_document_has_the_same_places() -> None:
    document = parse_document('{"a": 1,\n "b": [2]}', "d.json")
    assert str(document.place(("b", 0))) == "d.json:2:8"
