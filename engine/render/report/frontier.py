"""A frontier as text, JSON, CSV, Markdown and SVG."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence

from engine.base.paint import Paint, is_colored
from engine.base.printable import finished, printable
from engine.decide.capacity.frontier import Frontier, Point
from engine.render.chart import Axis, Labels, Picture, number
from engine.render.layout import Cell, Column, grid, table, wrap
from engine.render.report.sizing import goal_words

_COLUMNS = (
    Column("tok/s/user", align_right=True),
    Column("tok/s/device", align_right=True),
    Column("plan"),
    Column("devices", align_right=True),
    Column("in flight", align_right=True),
    Column("TTFT", align_right=True),
    Column("within"),
)
_LEFT, _RIGHT, _HEIGHT = 92.0, 890.0, 420.0


def text(found: Frontier, width: int, paint: Paint) -> str:
    """Return the Pareto front as a table, the slowest for a user first, and the chosen point."""
    return finished("\n".join(_lines(found, width, paint)) + "\n", is_colored(paint))


def _lines(found: Frontier, width: int, paint: Paint) -> Iterator[str]:
    head = title(found)
    yield from (paint(line, "1;32" if found.front else "1;31") for line in wrap(printable(head), width))
    rows = [("policy", found.policy)]
    goals = goal_words(found.serving)
    if goals:
        rows.append(("goals", goals))
    if found.quantization is not None:
        rows.append(("quantization", found.quantization))
    if found.chosen is not None:
        rows.append(("chosen", chosen_words(found.chosen)))
    elif found.reason is not None:
        rows.append(("chosen", f"none: {found.reason}"))
    yield from grid([(label, printable(value)) for label, value in rows], width, paint, label_width=12)
    if found.front:
        yield ""
        yield from table(_COLUMNS, [_row(point) for point in found.front], width, paint)


def title(found: Frontier) -> str:
    """Return the headline of a frontier."""
    if not found.front:
        return f"No layout of {found.model} fits on {found.machine}"
    return f"{found.model} on {found.machine}: throughput against speed"


def chosen_words(chosen: Point) -> str:
    """Return the chosen point in words."""
    user, device = number(chosen.tokens_per_sec_per_user), number(chosen.tokens_per_sec_per_device)
    where = f"{chosen.plan} at concurrency {chosen.concurrency:,}"
    return (
        f"{where}: {user} tok/s per user, {device} tok/s per device, "
        f"TTFT {number(chosen.time_to_first_token_ms)} ms"
    )


def _row(point: Point) -> list[Cell]:
    return [
        number(point.tokens_per_sec_per_user),
        number(point.tokens_per_sec_per_device),
        point.plan,
        f"{point.devices:,}",
        f"{point.concurrency:,}",
        f"{number(point.time_to_first_token_ms)} ms",
        "yes" if point.meets else "no",
    ]


def as_json(found: Frontier) -> str:
    """Return a JSON document (schemas/frontier.schema.json)."""
    return json.dumps(found.to_dict(), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def as_csv(found: Frontier) -> str:
    """Return one line per point of the front, with a header."""
    written = io.StringIO()
    names = list(found.front[0].to_dict()) if found.front else ["plan"]
    rows = csv.DictWriter(written, names, lineterminator="\n")
    rows.writeheader()
    for point in found.front:
        rows.writerow({**point.to_dict(), "meets": "true" if point.meets else "false"})
    return written.getvalue()


def markdown(found: Frontier) -> str:
    """Return the Pareto front as a table."""
    lines = [f"**{title(found)}**", ""]
    if found.chosen is not None:
        lines += [f"Chosen: {chosen_words(found.chosen)}.", ""]
    lines.append(f"| {' | '.join(column.header for column in _COLUMNS)} |")
    lines.append(f"|{'|'.join('--:' if column.align_right else '---' for column in _COLUMNS)}|")
    lines += [f"| {' | '.join(map(str, _row(point)))} |" for point in found.front]
    return finished(printable_lines(lines))


def printable_lines(lines: Sequence[str]) -> str:
    """Return lines as one text of printable characters."""
    return "\n".join(map(printable, lines)) + "\n"


def svg(found: Frontier) -> str:
    """Return all points, the Pareto front and the chosen point as a chart."""
    lines = [part for part in (goal_words(found.serving), found.policy) if part]
    if found.quantization is not None:
        lines.insert(0, found.quantization)
    picture = Picture(title(found), (" · ".join(lines),))
    if not found.front:
        picture.text(_LEFT, picture.top + 20, found.reason or "", "over")
        return picture.finish(picture.top + 50)
    top = picture.top + 10
    every = [*found.points, *([found.chosen] if found.chosen else [])]
    x = Axis(0.0, 1.06 * max(p.tokens_per_sec_per_user for p in every), _LEFT, _RIGHT, logarithmic=False)
    y = Axis(
        0.0, 1.1 * max(p.tokens_per_sec_per_device for p in every), top + _HEIGHT, top, logarithmic=False
    )
    picture.axes(x, y, "output tokens/s per user (1 / TPOT)", "output tokens/s per device")
    limit = found.serving.get("max_tpot_ms")
    labels = Labels(picture, (_LEFT, top, _RIGHT, top + _HEIGHT))
    if isinstance(limit, (int, float)) and 1000.0 / limit < x.high:
        place = x.at(1000.0 / limit)
        picture.line(place, top, place, top + _HEIGHT, "limit")
        labels.add(place, top + 8, f"TPOT {limit:g} ms", "over halo", gap=4)
    for point in found.points:
        style = "dot" if point.meets else "dot late"
        picture.dot(x.at(point.tokens_per_sec_per_user), y.at(point.tokens_per_sec_per_device), 2.6, style)
    ends = [(x.at(p.tokens_per_sec_per_user), y.at(p.tokens_per_sec_per_device)) for p in found.front]
    picture.path(ends, "line")
    for point, (px, py) in zip(found.front, ends, strict=True):
        words = (
            f"{point.plan}, concurrency {point.concurrency:,}, TTFT {number(point.time_to_first_token_ms)} ms"
        )
        picture.dot(px, py, 4.2, "front" if point.meets else "front late", words)
        labels.block(px - 4, py - 4, 8, 8)
    if found.chosen is not None:
        px, py = x.at(found.chosen.tokens_per_sec_per_user), y.at(found.chosen.tokens_per_sec_per_device)
        picture.star(px, py, 10)
        labels.block(px - 9, py - 9, 18, 18)
        words = f"chosen: {found.chosen.plan}, concurrency {found.chosen.concurrency:,}"
        labels.add(px, py, words, "best halo", gap=13)
    before = ""
    for point, (px, py) in zip(found.front, ends, strict=True):
        if point.plan != before:
            labels.add(px, py, f"{point.plan} · {point.concurrency:,}", "halo")
        before = point.plan
    y_end = top + _HEIGHT + 62
    picture.text(
        _LEFT, y_end, "line: best layouts, labelled “plan · requests in flight”; dots: all layouts", "quiet"
    )
    return picture.finish(y_end + 20)
