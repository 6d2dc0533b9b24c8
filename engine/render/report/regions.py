"""A map of plans as text, JSON and SVG."""

from __future__ import annotations

import json
from collections.abc import Iterator

from engine.base.paint import Paint, is_colored
from engine.base.printable import finished, printable
from engine.decide.capacity.regions import INFEASIBLE, PlanMap, Region, Span
from engine.render.chart import COLORS, Axis, Picture
from engine.render.layout import grid, wrap
from engine.render.report.sizing import goal_words

_LEFT, _RIGHT, _HEIGHT = 92.0, 890.0, 430.0
_CHARACTER = 7.4
"""Width of a bold character in a label."""
_TILE = 10.0
"""Side of the tiles by which labels are placed."""
_NAMES = {
    "context": "context (tokens)",
    "input_tokens": "prompt (tokens)",
    "output_tokens": "output (tokens)",
    "concurrency": "concurrency (requests)",
}


def title(found: PlanMap) -> str:
    """Return the headline of a map."""
    return f"{found.model} on {found.machine}: plan by {found.x.field} and {found.y.field}"


def text(found: PlanMap, width: int, paint: Paint) -> str:
    """Return the plans along lines of the map, with exact borders."""
    return finished("\n".join(_lines(found, width, paint)) + "\n", is_colored(paint))


def _lines(found: PlanMap, width: int, paint: Paint) -> Iterator[str]:
    yield from (paint(line, "1;32") for line in wrap(printable(title(found)), width))
    rows = [("policy", found.policy)]
    goals = goal_words(found.serving)
    if goals:
        rows.append(("goals", goals))
    rows.append(("plans", ", ".join(found.plans)))
    yield from grid([(label, printable(value)) for label, value in rows], width, paint, label_width=12)
    yield ""
    shown = []
    for row in reversed(found.rows):
        parts = [plan + (f" up to {last:,}" if last < found.x.high else "") for plan, last in row.plans]
        shown.append((f"{row.y:,}", printable(f"{found.x.field}: " + ", then ".join(parts))))
    yield paint(found.y.field, "1")
    yield from grid(shown, width, paint)


def as_json(found: PlanMap) -> str:
    """Return a JSON document (schemas/map.schema.json)."""
    return json.dumps(found.to_dict(), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def svg(found: PlanMap) -> str:
    """Return the map as a picture: a color and a label for each plan, and a legend."""
    lines = " · ".join(filter(None, (goal_words(found.serving), found.policy)))
    picture = Picture(title(found), (lines,))
    top = picture.top + 8
    x = _axis(found.x, _LEFT, _RIGHT)
    y = _axis(found.y, top + _HEIGHT, top)
    styles = _styles(found)
    for region in found.regions:
        corners = [(x.at(px), y.at(py)) for px, py in region.corners]
        picture.path(corners, f"region {styles[region.plan]}", closed=True)
    for start, end in found.borders:
        picture.line(x.at(start[0]), y.at(start[1]), x.at(end[0]), y.at(end[1]), "border")
    picture.axes(x, y, _NAMES[found.x.field], _NAMES[found.y.field], powers=True)
    raster = _Raster(found, x, y)
    for plan in found.plans:
        place = raster.place(plan)
        if place is not None:
            picture.text(place[0], place[1] + 4, plan, "halo strong middle")
    legend, line = _LEFT, top + _HEIGHT + 66
    for plan in found.plans:
        width = 26.0 + 7.2 * len(plan)
        if legend + width > _RIGHT:
            legend, line = _LEFT, line + 22
        picture.rect(legend, line - 11, 14, 14, styles[plan])
        picture.text(legend + 20, line, plan)
        legend += width + 14
    return picture.finish(line + 22)


def _axis(span: Span, start: float, end: float) -> Axis:
    return Axis(float(span.low), float(span.high), start, end)


def _styles(found: PlanMap) -> dict[str, str]:
    """Return a fill for each plan; where none is feasible, one that looks empty."""
    plans = [plan for plan in found.plans if plan != INFEASIBLE]
    return dict.fromkeys(found.plans, "none") | {
        plan: f"r{number % COLORS}" for number, plan in enumerate(plans)
    }


class _Raster:
    """Which plan covers which tile of the picture: where a label has room."""

    def __init__(self, found: PlanMap, x: Axis, y: Axis) -> None:
        self.columns = int((x.end - x.start) / _TILE)
        self.rows = int((y.start - y.end) / _TILE)
        self.left, self.top = x.start, y.end
        self.tiles: dict[tuple[int, int], str] = {}
        for region in found.regions:
            self._fill(region, x, y)

    def _fill(self, region: Region, x: Axis, y: Axis) -> None:
        corners = [(x.at(px), y.at(py)) for px, py in region.corners]
        xs, ys = [corner[0] for corner in corners], [corner[1] for corner in corners]
        columns = range(int((min(xs) - self.left) / _TILE), int((max(xs) - self.left) / _TILE) + 1)
        rows = range(int((min(ys) - self.top) / _TILE), int((max(ys) - self.top) / _TILE) + 1)
        for column in columns:
            for row in rows:
                if _inside(*self._center(column, row), corners):
                    self.tiles[column, row] = region.plan

    def _center(self, column: int, row: int) -> tuple[float, float]:
        return self.left + (column + 0.5) * _TILE, self.top + (row + 0.5) * _TILE

    def place(self, plan: str) -> tuple[float, float] | None:
        """Return the middle of the tiles with the most room above and below for a plan's label."""
        half = int(_CHARACTER * len(plan) / _TILE / 2) + 1
        best: tuple[int, int, int, int] | None = None
        for column, row in (place for place, covering in self.tiles.items() if covering == plan):
            if all(self.tiles.get((column + step, row)) == plan for step in range(-half, half + 1)):
                room = min(self._room(column + step, row, plan) for step in (-half, 0, half))
                candidate = (room, -abs(column - self.columns // 2), column, row)
                best = candidate if best is None else max(best, candidate)
        return None if best is None else self._center(*best[2:])

    def _room(self, column: int, row: int, plan: str) -> int:
        """Return how many tiles above and below a tile have the same plan."""
        room = 0
        while all(self.tiles.get((column, row + sign * (room + 1))) == plan for sign in (-1, 1)):
            room += 1
        return room


def _inside(x: float, y: float, corners: list[tuple[float, float]]) -> bool:
    """Return True if a point is within a polygon: a ray from it crosses the outline oddly often."""
    inside = False
    for (x1, y1), (x2, y2) in zip(corners, [*corners[1:], corners[0]], strict=True):
        if (y1 > y) != (y2 > y) and x < x1 + (y - y1) / (y2 - y1) * (x2 - x1):
            inside = not inside
    return inside
