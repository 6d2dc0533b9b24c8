"""Several machines as one inventory: each a node, what joins its devices, and the network between nodes."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Sequence

from engine.errors import RequestError
from engine.inventory.fabric import usual
from engine.inventory.products import Hardware
from engine.inventory.types import HOST, Device, Imported, Interconnect, Inventory, Link
from engine.records import replace

_MOST_LINKED = 128
"""Devices of one machine whose links are written pair by pair where it only says what joins all of them;
there are as many as half the square of that."""


def join(
    machines: Sequence[tuple[str, Inventory]], hardware: Hardware, network: Interconnect | None = None
) -> Imported:
    """The inventory of machines, by the names that nodes get.

    Devices of a machine that has nodes already keep theirs. Numbers go on from one machine to the next.

    Args:
        machines: names and inventories.
        hardware: what is known of products and links.
        network: what joins the nodes; what is usual for the product where it isn't said.

    Raises:
        RequestError: two nodes have one name, or there is only one.
    """
    notes: list[str] = []
    devices: list[Device] = []
    links: list[Link] = []
    starts = []
    for name, machine in machines:
        starts.append(len(devices))
        taken = {device.node for device in devices}
        numbers = Counter(device.kind for device in devices)
        for device in machine.devices:
            node = device.node or name
            if node in taken:
                raise RequestError(f"two nodes are named '{node}'", hint="write NAME=FILE to name them")
            devices.append(replace(device, node=node, device_id=numbers[device.kind]))
            numbers[device.kind] += 1
    if len({device.node for device in devices}) < 2:
        raise RequestError("one machine alone is no several nodes", hint="name two or more")
    joined = [network] if network is not None else list(_usual(devices, hardware, notes))
    for start, (name, machine) in zip(starts, machines, strict=True):
        own = machine.links or tuple(_pairs(machine, hardware, name, joined, notes))
        links += [replace(link, a=link.a + start, b=link.b + start) for link in own]
    return Imported(Inventory(tuple(devices), tuple(joined), links=tuple(links)), tuple(dict.fromkeys(notes)))


def _pairs(
    machine: Inventory, hardware: Hardware, name: str, network: Sequence[Interconnect], notes: list[str]
) -> Iterator[Link]:
    """Links between all accelerators of a machine that says only what joins all of them."""
    nodes = {device.node for device in machine.devices}
    accelerators = [number for number, device in enumerate(machine.devices) if device.kind != HOST]
    for each in machine.interconnects:
        if each in network:
            continue
        if len(nodes) > 1:
            notes.append(f"{each.kind} between the nodes of {name} is not kept: one network joins all nodes")
            continue
        if len(accelerators) > _MOST_LINKED:
            notes.append(f"{each.kind} inside {name} is not kept: more than {_MOST_LINKED} devices")
            continue
        rows = {
            kind: row
            for kind, row in hardware.links.rows.items()
            if each.kind in (row["interconnect"], row["switched_as"])
        }
        if not rows:
            notes.append(f"{each.kind} inside {name} is not kept: it is no link between pairs")
        for kind, row in rows.items():
            pairs = itertools.combinations(accelerators, 2) if row["peer_to_peer"] else ()
            for a, b in pairs:
                yield Link(a, b, kind, None, each.bandwidth_gbps, row["switched_as"] == each.kind)


def _usual(devices: Sequence[Device], hardware: Hardware, notes: list[str]) -> Iterator[Interconnect]:
    """The network that is usual for the product, where all accelerators are one."""
    accelerators = [device for device in devices if device.kind != HOST]
    products = {hardware.products.loose(device.name or "") for device in accelerators}
    row = hardware.product(accelerators[0].name) if len(products) == 1 else None
    if row is None:
        notes.append("what joins the nodes is not known: --network says it")
        return
    yield from usual(row, len(accelerators), len({device.node for device in accelerators}), notes)
