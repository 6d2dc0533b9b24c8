"""Machines in a word: `8xH100-SXM`, `2x8xH200-SXM` (nodes x devices), `v5p-8`, `2xGaudi3+8xL40S`."""

from __future__ import annotations

import re
from collections.abc import Iterator

from engine.errors import RequestError
from engine.inventory.fabric import usual
from engine.inventory.products import Hardware, Row, attributes
from engine.inventory.types import Attribute, Device, Imported, Interconnect, Inventory

_PART = re.compile(r"(?:(?P<nodes>\d+)x)?(?:(?P<count>\d+)x)?(?P<name>[A-Za-z][\w.-]*)\Z")
_SLICE = re.compile(r"(?P<name>v\d+[a-z]*|v5litepod)-(?P<cores>\d+)\Z")
_SHORTHAND = re.compile(r"(?:\d+x)?(?:\d+x)?[A-Za-z][\w.-]*(?:\+(?:\d+x)?(?:\d+x)?[A-Za-z][\w.-]*)*\Z")

MOST_DEVICES = 100_000


def is_shorthand(text: str) -> bool:
    """Whether a text can be read as machines in a word; a file's name may look like one."""
    return _SHORTHAND.match(text) is not None


def read_shorthand(text: str, hardware: Hardware) -> Imported:
    """The inventory that a word means.

    Raises:
        RequestError: a product that isn't known, or a count that can't be.
    """
    devices: list[Device] = []
    joined: dict[str, Interconnect] = {}
    notes: list[str] = []
    for part in text.split("+"):
        for link in _part(part, hardware, devices, notes):
            joined.setdefault(link.kind, link)
    return Imported(Inventory(tuple(devices), tuple(joined.values()), name=text), tuple(notes))


def _part(part: str, hardware: Hardware, devices: list[Device], notes: list[str]) -> Iterator[Interconnect]:
    slice_ = _SLICE.match(part)
    if slice_ is not None:
        row = _row(slice_["name"], part, hardware)
        cores, per_chip = int(slice_["cores"]), row["cores_per_chip"] or 1
        if cores == 0 or cores % per_chip:
            raise RequestError(f"{part}: a slice has a multiple of {per_chip} cores, from {per_chip}")
        devices.append(_device(row, part, devices, None, chips=cores // per_chip))
        return
    match = _PART.match(part)
    assert match is not None
    nodes, count = match["nodes"], match["count"]
    if count is None:
        nodes, count = None, nodes
    row = _row(match["name"], part, hardware)
    many, machines = int(count or 1), int(nodes or 1)
    if not 0 < many * machines <= MOST_DEVICES - len(devices):
        raise RequestError(f"{part}: between 1 and {MOST_DEVICES} devices")
    for machine in range(machines):
        node = f"node{machine}" if machines > 1 else None
        devices.extend(_numbered(row, match["name"], devices, node, many))
    yield from usual(row, many * machines, machines, notes)


def _numbered(row: Row, name: str, devices: list[Device], node: str | None, count: int) -> Iterator[Device]:
    first = sum(device.kind == row["kind"] for device in devices)
    for number in range(first, first + count):
        yield _made(row, name, number, node, {})


def _device(row: Row, name: str, devices: list[Device], node: str | None, *, chips: int) -> Device:
    number = sum(device.kind == row["kind"] for device in devices)
    return _made(row, name, number, node, {"chip_count": chips}, chips)


def _made(
    row: Row, name: str, number: int, node: str | None, more: dict[str, Attribute], times: int = 1
) -> Device:
    memory = row["memory_mib"]
    return Device(
        kind=row["kind"],
        memory_bytes=None if memory is None else memory * 2**20 * times,
        device_id=number,
        name=name,
        node=node,
        attributes={**attributes(row), **more},
    )


def _row(name: str, part: str, hardware: Hardware) -> Row:
    row = hardware.product(name)
    if row is None:
        hint = hardware.products.nearest(name) or "the catalog `products` lists them"
        raise RequestError(f"{part}: unknown product '{name}'", hint=hint)
    return row
