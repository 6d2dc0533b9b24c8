"""The engine's own inventories, as people write them (schemas/inventory.schema.json)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from engine.errors import Path, RequestError
from engine.inventory.types import Device, Interconnect, Inventory, Link
from engine.quantities import parse_bytes

MOST_DEVICES = 100_000
"""An inventory of more is refused, so that a slip of the pen does not fill the memory."""

_OWN_FIELDS = frozenset(
    [
        *("kind", "count", "device_id", "name", "memory", "memory_bytes", "available", "free_bytes"),
        *("numa_node", "node", "compute_capability", "driver_version"),
    ]
)


def read_native(value: dict[str, Any], path: Path) -> Inventory:
    """The inventory in a document that keeps to the schema.

    Raises:
        RequestError: a size that can't be read or is missing, a number given twice.
    """
    devices: list[Device] = []
    _check_count(value["devices"], path)
    taken: dict[str, set[int]] = defaultdict(set)
    for position, entry in enumerate(value["devices"]):
        devices += _devices(entry, (*path, "devices", position), taken)
    interconnects = tuple(
        Interconnect(
            kind=entry["kind"],
            bandwidth_gbps=float(entry["bandwidth_gbps"]),
            name=entry.get("name"),
            state=entry.get("state"),
            source=(*path, "interconnects", position),
        )
        for position, entry in enumerate(value.get("interconnects", []))
    )
    return Inventory(tuple(devices), interconnects, value.get("name"), _links(value, len(devices), path))


def _links(value: dict[str, Any], devices: int, path: Path) -> tuple[Link, ...]:
    links = []
    for position, entry in enumerate(value.get("links", [])):
        for end in ("a", "b"):
            if entry[end] >= devices:
                message = f"{end}: there are {devices} devices, none at {entry[end]}"
                raise RequestError(message, path=(*path, "links", position, end))
        bandwidth = entry.get("bandwidth_gbs")
        links.append(
            Link(
                int(entry["a"]),
                int(entry["b"]),
                entry["kind"],
                entry.get("count"),
                None if bandwidth is None else float(bandwidth),
                entry.get("switched", False),
            )
        )
    return tuple(links)


def _check_count(entries: list[dict[str, Any]], path: Path) -> None:
    total = 0
    for position, entry in enumerate(entries):
        total += int(entry.get("count", 1))
        if total > MOST_DEVICES:
            raise RequestError(f"more than {MOST_DEVICES} devices", path=(*path, "devices", position))


def _devices(entry: dict[str, Any], path: Path, taken: dict[str, set[int]]) -> Iterator[Device]:
    memory = _memory(entry, path)
    free = _size(entry.get("free_bytes"), (*path, "free_bytes"))
    first = entry.get("device_id")
    numbers = taken[entry["kind"]]
    if first is None:
        first = max(numbers, default=-1) + 1
    for number in range(int(first), int(first) + int(entry.get("count", 1))):
        if number in numbers:
            raise RequestError(
                f"two devices of kind {entry['kind']} have the number {number}",
                path=(*path, "device_id") if "device_id" in entry else path,
            )
        numbers.add(number)
        numa_node = entry.get("numa_node")
        yield Device(
            kind=entry["kind"],
            memory_bytes=memory,
            available=entry.get("available", True),
            device_id=number,
            name=entry.get("name"),
            numa_node=None if numa_node is None else int(numa_node),
            node=entry.get("node"),
            compute_capability=entry.get("compute_capability"),
            driver_version=entry.get("driver_version"),
            attributes={key: element for key, element in entry.items() if key not in _OWN_FIELDS},
            source=path,
            free_bytes=free,
        )


def _memory(entry: dict[str, Any], path: Path) -> int | None:
    given = [name for name in ("memory", "memory_bytes") if name in entry]
    if len(given) != 1:
        message = "memory and memory_bytes both" if given else "a device without memory"
        hint = "keep one of them" if given else "write memory: 80GiB"
        raise RequestError(message, path=(*path, given[1]) if given else path, hint=hint)
    return _size(entry[given[0]], (*path, given[0]))


def _size(size: int | float | str | None, path: Path) -> int | None:
    if not isinstance(size, str):
        return None if size is None else int(size)
    try:
        return parse_bytes(size)
    except ValueError as error:
        raise RequestError(str(error), path=path) from None
