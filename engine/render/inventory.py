"""An inventory for people: its devices as a table, and what joins them as a matrix."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence

import yaml

from engine.inventory import Inventory
from engine.inventory.writer import to_document
from engine.quantities import format_bytes


def text(inventory: Inventory) -> str:
    """The devices, the interconnects that policies read, and the links of each pair."""
    lines = _table(inventory)
    for link in inventory.interconnects:
        lines.append(f"{link.kind} joins them, {link.bandwidth_gbps:g} GB/s")
    if inventory.links:
        lines += _matrices(inventory)
    return "\n".join(lines) + "\n"


def _table(inventory: Inventory) -> list[str]:
    rows = [("#", "device", "product", "memory", "free", "NUMA", "node")]
    for position, device in enumerate(inventory.devices):
        rows.append(
            (
                str(position),
                f"{device.kind} {device.device_id}" if device.device_id is not None else device.kind,
                device.name or "",
                "unknown" if device.memory_bytes is None else format_bytes(device.memory_bytes),
                "" if device.free_bytes is None else format_bytes(device.free_bytes),
                "" if device.numa_node is None else str(device.numa_node),
                device.node or "",
            )
        )
    kept = [column for column in range(7) if any(row[column] for row in rows[1:])] or [0, 1]
    widths = {column: max(len(row[column]) for row in rows) for column in kept}
    return ["  ".join(f"{row[column]:{widths[column]}}" for column in kept).rstrip() for row in rows]


def _matrices(inventory: Inventory) -> Iterator[str]:
    """One matrix a node, where no link is from one node to another."""
    nodes: dict[str | None, list[int]] = {}
    for position, device in enumerate(inventory.devices):
        nodes.setdefault(device.node, []).append(position)
    places = {position: node for node, positions in nodes.items() for position in positions}
    if len(nodes) < 2 or any(places[link.a] != places[link.b] for link in inventory.links):
        yield ""
        yield from _matrix(inventory, range(len(inventory.devices)))
        return
    for node, positions in nodes.items():
        yield ""
        yield f"{node or 'without a node'}:"
        yield from _matrix(inventory, positions)


def _matrix(inventory: Inventory, positions: Sequence[int]) -> Iterator[str]:
    """Who is joined to whom by what: NV18 for 18 NVLinks, · for nothing that is known."""
    cells = {(a, b): "X" if a == b else "·" for a in positions for b in positions}
    for link in inventory.links:
        short = "NV" if link.kind == "NVLink" else link.kind
        cell = f"{short}{link.count}" if link.count is not None and link.count > 1 else short
        if (link.a, link.b) in cells:
            cells[link.a, link.b] = cells[link.b, link.a] = cell
    width = max(len(word) for word in (*cells.values(), str(max(positions, default=0))))
    yield (" " * 5 + " ".join(f"{position:>{width}}" for position in positions)).rstrip()
    for a in positions:
        yield f"{a:>4} " + " ".join(f"{cells[a, b]:>{width}}" for b in positions)


def as_json(inventory: Inventory) -> str:
    """One JSON document, which `--inventory` reads again."""
    return json.dumps(to_document(inventory), indent=2, ensure_ascii=False) + "\n"


def as_yaml(inventory: Inventory) -> str:
    """One YAML document, which `--inventory` reads again."""
    text: str = yaml.safe_dump(to_document(inventory), sort_keys=False, allow_unicode=True, width=110)
    return text


def headline(inventory: Inventory) -> str:
    """Which devices there are, in a few words: `8 × CudaGpu, 1 × Cpu`."""
    kinds = Counter(device.kind for device in inventory.devices)
    return ", ".join(f"{count} × {kind}" for kind, count in kinds.items()) or "No devices"
