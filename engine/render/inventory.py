"""An inventory as text, JSON or YAML: a table of devices and a matrix of links."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence

from engine.base.printable import cleaned, finished
from engine.base.quantities import format_bytes
from engine.documents.yaml_writer import dump
from engine.inventory import Inventory
from engine.inventory.writer import to_document


def text(inventory: Inventory) -> str:
    """Return the devices, the interconnects that policies read, and the links between pairs."""
    inventory = cleaned(inventory)
    lines = _table(inventory)
    for link in inventory.interconnects:
        lines.append(f"interconnect: {link.kind}, {link.bandwidth_gbps:g} GB/s")
    if inventory.links:
        lines += _matrices(inventory)
    return finished("\n".join(lines) + "\n")


def _table(inventory: Inventory) -> list[str]:
    rows = [("#", "device", "product", "memory", "free", "NUMA", "node", "state")]
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
                "" if device.available else "not available",
            )
        )
    kept = [column for column in range(len(rows[0])) if any(row[column] for row in rows[1:])] or [0, 1]
    widths = {column: max(len(row[column]) for row in rows) for column in kept}
    return ["  ".join(f"{row[column]:{widths[column]}}" for column in kept).rstrip() for row in rows]


def _matrices(inventory: Inventory) -> Iterator[str]:
    """Yield one matrix per node, or a single one if links cross nodes."""
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
        yield f"{node or 'no node'}:"
        yield from _matrix(inventory, positions)


def _matrix(inventory: Inventory, positions: Sequence[int]) -> Iterator[str]:
    """Yield the matrix of links between devices: NV18 for 18 NVLinks, · for no known link."""
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
    """Return a JSON document that `--inventory` accepts."""
    return json.dumps(to_document(inventory, for_programs=True), indent=2, ensure_ascii=False) + "\n"


def as_yaml(inventory: Inventory) -> str:
    """Return a YAML document that `--inventory` accepts."""
    return dump(to_document(inventory), width=110)


def headline(inventory: Inventory) -> str:
    """Return a summary of the devices: `8 × CudaGpu, 1 × Cpu`."""
    kinds = Counter(device.kind for device in inventory.devices)
    return ", ".join(f"{count} × {kind}" for kind, count in kinds.items()) or "No devices"
