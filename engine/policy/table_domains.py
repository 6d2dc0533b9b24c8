"""Rows of a decision table against each other: which overlap, and what no row covers."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from engine.base.records import record
from engine.cel import celtypes as t
from engine.cel.times import Duration, Timestamp
from engine.policy.table_cells import Admitted, Column, Test, admitted, candidates

MOST_STEPS = 200_000
"""Combinations of cells that are looked at."""


@record
class Overlap:
    """Two rows that hold together: for these values, or perhaps, because of a cell that is not a value."""

    first: int
    second: int
    witness: Mapping[str, Any] | None
    unknown: str = ""


@record
class Gap:
    """Values that no row covers; `sure` unless a row's cell is not a value."""

    witness: Mapping[str, Any]
    sure: bool


class Domains:
    """The values that the rows of a table admit, column by column."""

    def __init__(
        self,
        columns: Sequence[Column],
        rows: Sequence[Sequence[Test]],
        constants: Mapping[str, object],
    ) -> None:
        """Read the tests of all rows.

        Args:
            columns: the tested columns.
            rows: a test for each of them, by row.
            constants: the policy's constants by name.
        """
        self.columns = columns
        self.rows = [
            [admitted(test, column, constants) for test, column in zip(row, columns, strict=True)]
            for row in rows
        ]
        self.points = [
            list(dict.fromkeys(candidates(column, [row[number] for row in self.rows])))
            for number, column in enumerate(columns)
        ]
        self.steps = MOST_STEPS

    def overlaps(self) -> Iterator[Overlap]:
        """Yield the pairs of rows that hold together, or may."""
        for second, later in enumerate(self.rows):
            for first in range(second):
                overlap = self.overlap(first, second, self.rows[first], later)
                if overlap is not None:
                    yield overlap

    def overlap(
        self, first: int, second: int, earlier: list[Admitted], later: list[Admitted]
    ) -> Overlap | None:
        witness: dict[str, Any] = {}
        unknown = ""
        for column, points, a, b in zip(self.columns, self.points, earlier, later, strict=True):
            opaque = [each for each in (a, b) if each.kind == "unknown"]
            if opaque:
                unknown = unknown or f"{column.name}: {opaque[0].texts[0]}"
                continue
            shared = next((point for point in points if a.holds(point) and b.holds(point)), None)
            if shared is None:
                return None
            witness[column.name] = shared
        return Overlap(first, second, None if unknown else witness, unknown)

    def gap(self) -> Gap | None:
        """Return values that no row covers; None if there are none, or the table is too large to tell."""
        sure = self.uncovered(unknown=True)
        if sure is not None:
            return Gap(sure, True)
        perhaps = self.uncovered(unknown=False)
        return None if perhaps is None else Gap(perhaps, False)

    def covers_all(self) -> bool:
        """Return True if for all values some row surely holds."""
        return self.uncovered(unknown=False) is None and self.steps > 0

    def uncovered(self, *, unknown: bool) -> dict[str, Any] | None:
        """Return values for which no row holds; cells that are not values count as `unknown`."""
        masks: list[dict[int, Any]] = []
        for number, points in enumerate(self.points):
            by_mask: dict[int, Any] = {}
            for point in points:
                mask = 0
                for row, cells in enumerate(self.rows):
                    holds = cells[number].holds(point)
                    mask |= (unknown if holds is None else holds) << row
                by_mask.setdefault(mask, point)
            masks.append(by_mask)
        self.steps = MOST_STEPS
        covered: set[tuple[int, int]] = set()
        found = self.search(masks, 0, (1 << len(self.rows)) - 1, covered)
        if found is None or self.steps <= 0:
            return None
        return {column.name: value for column, value in zip(self.columns, found, strict=True)}

    def search(
        self, masks: list[dict[int, Any]], depth: int, rows: int, covered: set[tuple[int, int]]
    ) -> list[Any] | None:
        """Return a value for each further column such that no row is left; None if there is none."""
        if rows == 0:
            return [next(iter(points.values())) for points in masks[depth:]]
        if depth == len(masks) or (depth, rows) in covered:
            return None
        for mask, point in masks[depth].items():
            self.steps -= 1
            if self.steps <= 0:
                return None
            rest = self.search(masks, depth + 1, rows & mask, covered)
            if rest is not None:
                return [point, *rest]
        covered.add((depth, rows))
        return None


def witness_text(witness: Mapping[str, Any], columns: Sequence[Column], inputs: Sequence[str]) -> str:
    """Return values of columns as a request, if the columns are inputs; else by the columns' expressions."""
    by_name = {column.name: column for column in columns}
    values = {str(by_name[name].input): shown(value, by_name[name]) for name, value in witness.items()}
    request: dict[str, Any] = {}
    if not all(text.partition(".")[0] in inputs and _is_path(text) for text in values):
        return ", ".join(
            f"{text} = {json.dumps(value, ensure_ascii=False)}" for text, value in values.items()
        )
    for text, value in values.items():
        *folders, last = text.split(".")
        into = request
        for folder in folders:
            into = into.setdefault(folder, {})
        into[last] = value
    return json.dumps(request, ensure_ascii=False)


def _is_path(text: str) -> bool:
    return all(part.isidentifier() for part in text.split("."))


def shown(value: Any, column: Column) -> Any:
    """Return a value of a column as a request writes it."""
    if column.type == t.TIMESTAMP:
        return str(Timestamp(value))
    if column.type == t.DURATION:
        return str(Duration(value))
    return value
