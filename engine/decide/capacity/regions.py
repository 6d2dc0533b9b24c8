"""Maps of plans: which plan a policy chooses where, over two serving goals.

The plane is divided into cells by two geometric grids. Where the corners of a cell have different plans, the
borders on its edges are found exactly, by bisection over whole numbers; within a cell, they are straight.
A cell with more than two plans is divided further. Plans that no grid point has are not found.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from itertools import pairwise
from typing import TYPE_CHECKING

from engine.base.errors import RequestError, near
from engine.base.records import record
from engine.decide import goals
from engine.decide.capacity.instances import strategy_words
from engine.decide.changes import with_serving
from engine.decide.policy import Policy
from engine.decide.request import Request

if TYPE_CHECKING:
    from engine.base.jsontypes import Json, JsonObject

AXES = ("context", "input_tokens", "output_tokens", "concurrency")
"""Serving goals that a map may have as an axis."""
INFEASIBLE = "infeasible"
"""Where no plan is feasible."""
_WORDS = {"input": "input_tokens", "output": "output_tokens"}
_UNITS = {"": 1, "k": 1024, "m": 1024**2}
_RANGE = re.compile(r"(?P<low>\d+)(?P<low_unit>[km]?)\.\.(?P<high>\d+)(?P<high_unit>[km]?)\Z", re.IGNORECASE)
_COLUMNS, _ROWS = 13, 11
_DEEPEST = 3
"""Times that a cell with more than two plans is divided."""
_FINE = 1.02
"""Ratio of two values between which the border within a divided cell is not looked for."""

Corner = tuple[float, float]


@record
class Span:
    """An axis of a map: a serving goal, and its range."""

    field: str
    low: int
    high: int

    def grid(self, count: int) -> list[int]:
        """Return whole numbers in geometric steps, both ends included."""
        ratio = (self.high / self.low) ** (1 / (count - 1))
        steps = {round(self.low * ratio**step) for step in range(count)}
        return sorted(steps | {self.low, self.high})


@record
class Region:
    """A part of the map with one plan, as a polygon in the axes' units."""

    plan: str
    corners: tuple[Corner, ...]


@record
class Row:
    """One line of the map: plans from left to right, each with the last value at which it is chosen."""

    y: int
    plans: tuple[tuple[str, int], ...]

    def to_dict(self) -> JsonObject:
        """Return the JSON form."""
        return {"y": self.y, "plans": [{"plan": plan, "to": last} for plan, last in self.plans]}


@record
class PlanMap:
    """Which plan is chosen where."""

    model: str
    machine: str
    policy: str
    x: Span
    y: Span
    serving: JsonObject
    plans: tuple[str, ...]
    """All plans, the one with the largest area first."""
    rows: tuple[Row, ...]
    regions: tuple[Region, ...]
    borders: tuple[tuple[Corner, Corner], ...]
    """Straight parts of the borders between regions, in the axes' units."""
    decisions: int
    """Decisions that it took."""

    def to_dict(self) -> JsonObject:
        """Return the JSON form (schemas/map.schema.json)."""

        def axis(span: Span) -> JsonObject:
            return {"field": span.field, "from": span.low, "to": span.high}

        plans: list[Json] = list(self.plans)
        return {
            "model": self.model,
            "machine": self.machine,
            "policy": self.policy,
            "serving": self.serving,
            "x": axis(self.x),
            "y": axis(self.y),
            "plans": plans,
            "rows": [row.to_dict() for row in self.rows],
            "decisions": self.decisions,
        }


def parse_span(text: str) -> Span:
    """Return the axis that `context=1k..128k` means.

    Raises:
        ValueError: another form, an unknown goal, or an empty range; the message says which.
    """
    name, equals, values = (part.strip() for part in text.partition("="))
    field = _WORDS.get(name, name)
    if field not in AXES:
        raise ValueError(f"unknown axis '{name}'; {near(name, AXES)}")
    match = _RANGE.match(values)
    if not equals or match is None:
        raise ValueError(f"expected a range such as context=1k..128k, found '{text}'")
    low = int(match["low"]) * _UNITS[match["low_unit"].lower()]
    high = int(match["high"]) * _UNITS[match["high_unit"].lower()]
    if not 0 < low < high <= goals.MOST_CONCURRENCY:
        raise ValueError(f"'{text}': expected a range that grows, from 1 to {goals.MOST_CONCURRENCY:,}")
    return Span(field, low, high)


def plan_map(
    policy: Policy,
    request: Request,
    x: Span,
    y: Span,
    machine: str,
    progress: Callable[[], None] = lambda: None,
) -> PlanMap:
    """Return the map of a request over two of its serving goals.

    Args:
        policy: the policy that decides.
        request: the request.
        x: the horizontal axis.
        y: the vertical axis.
        machine: what to call the devices.
        progress: called after each decision.

    Raises:
        RequestError: both axes are the same goal, or the request is invalid.
        EvaluationError: an expression of the policy ended in an error.
    """
    if x.field == y.field:
        raise RequestError(f"both axes are {x.field}", hint=f"choose two of {', '.join(AXES)}")
    if goals.CONCURRENCY not in (x.field, y.field) and goals.leaves_concurrency_open(request):
        raise RequestError(
            "limits and rates need a concurrency in a map",
            hint="make concurrency an axis, or set it with --concurrency",
        )
    goals.check(request)
    mapper = _Mapper(policy, policy.prepared(request)[0], x, y, progress)
    xs, ys = x.grid(_COLUMNS), y.grid(_ROWS)
    rows = tuple(mapper.row(value, xs) for value in ys)
    for left, right in pairwise(xs):
        for low, high in pairwise(ys):
            mapper.cell(left, low, right, high)
    model = request.model
    serving = {
        name: value for name, value in goals.serving_of(request).items() if name not in (x.field, y.field)
    }
    return PlanMap(
        model="" if model is None else model.name or f"{model.params:,} parameters",
        machine=machine,
        policy=f"{policy.name}@{policy.version}",
        x=x,
        y=y,
        serving=serving,  # type: ignore[arg-type]
        plans=tuple(sorted(mapper.areas, key=lambda plan: -mapper.areas[plan])),
        rows=rows,
        regions=tuple(mapper.regions),
        borders=tuple(mapper.segments),
        decisions=len(mapper.known),
    )


class _Mapper:
    """Draws one map; each point is decided once."""

    def __init__(
        self, policy: Policy, request: Request, x: Span, y: Span, progress: Callable[[], None]
    ) -> None:
        self.policy = policy
        self.request = request
        self.x = x
        self.y = y
        self.progress = progress
        self.known: dict[tuple[int, int], str] = {}
        self.regions: list[Region] = []
        self.segments: list[tuple[Corner, Corner]] = []
        self.areas: dict[str, float] = {}

    def at(self, x: int, y: int) -> str:
        """Return the plan at a point in short."""
        if (x, y) not in self.known:
            request = with_serving(with_serving(self.request, self.x.field, x), self.y.field, y)
            decision = self.policy.decide(request, remedies=False, find=False)
            if decision.plan is not None and decision.plan.shards:
                plan = strategy_words(decision.plan.strategy)
            else:
                plan = INFEASIBLE
            self.known[x, y] = plan
            self.progress()
        return self.known[x, y]

    def row(self, y: int, xs: list[int]) -> Row:
        """Return the plans along a horizontal line, with exact borders."""
        plans: list[tuple[str, int]] = []
        for left, right in pairwise(xs):
            for border in self.borders(left, right, lambda value: self.at(value, y)):
                plans.append((self.at(border, y), border))
        plans.append((self.at(xs[-1], y), xs[-1]))
        return Row(y, tuple(plans))

    def borders(self, low: int, high: int, at: Callable[[int], str], exact: bool = True) -> list[int]:
        """Return the last values before each change of the plan between two values; to 2 % if not exact."""
        if at(low) == at(high):
            return []
        if high - low == 1 or (not exact and high < low * _FINE):
            return [low if exact else (low + high) // 2]
        middle = (low + high) // 2
        return [*self.borders(low, middle, at, exact), *self.borders(middle, high, at, exact)]

    def cell(self, left: int, low: int, right: int, high: int, depth: int = 0) -> None:
        """Add the regions of a cell."""
        corners = [(left, low), (right, low), (right, high), (left, high)]
        plans = [self.at(*corner) for corner in corners]
        if len(set(plans)) == 1:
            self.add(plans[0], [(float(x), float(y)) for x, y in corners])
            return
        if depth > _DEEPEST:
            self.quarters(left, low, right, high, plans)
            return
        crossings: list[Corner | None] = []
        simple = len(set(plans)) == 2
        for number, (start, end) in enumerate(zip(corners, [*corners[1:], corners[0]], strict=True)):
            found = self.edge(start, end, exact=depth == 0)
            simple = simple and len(found) <= 1 and (not found) == (plans[number] == plans[(number + 1) % 4])
            crossings.append(found[0] if found else None)
        crossed = [crossing for crossing in crossings if crossing is not None]
        if simple and len(crossed) == 2:
            self.segments.append((crossed[0], crossed[1]))
            for plan in dict.fromkeys(plans):
                outline: list[Corner] = []
                for corner, own, crossing in zip(corners, plans, crossings, strict=True):
                    if own == plan:
                        outline.append((float(corner[0]), float(corner[1])))
                    if crossing is not None:
                        outline.append(crossing)
                self.add(plan, outline)
            return
        x, y = round((left * right) ** 0.5), round((low * high) ** 0.5)
        if left < x < right or low < y < high:
            for first, last in _parts(left, x, right):
                for bottom, top in _parts(low, y, high):
                    self.cell(first, bottom, last, top, depth + 1)
            return
        self.quarters(left, low, right, high, plans)

    def quarters(self, left: int, low: int, right: int, high: int, plans: list[str]) -> None:
        """Add the quarters of a small cell, each with the plan of its corner."""
        x, y = (left * right) ** 0.5, (low * high) ** 0.5
        spans = [(left, low, x, y), (x, low, right, y), (x, y, right, high), (left, y, x, high)]
        for plan, (x1, y1, x2, y2) in zip(plans, spans, strict=True):
            self.add(plan, [(x1, y1), (x2, y1), (x2, y2), (x1, y2)])

    def edge(self, start: tuple[int, int], end: tuple[int, int], *, exact: bool) -> list[Corner]:
        """Return the borders on an edge of a cell: points halfway between two whole numbers."""
        (x1, y1), (x2, y2) = start, end
        if y1 == y2:
            found = self.borders(min(x1, x2), max(x1, x2), lambda value: self.at(value, y1), exact)
            return [(border + 0.5, float(y1)) for border in found]
        found = self.borders(min(y1, y2), max(y1, y2), lambda value: self.at(x1, value), exact)
        return [(float(x1), border + 0.5) for border in found]

    def add(self, plan: str, corners: list[Corner]) -> None:
        """Add a region."""
        self.regions.append(Region(plan, tuple(corners)))
        xs = [corner[0] for corner in corners]
        ys = [corner[1] for corner in corners]
        area = math.log(max(xs) / min(xs)) * math.log(max(ys) / min(ys))
        self.areas[plan] = self.areas.get(plan, 0.0) + area


def _parts(low: int, middle: int, high: int) -> list[tuple[int, int]]:
    """Return the two parts of a range; one if nothing lies between its ends."""
    return [(low, middle), (middle, high)] if low < middle < high else [(low, high)]
