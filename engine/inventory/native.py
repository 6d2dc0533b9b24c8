"""Inventories in decoded documents: the engine's own form (schemas/inventory.schema.json) and registries."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from engine.base.errors import Path, RequestError, path_text
from engine.base.jsontypes import Json
from engine.base.quantities import parse_bytes
from engine.documents import validate
from engine.inventory.inventory import Device, Interconnect, Inventory, Link

MOST_DEVICES = 100_000
"""Larger inventories are rejected, so that a typo does not fill the memory."""

_FIELDS = frozenset(
    [
        *("kind", "count", "device_id", "name", "memory", "memory_bytes", "available", "free_bytes"),
        *("numa_node", "node", "compute_capability", "driver_version", "partition", "uuid"),
    ]
)


def read_inventory(value: Json, path: Path = ()) -> Inventory:
    """Return the inventory in a decoded document: the engine's own form, or a registry (it has `profiles`).

    Args:
        value: the decoded document.
        path: of the inventory in its document, for errors.

    Raises:
        RequestError: what is wrong, with paths below `path`.
    """
    is_registry = isinstance(value, dict) and "profiles" in value
    problems = validate(value, "registry" if is_registry else "inventory")
    if problems or not isinstance(value, dict):
        raise RequestError([problem.under(path) for problem in problems])
    if is_registry:
        from engine.inventory.registry import read_registry  # deferred: start-up time

        return read_registry(value, path)
    return read_native(value, path)


def read_native(value: dict[str, Any], path: Path) -> Inventory:
    """Return the inventory in a document that satisfies the schema.

    Raises:
        RequestError: a size or rate is missing or unreadable, or a number is used twice.
    """
    devices: list[Device] = []
    _check_count(value["devices"], path)
    taken: dict[str, set[int]] = defaultdict(set)
    for position, entry in enumerate(value["devices"]):
        devices += _devices(entry, (*path, "devices", position), taken)
    interconnects = tuple(
        Interconnect(
            kind=entry["kind"],
            bandwidth_gbps=_rate(entry, (*path, "interconnects", position)),
            name=entry.get("name"),
            state=entry.get("state"),
            source=(*path, "interconnects", position),
        )
        for position, entry in enumerate(value.get("interconnects", []))
    )
    links = _links(value, len(devices), path)
    return Inventory(tuple(devices), interconnects, value.get("name"), links, value.get("numbering"))


def _links(value: dict[str, Any], devices: int, path: Path) -> tuple[Link, ...]:
    links = []
    for position, entry in enumerate(value.get("links", [])):
        for end in ("a", "b"):
            if entry[end] >= devices:
                message = f"{end}: no device at position {entry[end]}; there are {devices} devices"
                raise RequestError(message, path=(*path, "links", position, end))
        bandwidth = entry.get("bandwidth_gbs")
        links.append(
            Link(
                a=int(entry["a"]),
                b=int(entry["b"]),
                kind=entry["kind"],
                count=entry.get("count"),
                bandwidth_gbs=None if bandwidth is None else float(bandwidth),
                switched=entry.get("switched", False),
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
                f"two devices of kind {entry['kind']} have number {number}",
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
            attributes={key: element for key, element in entry.items() if key not in _FIELDS},
            source=path,
            free_bytes=free,
            partition=entry.get("partition"),
            uuid=entry.get("uuid"),
        )


def _memory(entry: dict[str, Any], path: Path) -> int | None:
    names = [name for name in ("memory", "memory_bytes") if name in entry]
    if len(names) != 1:
        message = "memory and memory_bytes both" if names else "a device without memory"
        hint = "keep one of them" if names else "write memory: 80GiB"
        raise RequestError(message, path=(*path, names[1]) if names else path, hint=hint)
    return _size(entry[names[0]], (*path, names[0]))


def _rate(entry: dict[str, Any], path: Path) -> float:
    """Return the bandwidth in GB/s: `bandwidth_gbs`, or `bandwidth_gbps`, which means the same."""
    rates = {name: float(entry[name]) for name in ("bandwidth_gbs", "bandwidth_gbps") if name in entry}
    if not rates:
        message = f"{path_text(path)} has no field 'bandwidth_gbs'"
        raise RequestError(message, path=path, hint="bandwidth in GB/s, one direction, per device")
    if len(set(rates.values())) > 1:
        message = "bandwidth_gbs and bandwidth_gbps differ; both are in GB/s"
        raise RequestError(message, path=(*path, "bandwidth_gbps"), hint="keep bandwidth_gbs")
    return next(iter(rates.values()))


def _size(size: int | float | str | None, path: Path) -> int | None:
    if not isinstance(size, str):
        return None if size is None else int(size)
    try:
        return parse_bytes(size)
    except ValueError as error:
        raise RequestError(str(error), path=path) from None
