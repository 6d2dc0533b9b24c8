"""One inventory of several machines: each becomes a node, joined by a network."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Sequence

from engine.base.errors import RequestError
from engine.base.records import replace
from engine.inventory.fabric import usual_interconnects
from engine.inventory.inventory import HOST, Device, Imported, Interconnect, Inventory, Link
from engine.inventory.products import Hardware

_MOST_LINKED = 128
"""Most devices of a machine whose interconnect is written out as links; pairs grow with the square."""


def join(
    machines: Sequence[tuple[str, Inventory]], hardware: Hardware, network: Interconnect | None = None
) -> Imported:
    """Return one inventory of several machines.

    Devices that already have a node keep it. Device numbers continue from one machine to the next.

    Args:
        machines: names of the nodes, and inventories.
        hardware: the catalogs of products and links.
        network: between the nodes; the one usual for the product if it is None.

    Raises:
        RequestError: two nodes have the same name, or there is only one node.
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
                raise RequestError(f"two nodes are named '{node}'", hint="name them: NAME=FILE")
            devices.append(replace(device, node=node, device_id=numbers[device.kind]))
            numbers[device.kind] += 1
    if len({device.node for device in devices}) < 2:
        raise RequestError("`inventory join` needs at least two machines", hint="name two or more")
    networks = [network] if network is not None else list(_usual_network(devices, hardware, notes))
    for start, (name, machine) in zip(starts, machines, strict=True):
        within = machine.links or tuple(_pairs(machine, hardware, name, networks, notes))
        links += [replace(link, a=link.a + start, b=link.b + start) for link in within]
    numbering = _numbering(machines, notes)
    joined = Inventory(tuple(devices), tuple(networks), links=tuple(links), numbering=numbering)
    return Imported(joined, tuple(dict.fromkeys(notes)))


def _numbering(machines: Sequence[tuple[str, Inventory]], notes: list[str]) -> str | None:
    """Return the order that numbers the devices of all machines; note what launch commands cannot express."""
    orders = {machine.numbering for _, machine in machines if machine.devices}
    for name, machine in machines:
        numbers: dict[str, list[int | None]] = {}
        for device in machine.devices:
            numbers.setdefault(device.kind, []).append(device.device_id)
        for kind, listed in numbers.items():
            if kind != HOST and listed != list(range(len(listed))):
                shown = ", ".join(map(str, listed[:8]))
                notes.append(f"{name} numbers its devices {shown}; a node's devices are numbered from 0")
        if len(orders) > 1 and machine.numbering is not None:
            notes.append(f"the devices of {name} are numbered in the runtime's order, {machine.numbering}")
    return orders.pop() if len(orders) == 1 else None


def _pairs(
    machine: Inventory, hardware: Hardware, name: str, network: Sequence[Interconnect], notes: list[str]
) -> Iterator[Link]:
    """Yield links between all accelerators of a machine that only has an interconnect."""
    nodes = {device.node for device in machine.devices}
    accelerators = [number for number, device in enumerate(machine.devices) if device.kind != HOST]
    for fabric in machine.interconnects:
        if fabric in network:
            continue
        if len(nodes) > 1:
            notes.append(
                f"{fabric.kind} between the nodes of {name} is dropped: one network connects all nodes"
            )
            continue
        if len(accelerators) > _MOST_LINKED:
            notes.append(f"{fabric.kind} inside {name} is dropped: more than {_MOST_LINKED} devices")
            continue
        rows = {
            kind: row
            for kind, row in hardware.links.rows.items()
            if fabric.kind in (row["interconnect"], row["switched_as"])
        }
        if not rows:
            notes.append(f"{fabric.kind} inside {name} is dropped: it is not a link between pairs")
        for kind, row in rows.items():
            pairs = itertools.combinations(accelerators, 2) if row["peer_to_peer"] else ()
            for a, b in pairs:
                yield Link(a, b, kind, None, fabric.bandwidth_gbps, row["switched_as"] == fabric.kind)


def _usual_network(devices: Sequence[Device], hardware: Hardware, notes: list[str]) -> Iterator[Interconnect]:
    """Yield the network that is usual for the product, if all accelerators are of one."""
    accelerators = [device for device in devices if device.kind != HOST]
    products = {hardware.entry(device.name or "") for device in accelerators}
    row = hardware.product(accelerators[0].name) if len(products) == 1 else None
    if row is None:
        notes.append("unknown network between the nodes; add --network")
        return
    yield from usual_interconnects(
        row, len(accelerators), len({device.node for device in accelerators}), notes
    )
