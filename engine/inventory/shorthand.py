"""Shorthand for machines: `8xH100-SXM`, `2x8xH200-SXM` (nodes x devices), `2xp5.48xlarge`, `v5p-8`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise

from engine.base.errors import RequestError
from engine.base.records import replace
from engine.inventory.assemble import usable_memory
from engine.inventory.fabric import usual_interconnects
from engine.inventory.inventory import Attribute, Device, Imported, Interconnect, Inventory
from engine.inventory.products import Hardware, Row, attributes
from engine.inventory.spoken import is_spoken, parts_of, shared_memory, written

_PART = re.compile(r"\s*(?:(?P<nodes>\d+) ?[x×] ?)?(?:(?P<count>\d+) ?[x×] ?)?(?P<name>\w[\w. -]*?)\s*\Z")
_SLICE = re.compile(r"\s*(?:tpu[- ]?)?(?P<name>v\d+[a-z]*|v5litepod|\dx)-(?P<cores>\d+)\s*\Z", re.IGNORECASE)
_MACHINE = r"(?:\d+ ?[x×] ?){1,2}\w[\w. -]*|[A-Za-z][\w.-]*"
"""With a count, a name may have spaces or begin with a digit: `2x GeForce RTX 3090`."""
_SHORTHAND = re.compile(rf"\s*(?:{_MACHINE})(?:\+\s*(?:{_MACHINE}))*\Z")

MOST_DEVICES = 100_000


def is_shorthand(text: str) -> bool:
    """Test whether a text has the form of a shorthand; the name of a file may have it, too."""
    return _SHORTHAND.match(text) is not None or is_spoken(text)


def read_shorthand(text: str, hardware: Hardware) -> Imported:
    """Return the inventory that a shorthand describes.

    Raises:
        RequestError: a product is unknown, a word has several meanings, or a count is out of range.
    """
    devices: list[Device] = []
    interconnects: dict[str, Interconnect] = {}
    notes: list[str] = []
    ends: list[int] = []
    for part in parts_of(text):
        for link in _part(written(part, hardware), hardware, devices, notes):
            known = interconnects.setdefault(link.kind, link)
            if link.bandwidth_gbps < known.bandwidth_gbps:
                interconnects[link.kind] = link
        ends.append(len(devices))
    devices = _on_own_nodes(devices, ends)
    return Imported(Inventory(tuple(devices), tuple(interconnects.values()), name=text), tuple(notes))


def _on_own_nodes(devices: list[Device], ends: list[int]) -> list[Device]:
    """Number the nodes through all parts: where one part is several machines, no other part is within them.

    Args:
        devices: those of all parts, whose nodes are numbered from 0 in each part.
        ends: where the devices of each part end.
    """
    if all(device.node is None for device in devices):
        return devices
    names: dict[tuple[int, str | None], str] = {}
    return [
        replace(device, node=names.setdefault((first, device.node), f"node{len(names)}"))
        for first, end in pairwise([0, *ends])
        for device in devices[first:end]
    ]


def _part(part: str, hardware: Hardware, devices: list[Device], notes: list[str]) -> Iterator[Interconnect]:
    slice_ = _SLICE.match(part)
    if slice_ is not None:
        name = slice_["name"].lower()
        row = _row(f"v{name}" if name[0].isdigit() else name, part, hardware)
        cores, per_chip = int(slice_["cores"]), row["cores_per_chip"] or 1
        if cores == 0 or cores % per_chip:
            raise RequestError(f"{part}: expected a multiple of {per_chip} cores, at least {per_chip}")
        devices.append(_device(row, part, devices, None, chips=cores // per_chip))
        return
    match = _PART.match(part)
    assert match is not None
    nodes, count = match["nodes"], match["count"]
    if count is None:
        nodes, count = None, nodes
    name, memory = match["name"], None
    instance = hardware.instance(name.replace(" ", "-"))
    if instance is not None and instance.get("meanings"):
        raise RequestError(
            f"{part}: '{name}' has several meanings", hint=f"write {' or '.join(instance['meanings'])}"
        )
    if instance is not None and instance["devices"] is not None:
        machines = int(nodes or 1) * int(count or 1)
        yield from _instances(instance, name, part, machines, hardware, devices, notes)
        return
    if hardware.product(name) is None:
        name, memory = shared_memory(name, hardware)
    row = _row(name, part, hardware)
    per_node, machines = int(count or 1), int(nodes or 1)
    if not 0 < per_node * machines <= MOST_DEVICES - len(devices):
        raise RequestError(f"{part}: expected 1 to {MOST_DEVICES} devices")
    if row["per_node"] and per_node > row["per_node"] and row["inter_node"] != row["fabric"]:
        notes.append(
            f"a machine usually has {row['per_node']} × {name}, not {per_node}; "
            f"several are written {-(-per_node // row['per_node'])}x{row['per_node']}x{name}"
        )
    for machine in range(machines):
        node = f"node{machine}" if machines > 1 else None
        for device in _numbered(row, name, devices, node, per_node):
            usable = device.memory_bytes if memory is None else usable_memory(memory, row, notes)
            devices.append(replace(device, memory_bytes=usable))
    yield from usual_interconnects(row, per_node * machines, machines, notes)


def _instances(
    instance: Row,
    name: str,
    part: str,
    machines: int,
    hardware: Hardware,
    devices: list[Device],
    notes: list[str],
) -> Iterator[Interconnect]:
    """Yield the interconnects of machines of a cloud, by catalog instances; add their devices."""
    product, per_node = instance["product"], int(instance["devices"])
    if instance.get("machines") is not None:
        if machines > 1:
            raise RequestError(f"{part}: the network between racks is unknown", hint="join one file a rack")
        machines = int(instance["machines"])
    row = (
        hardware.products.rows[product]
        if product in hardware.products.rows
        else _row(product, part, hardware)
    )
    if not 0 < per_node * machines <= MOST_DEVICES - len(devices):
        raise RequestError(f"{part}: expected 1 to {MOST_DEVICES} devices")
    for machine in range(machines):
        node = f"node{machine}" if machines > 1 else None
        devices.extend(_numbered(row, product, devices, node, per_node))
    each = "" if instance.get("machines") is None else f"{machines} machines with "
    notes.append(f"{name} has {each}{per_node} × {product}")
    if machines > 1 and instance["network"] is not None:
        yield Interconnect(instance["network"], float(instance["network_gbs"]))
    elif machines > 1 and instance["devices"] is not None and row["inter_node"] != row["fabric"]:
        notes.append(f"unknown network between machines of type {name}; no interconnect is recorded")
    else:
        yield from usual_interconnects(row, per_node * machines, machines, notes)


def _numbered(row: Row, name: str, devices: list[Device], node: str | None, count: int) -> Iterator[Device]:
    first = sum(device.kind == row["kind"] for device in devices)
    for number in range(first, first + count):
        yield _new_device(row, name, number, node, {})


def _device(row: Row, name: str, devices: list[Device], node: str | None, *, chips: int) -> Device:
    number = sum(device.kind == row["kind"] for device in devices)
    return _new_device(row, name, number, node, {"chip_count": chips}, chips)


def _new_device(
    row: Row, name: str, number: int, node: str | None, extra: dict[str, Attribute], chips: int = 1
) -> Device:
    memory = row["memory_mib"]
    return Device(
        kind=row["kind"],
        memory_bytes=None if memory is None else memory * 2**20 * chips,
        device_id=number,
        name=name,
        node=node,
        attributes={**attributes(row), **extra},
    )


def _row(name: str, part: str, hardware: Hardware) -> Row:
    row = hardware.product(name)
    if row is None:
        raise RequestError(f"{part}: unknown product '{name}'", hint=hardware.unknown_product_hint(name))
    return row
