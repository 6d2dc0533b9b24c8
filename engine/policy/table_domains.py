"""Rows of a decision table against each other: which overlap, and what no row covers."""

from __future__ import annotations

import json
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from functools import reduce
from itertools import accumulate
from operator import or_, xor
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
        self.masks = [
            _Masks(points, [row[number] for row in self.rows]) for number, points in enumerate(self.points)
        ]
        self.steps = MOST_STEPS

    def overlaps(self, alike: Sequence[int] = ()) -> Iterator[Overlap]:
        """Yield the pairs of rows that hold together, or may.

        Args:
            alike: for each row, a bit for every row that may hold with it.
        """
        shared = [masks.shared() for masks in self.masks]
        for second, later in enumerate(self.rows):
            both = (1 << second) - 1
            for each in shared:
                both &= each[second]
            if alike:
                both &= ~alike[second]
            while both:
                lowest = both & -both
                both ^= lowest
                first = lowest.bit_length() - 1
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
        for points, known in zip(self.points, self.masks, strict=True):
            by_mask: dict[int, Any] = {}
            for point in points:
                by_mask.setdefault(known.at(point) | (known.unknown if unknown else 0), point)
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


class _Masks:
    """The rows that hold at each point of a column, a bit for each row.

    Tables have thousands of rows: no row is compared with every point, and no pair of rows one by one.
    """

    def __init__(self, points: Sequence[Any], cells: Sequence[Admitted]) -> None:
        ordered = all(isinstance(point, (int, float)) for point in points)
        self.points = sorted(points) if ordered else list(points)
        self.indexes = {point: index for index, point in enumerate(self.points)}
        self.all = (1 << len(cells)) - 1
        self.unknown = 0
        self.spans: list[list[tuple[int, int]]] = []
        """Of each row, the first and the last point of each run of points at which it holds."""
        changes = [0] * (len(self.points) + 1)
        for row, cell in enumerate(cells):
            spans = [] if cell.kind == "unknown" else list(self.runs(cell))
            self.unknown |= (cell.kind == "unknown") << row
            self.spans.append(spans)
            for first, last in spans:
                changes[first] ^= 1 << row
                changes[last + 1] ^= 1 << row
        self.at_index: list[int] = list(accumulate(changes[:-1], xor))

    def runs(self, cell: Admitted) -> Iterator[tuple[int, int]]:
        """Yield the runs of points at which a cell holds."""
        last = len(self.points) - 1
        if cell.kind == "range":
            low = 0 if cell.low is None else _position(self.points, cell.low, after=cell.low_open)
            high = (
                last if cell.high is None else _position(self.points, cell.high, after=not cell.high_open) - 1
            )
            if low <= high:
                yield low, high
            return
        listed = sorted({self.indexes[each] for each in cell.values if each in self.indexes})
        if cell.kind == "set":
            yield from ((index, index) for index in listed)
            return
        start = 0
        for index in (*listed, last + 1):
            if start < index:
                yield start, index - 1
            start = index + 1

    def at(self, point: Any) -> int:
        """Return the rows that surely hold at a point."""
        return self.at_index[self.indexes[point]]

    def shared(self) -> list[int]:
        """Return for each row the rows that hold, or may, at a point where it does."""
        blocks = [
            reduce(or_, self.at_index[start : start + _BLOCK], 0)
            for start in range(0, len(self.at_index), _BLOCK)
        ]
        found = []
        for row, spans in enumerate(self.spans):
            rows = self.unknown
            for first, last in spans:
                rows |= self.between(first, last, blocks)
            found.append(self.all if self.unknown >> row & 1 else rows)
        return found

    def between(self, first: int, last: int, blocks: list[int]) -> int:
        """Return the rows that hold at one of the points of a run."""
        head, tail = -(-first // _BLOCK), (last + 1) // _BLOCK
        if head >= tail:
            return reduce(or_, self.at_index[first : last + 1], 0)
        ends = (*self.at_index[first : head * _BLOCK], *self.at_index[tail * _BLOCK : last + 1])
        return reduce(or_, ends, reduce(or_, blocks[head:tail], 0))


_BLOCK = 128
"""Points whose rows are joined once for all runs over them."""


def _position(points: Sequence[Any], value: Any, *, after: bool) -> int:
    return bisect_right(points, value) if after else bisect_left(points, value)


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
