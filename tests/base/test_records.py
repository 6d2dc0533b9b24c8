"""Records keep the promises that dataclasses make, so that users need not know the difference."""

from __future__ import annotations

import copy
import dataclasses
import pickle

import pytest

from engine.base.records import field, record, replace


@record
class Point:
    x: int
    y: int = 2
    tags: list[str] = field(default_factory=list, compare=False)
    secret: str = field(default="s", repr=False)


@record
class Named(Point):
    name: str = "p"


@record(frozen=False)
class Mutable:
    x: int = 0


@record(eq=False)
class Node:
    x: int


def test_fields_have_defaults_and_are_made_anew() -> None:
    first, second = Point(1), Point(x=1)
    assert (first.x, first.y, first.tags, first.secret) == (1, 2, [], "s")
    assert first.tags is not second.tags
    assert Named(1, name="q") == Named(1, 2, [], "s", "q")


def test_a_missing_or_unknown_field_is_refused() -> None:
    with pytest.raises(TypeError, match="x"):
        Point()  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="z"):
        Point(1, z=3)  # type: ignore[call-arg]


def test_equality_hash_and_repr() -> None:
    assert Point(1, tags=["a"]) == Point(1)
    assert hash(Point(1, tags=["a"])) == hash(Point(1))
    assert Point(1) != Point(2)
    assert Point(1) != Named(1)
    assert repr(Named(1)) == "Named(x=1, y=2, tags=[], name='p')"
    assert Node(1) != Node(1)


def test_frozen_unless_told_otherwise() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Point(1).x = 2  # type: ignore[misc]
    with pytest.raises(dataclasses.FrozenInstanceError):
        del Point(1).x
    with pytest.raises(AttributeError):
        Point(1).other = 2  # type: ignore[attr-defined]
    changed = Mutable(1)
    changed.x = 2
    assert changed == Mutable(2)
    with pytest.raises(TypeError):
        hash(changed)


def test_what_takes_dataclasses_takes_records() -> None:
    assert dataclasses.is_dataclass(Point)
    assert dataclasses.replace(Point(1), y=5) == replace(Point(1), y=5) == Point(1, 5)
    assert dataclasses.asdict(Named(1)) == {"x": 1, "y": 2, "tags": [], "secret": "s", "name": "p"}
    assert [each.name for each in dataclasses.fields(Named)] == ["x", "y", "tags", "secret", "name"]


def test_copies_and_pickles() -> None:
    point = Named(1, 3, ["a"], "t", "n")
    for twin in (copy.copy(point), copy.deepcopy(point), pickle.loads(pickle.dumps(point))):
        assert twin == point
        assert twin.tags == ["a"]


def test_patterns_match_by_position() -> None:
    match Point(1, 7):
        case Point(x, y):
            assert (x, y) == (1, 7)
