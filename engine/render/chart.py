"""Charts as SVG documents: a picture with a title, and logarithmic or linear axes with readable ticks.

Like a diagram of a plan (engine.render.picture), a chart has no scripts, fonts or external resources, and
follows the browser's light or dark scheme and the printer.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from html import escape

from engine.base.printable import finished, printable
from engine.base.records import record

WIDTH = 920
_MARGIN = 24
_TITLE_CHARACTERS, _LINE_CHARACTERS = 88, 130

_STYLE = """
svg { --ink: #1c2430; --paper: #fff; --quiet: #667085; --edge: #98a2b3; --grid: #e4e7ec; --bar: #9ec5fe;
  --best: #2f9e6e; --over: #b42318; --point: #3b6fb6; font-family: system-ui, sans-serif;
  --c0: #a9c9f5; --c1: #f7c99b; --c2: #a8dcc0; --c3: #f2b3b0; --c4: #d3bdf0; --c5: #f3e2a0; --c6: #a6dfe6;
  --c7: #e9b9dc; --c8: #c9ccd1; --c9: #cde2a2; }
@media (prefers-color-scheme: dark) {
  svg { --ink: #e8ebf0; --paper: #14181f; --quiet: #98a2b3; --edge: #667085; --grid: #272e39; --bar: #24507f;
    --best: #51c08f; --over: #f97066; --point: #84adea;
    --c0: #234a7a; --c1: #7a4a1c; --c2: #1f5c40; --c3: #7a302c; --c4: #513880; --c5: #66591c; --c6: #1d5a63;
    --c7: #6b2f5c; --c8: #454b55; --c9: #4a6120; } }
@media print { svg { --ink: #000; --paper: #fff; --quiet: #444; --grid: #ccc; } }
.paper { fill: var(--paper); } text { fill: var(--ink); font-size: 12px; }
.head { font-size: 19px; font-weight: 600; } .quiet { fill: var(--quiet); } .strong { font-weight: 600; }
.end { text-anchor: end; } .middle { text-anchor: middle; } .over { fill: var(--over); }
.bar { fill: var(--bar); } rect.chosen { fill: var(--best); opacity: .8; }
.grid { stroke: var(--grid); } .axis { stroke: var(--edge); fill: none; }
.dot { fill: var(--point); opacity: .35; } .late { opacity: .25; }
.limit { stroke: var(--over); stroke-dasharray: 5 4; }
.none { fill: var(--grid); stroke: var(--grid); }
 .front { fill: var(--point); stroke: var(--paper); }
.line { stroke: var(--point); fill: none; stroke-width: 1.6; }
.star { fill: var(--best); stroke: var(--paper); stroke-width: 1.5; }
text.best { fill: var(--best); font-weight: 600; }
.halo { paint-order: stroke; stroke: var(--paper); stroke-width: 4px; stroke-linejoin: round; }
.region { stroke-width: .8; stroke-linejoin: round; }
.border { stroke: var(--ink); stroke-width: 1; opacity: .55; }
""" + "".join(f".r{index} {{ fill: var(--c{index}); stroke: var(--c{index}); }}\n" for index in range(10))
COLORS = 10
"""Fills of regions: classes r0 to r9."""


class Picture:
    """An SVG document that grows downwards: a title, lines of text, and marks."""

    def __init__(self, title: str, lines: Sequence[str] = ()) -> None:
        self._title = title
        self._parts: list[str] = []
        y = float(_MARGIN + 14)
        for line in textwrap.wrap(printable(title), _TITLE_CHARACTERS) or [""]:
            self.text(_MARGIN, y, line, "head")
            y += 24
        for line in lines:
            for part in textwrap.wrap(printable(line), _LINE_CHARACTERS):
                self.text(_MARGIN, y, part, "quiet")
                y += 18
        self.top = y + 6
        """Where marks may begin."""

    def text(self, x: float, y: float, text: str, style: str = "") -> None:
        """Add a line of text; its baseline starts at x, y."""
        name = f' class="{style}"' if style else ""
        self._parts.append(f'<text{name} x="{x:.4g}" y="{y:.4g}">{escape(printable(text))}</text>')

    def rect(self, x: float, y: float, width: float, height: float, style: str) -> None:
        """Add a rectangle."""
        box = f'x="{x:.5g}" y="{y:.5g}" width="{width:.5g}" height="{height:.5g}"'
        self._parts.append(f'<rect class="{style}" {box}/>')

    def line(self, x1: float, y1: float, x2: float, y2: float, style: str) -> None:
        """Add a straight line."""
        self._parts.append(f'<line class="{style}" x1="{x1:.5g}" y1="{y1:.5g}" x2="{x2:.5g}" y2="{y2:.5g}"/>')

    def path(self, points: Sequence[tuple[float, float]], style: str, *, closed: bool = False) -> None:
        """Add a line through points, or a polygon."""
        way = "L".join(f"{x:.5g} {y:.5g}" for x, y in points)
        self._parts.append(f'<path class="{style}" d="M{way}{"Z" if closed else ""}"/>')

    def dot(self, x: float, y: float, radius: float, style: str, title: str = "") -> None:
        """Add a dot; browsers show its title under the pointer."""
        inner = f"<title>{escape(printable(title))}</title>" if title else ""
        self._parts.append(
            f'<circle class="{style}" cx="{x:.5g}" cy="{y:.5g}" r="{radius:g}">{inner}</circle>'
        )

    def star(self, x: float, y: float, radius: float) -> None:
        """Add a star with five points."""
        points = [
            (
                x + (radius if turn % 2 == 0 else radius * 0.45) * math.sin(math.pi * turn / 5),
                y - (radius if turn % 2 == 0 else radius * 0.45) * math.cos(math.pi * turn / 5),
            )
            for turn in range(10)
        ]
        self.path(points, "star", closed=True)

    def axes(self, x: Axis, y: Axis, x_name: str, y_name: str, *, powers: bool = False) -> None:
        """Add two axes with ticks, a grid and names.

        Args:
            x: the horizontal axis.
            y: the vertical axis.
            x_name: its quantity and unit.
            y_name: that of the vertical axis.
            powers: put ticks at powers of two, without a grid.
        """
        left, right, top, bottom = x.start, x.end, y.end, y.start
        for value in x.powers() if powers else x.ticks():
            place = x.at(value)
            if not powers:
                self.line(place, top, place, bottom, "grid")
            self.line(place, bottom, place, bottom + 4, "axis")
            self.text(place, bottom + 18, tokens(value) if powers else _tick(value), "quiet middle")
        for value in y.powers() if powers else y.ticks(7):
            place = y.at(value)
            if not powers:
                self.line(left, place, right, place, "grid")
            self.line(left - 4, place, left, place, "axis")
            self.text(left - 8, place + 4, tokens(value) if powers else _tick(value), "quiet end")
        self.path([(left, top), (left, bottom), (right, bottom)], "axis")
        self.text((left + right) / 2, bottom + 40, x_name, "middle")
        middle = (top + bottom) / 2
        self._parts.append(
            f'<text class="middle" transform="translate(30 {middle:.5g}) rotate(-90)">'
            f"{escape(printable(y_name))}</text>"
        )

    def finish(self, height: float) -> str:
        """Return the document."""
        label = escape(printable(self._title), quote=True)
        return finished(
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:g}" width="{WIDTH}" '
            f'height="{height:g}" role="img" aria-label="{label}"><style>{_STYLE}</style>'
            f'<rect class="paper" width="100%" height="100%"/>{"".join(self._parts)}</svg>\n'
        )


@record
class Axis:
    """A range of values, and where it lies in the picture."""

    low: float
    high: float
    start: float
    end: float
    logarithmic: bool = True

    def at(self, value: float) -> float:
        """Return the coordinate of a value."""
        low, high = (math.log(self.low), math.log(self.high)) if self.logarithmic else (self.low, self.high)
        place = math.log(value) if self.logarithmic else value
        return self.start + (place - low) / (high - low or 1.0) * (self.end - self.start)

    def ticks(self, most: int = 9) -> list[float]:
        """Return round values within the range."""
        if self.logarithmic:
            for steps in ((1, 2, 5), (1, 3), (1,)):
                powers = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
                values = [step * 10.0**power for power in powers for step in steps]
                inside = [value for value in values if self.low * 0.999 <= value <= self.high * 1.001]
                if len(inside) <= most:
                    return inside
            return inside[:: -(-len(inside) // most)]
        step = nice((self.high - self.low) / (most - 1))
        first = math.ceil(self.low / step - 1e-9)
        return [step * count for count in range(first, math.floor(self.high / step + 1e-9) + 1)]

    def powers(self, most: int = 11) -> list[float]:
        """Return powers of two within the range: ticks of counts and token lengths."""
        first, last = math.ceil(math.log2(self.low) - 1e-9), math.floor(math.log2(self.high) + 1e-9)
        stride = max(1, -(-(last - first + 1) // most))
        return [2.0**power for power in range(first, last + 1, stride)]


class Labels:
    """Labels of points that do not cover each other: a label without room is left out.

    Args:
        picture: where the labels are written.
        frame: left, top, right and bottom of the room for labels.
    """

    def __init__(self, picture: Picture, frame: tuple[float, float, float, float]) -> None:
        self.picture = picture
        self.frame = frame
        self.taken: list[tuple[float, float, float, float]] = []

    def block(self, x: float, y: float, width: float, height: float) -> None:
        """Keep labels out of a rectangle."""
        self.taken.append((x, y, x + width, y + height))

    def add(self, x: float, y: float, text: str, style: str, gap: float = 8.0) -> None:
        """Write a label beside a point: right above, right, right below, or left of it."""
        width = 6.9 * len(text)
        left, top, right, bottom = self.frame
        for dx, dy, end in _places(gap):
            x1 = x + dx - (width if end else 0.0)
            box = (x1, y + dy - 11, x1 + width, y + dy + 3)
            inside = box[0] >= left and box[2] <= right + 12 and box[1] >= top - 12 and box[3] <= bottom
            if inside and not any(_overlap(box, other) for other in self.taken):
                self.taken.append(box)
                self.picture.text(x + dx, y + dy, text, f"{style} end" if end else style)
                return


def _places(gap: float) -> list[tuple[float, float, bool]]:
    """Return where a label may be, relative to its point, and whether it ends there instead of beginning."""
    near = [(gap, -gap, False), (gap, 4.0, False), (-gap, 16.0, True), (gap, 16.0, False), (-gap, -gap, True)]
    far = [(end * gap, -gap - 14.0 * step, end < 0) for step in (1, 2, 3) for end in (1, -1)]
    return near + far


def _overlap(a: tuple[float, float, float, float], b: tuple[float, float, float, float]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _tick(value: float) -> str:
    """Return the label of a tick."""
    return f"{value:,.0f}" if value >= 10 or value == round(value) else f"{value:g}"


def nice(step: float) -> float:
    """Return the round step that is not smaller: 1, 2, 2.5 or 5 times a power of ten."""
    if step <= 0.0:
        return 1.0
    base = 10.0 ** math.floor(math.log10(step))
    return next(factor * base for factor in (1.0, 2.0, 2.5, 5.0, 10.0) if factor * base >= step * 0.9999)


def number(value: float | None) -> str:
    """Return a number for people: three significant digits, whole from 100."""
    if value is None:
        return "–"
    if value == 0.0:
        return "0"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:.{min(digits, 6)}f}"


def tokens(value: float) -> str:
    """Return a number of tokens or requests as people write it: `4k`, `128k`, `512`."""
    whole = round(value)
    return f"{whole // 1024}k" if whole >= 1024 and whole % 1024 == 0 else f"{whole:,}"
