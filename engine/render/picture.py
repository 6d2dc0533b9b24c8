"""A diagram of a plan or an inventory: devices as boxes, grouped by node and filled by memory use.

The SVG is self-contained (no scripts, fonts or external resources) and follows the browser's light or dark
scheme.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from html import escape

from engine.base.printable import finished, printable
from engine.base.quantities import format_bytes
from engine.base.records import record
from engine.inventory import Inventory
from engine.inventory.inventory import Device, Link
from engine.plan import Plan, Shard

_COLUMNS = 4
_BOX_WIDTH, _BOX_HEIGHT = 190, 92
_GAP, _MARGIN, _FRAME = 26, 24, 18
_MOST = 64
"""Most devices in a diagram; more would be illegible."""

_TITLE_CHARACTERS = 88
"""Characters on a line of the title."""

_MOST_LINES = 96
"""Most links that are drawn one by one; beyond that, only interconnects are listed."""

_STYLE = """
svg { --ink: #1c2430; --paper: #fff; --quiet: #667085; --edge: #98a2b3; --fill: #9ec5fe;
  --over: #f4a6a0; --frame: #f3f5f8; --link: #2f9e6e; font-family: system-ui, sans-serif; }
@media (prefers-color-scheme: dark) {
  svg { --ink: #e8ebf0; --paper: #14181f; --quiet: #98a2b3; --edge: #667085; --fill: #24507f;
    --over: #7d2f2a; --frame: #1d232c; --link: #51c08f; } }
@media print { svg { --ink: #000; --paper: #fff; --quiet: #444; --frame: #fff; } }
.paper { fill: var(--paper); } .frame { fill: var(--frame); stroke: var(--edge); }
.box { fill: var(--paper); stroke: var(--edge); } .off { opacity: .45; }
.used { fill: var(--fill); } .over { fill: var(--over); }
.link { stroke: var(--link); stroke-width: 1.8; opacity: .8; fill: none; }
.slow { stroke: var(--edge); } .bus { fill: var(--link); font-size: 12px; }
text { fill: var(--ink); font-size: 12px; } .quiet { fill: var(--quiet); }
.head { font-size: 19px; font-weight: 600; } .end { text-anchor: end; }
"""


@record(eq=False)
class _Place:
    """The position of a device's box, and its column within the node."""

    x: float
    y: float
    column: int


def svg(inventory: Inventory, headline: str, reason: str = "", plan: Plan | None = None) -> str:
    """Return the diagram as an SVG document."""
    drawn = list(enumerate(inventory.devices))[:_MOST]
    nodes = list(dict.fromkeys(device.node for _, device in drawn)) or [None]
    width = 2 * (_MARGIN + _FRAME) + _COLUMNS * _BOX_WIDTH + (_COLUMNS - 1) * _GAP
    head = [*textwrap.wrap(reason, 110)]
    titles = textwrap.wrap(headline, _TITLE_CHARACTERS) or [""]
    below = 24 * (len(titles) - 1)
    y = float(_MARGIN + 30 + below + 18 * len(head) + 14)
    frames: list[str] = []
    places: dict[int, _Place] = {}
    for node in nodes:
        members = [position for position, device in drawn if device.node == node]
        height = _frame(members, places, y)
        label = node if node is not None else ""
        frames.append(_rect("frame", _MARGIN, y, width - 2 * _MARGIN, height))
        if label:
            frames.append(_text(_MARGIN + _FRAME, y + 15, label, "quiet"))
        y += height + _GAP
    body = [
        *frames,
        *_links(inventory, places),
        *(box for position, device in drawn for box in _box(device, places[position], plan, position)),
    ]
    for line in _below(inventory, len(drawn)):
        body.append(_text(_MARGIN, y, line, "bus" if line.startswith("interconnect") else "quiet"))
        y += 18
    height = y + _MARGIN - 10
    title = [_text(_MARGIN, _MARGIN + 18 + 24 * row, line, "head") for row, line in enumerate(titles)]
    top = _MARGIN + 42 + below
    title += [_text(_MARGIN, top + 18 * number, line, "quiet") for number, line in enumerate(head)]
    label = escape(printable(headline), quote=True)
    return finished(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height:g}" width="{width}" '
        f'height="{height:g}" role="img" aria-label="{label}"><style>{_STYLE}</style>'
        f'<rect class="paper" width="100%" height="100%"/>{"".join([*title, *body])}</svg>\n'
    )


def _frame(positions: Sequence[int], places: dict[int, _Place], top: float) -> float:
    """Place the boxes of a node in rows and return the height of its frame."""
    rows = max(1, -(-len(positions) // _COLUMNS))
    for number, position in enumerate(positions):
        row, column = divmod(number, _COLUMNS)
        x = _MARGIN + _FRAME + column * (_BOX_WIDTH + _GAP)
        places[position] = _Place(x, top + _FRAME + 8 + row * (_BOX_HEIGHT + _GAP), column)
    return 2 * _FRAME + 8 + rows * _BOX_HEIGHT + (rows - 1) * _GAP


def _group_of(plan: Plan | None, position: int) -> Plan | None:
    """Return the group that uses a device; the plan itself if none does."""
    groups = () if plan is None else plan.groups
    return next((group for group in groups if _shards(group, position)), plan)


def _shards(plan: Plan | None, position: int) -> list[Shard]:
    return [] if plan is None else [shard for shard in plan.shards if shard.device.index == position]


def _box(device: Device, place: _Place, whole: Plan | None, position: int) -> Iterator[str]:
    """Yield a device's box: memory use, group, replica, name and layers."""
    plan = _group_of(whole, position)
    shards = _shards(plan, position)
    held = sum(shard.memory_bytes for shard in shards)
    memory = device.memory_bytes
    share = min(held / memory, 1.0) if memory else float(held > 0)
    style = "over" if memory is not None and held > memory else "used"
    yield f'<g class="{"device" if device.available else "device off"}">'
    yield _rect("box", place.x, place.y, _BOX_WIDTH, _BOX_HEIGHT)
    if share:
        yield _rect(style, place.x, place.y, round(share * _BOX_WIDTH, 1), _BOX_HEIGHT)
    number = "" if device.device_id is None else f" {device.device_id}"
    yield _text(place.x + 10, place.y + 20, f"{device.kind}{number}")
    if part := _part(whole, plan, shards):
        yield _text(place.x + _BOX_WIDTH - 10, place.y + 20, part, "quiet end")
    yield _text(place.x + 10, place.y + 38, _cut(device.name or "", 27), "quiet")
    size = "memory unknown" if memory is None else format_bytes(memory)
    yield _text(place.x + 10, place.y + 60, f"{format_bytes(held)} of {size}" if held else size)
    yield _text(place.x + 10, place.y + 80, _layers(plan, shards), "quiet")
    yield "</g>"


def _part(whole: Plan | None, plan: Plan | None, shards: Sequence[Shard]) -> str:
    """Return the group or replica of a device, as far as there are several: `replica 2.0` of group 2."""
    if whole is None or plan is None or not shards:
        return ""
    group = f"{whole.groups.index(plan) + 1}" if whole.further else ""
    if plan.strategy.data_parallel == 1:
        return f"group {group}" if group else ""
    return f"replica {group}{'.' if group else ''}{_replica(plan, shards[0])}"


def _layers(plan: Plan | None, shards: Sequence[Shard]) -> str:
    if plan is None or not shards:
        return ""
    if plan.strategy.kind == "none":
        return "all layers"
    first, last = shards[0].layer_range[0], shards[-1].layer_range[1]
    if (first, last) == (0, 0):
        return "a slice of all layers" if len(shards) == 1 else f"{len(shards)} slices of all layers"
    degree = plan.strategy.tensor_parallel
    part = f"{len(shards)}/{degree} of " if degree > 1 and len(shards) < degree else ""
    return f"{part}layers {first} to {last}"


def _replica(plan: Plan, shard: Shard) -> int:
    """Return the replica of a shard; shards are ordered by replica."""
    strategy = plan.strategy
    return shard.shard_id // (strategy.tensor_parallel * strategy.pipeline_parallel)


def _links(inventory: Inventory, places: dict[int, _Place]) -> Iterator[str]:
    """Yield lines for links without a switch; host links only if there are no others."""
    links = [link for link in inventory.links if link.a in places and link.b in places and not link.switched]
    fast = [link for link in links if link.bandwidth_gbs is not None]
    drawn = fast or links
    if len(drawn) <= _MOST_LINES:
        yield from (_line(link, places, slow=not fast) for link in drawn)


def _line(link: Link, places: dict[int, _Place], *, slow: bool) -> str:
    """Return a path: straight between neighbours and rows, an arc over the boxes in between."""
    a, b = sorted((places[link.a], places[link.b]), key=lambda place: (place.y, place.x))
    apart = abs(b.column - a.column)
    if a.y != b.y:
        shift = 12 * (b.column - a.column)
        x1, x2 = a.x + _BOX_WIDTH / 2 + shift, b.x + _BOX_WIDTH / 2 - shift
        way = f"M{x1:g} {a.y + _BOX_HEIGHT:g} L{x2:g} {b.y:g}"
    elif apart == 1:
        way = f"M{a.x + _BOX_WIDTH:g} {a.y + _BOX_HEIGHT / 2:g} H{b.x:g}"
    else:
        x1, x2 = a.x + _BOX_WIDTH - 16 * apart, b.x + 16 * apart
        way = f"M{x1:g} {a.y:g} Q{(x1 + x2) / 2:g} {a.y - 13 * apart:g} {x2:g} {b.y:g}"
    return f'<path class="{"link slow" if slow else "link"}" d="{way}"/>'


def _below(inventory: Inventory, drawn: int) -> Iterator[str]:
    for link in inventory.interconnects:
        yield f"interconnect: {link.kind}, {link.bandwidth_gbps:g} GB/s"
    if len(inventory.devices) > drawn:
        yield f"and {len(inventory.devices) - drawn} more devices"


def _rect(style: str, x: float, y: float, width: float, height: float) -> str:
    return f'<rect class="{style}" x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="6"/>'


def _text(x: float, y: float, text: str, style: str = "ink") -> str:
    return f'<text class="{style}" x="{x:g}" y="{y:g}">{escape(printable(text))}</text>'


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
