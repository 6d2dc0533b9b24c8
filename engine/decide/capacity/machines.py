"""What sizing may choose from: machines that one can have any number of, or the devices of a fleet."""

from __future__ import annotations

import re
from collections.abc import Iterator

from engine.base.errors import RequestError
from engine.base.records import record, replace
from engine.catalogs.resolved import Catalogs
from engine.inventory import Inventory
from engine.inventory.inventory import Device
from engine.inventory.source import read_source, with_memory

_COUNTED = re.compile(r"(?:\d+x)?(?P<machine>(?:\d+x)?[A-Za-z][\w.-]*)\Z")


@record
class Machine:
    """Devices of one product, and how many such machines one can have."""

    name: str
    """As it was written: `8xH100-SXM`; for a fleet, its devices: `16 × H100-SXM`."""
    inventory: Inventory
    product: str | None
    """Entry of the catalog of products."""
    type: str | None = None
    """Entry of the catalog of instance types, if the machine is of one: `p5.48xlarge`."""
    countable: bool = True
    """One can have any number of them; False for the devices of a fleet."""
    notes: tuple[str, ...] = ()


def read_offers(text: str, catalogs: Catalogs, memory: int | None = None) -> list[Machine]:
    """Return the machines in `8xH100-SXM,4xL40S,p5.48xlarge`.

    Args:
        text: the machines, separated by commas; each is anything that names an inventory.
        catalogs: the catalogs of the policy that decides.
        memory: bytes per device, if a machine's name leaves them open.

    Raises:
        RequestError: an unknown product, a machine twice, an empty list.
        EngineError: a file can't be read, or its content is invalid.
    """
    machines: list[Machine] = []
    for word in filter(None, (part.strip() for part in text.split(","))):
        if any(machine.name == word for machine in machines):
            raise RequestError(f"{word} is offered twice", hint="list each machine once")
        source = read_source(word, catalogs.hardware)
        groups = list(_groups(with_memory(source.inventory, memory), catalogs))
        hardware = catalogs.hardware()
        match = _COUNTED.match(word)
        for number, (product, inventory, label) in enumerate(groups):
            name = word if len(groups) == 1 else f"{word}: {label}"
            type_ = None
            if match is not None and hardware.instance(match["machine"]) is not None:
                type_ = match["machine"]
            countable = len(groups) == 1 and not _is_cluster(source.inventory)
            notes = source.notes if number == 0 else ()
            machines.append(Machine(name, inventory, product, type_, countable, notes))
    if not machines:
        raise RequestError("no machine is offered", hint="list machines, e.g. 8xH100-SXM,4xL40S")
    return machines


def read_fleet(inventory: Inventory, catalogs: Catalogs, memory: int | None = None) -> list[Machine]:
    """Return the devices of a fleet, by product.

    Args:
        inventory: the devices.
        catalogs: the catalogs of the policy that decides.
        memory: bytes per device, if the inventory omits it.

    Raises:
        RequestError: no device is available.
    """
    machines = [
        Machine(label, part, product, countable=False)
        for product, part, label in _groups(with_memory(inventory, memory), catalogs)
    ]
    if not machines:
        raise RequestError("the fleet has no available device")
    return machines


def several(machine: Machine, count: int, catalogs: Catalogs) -> Machine | None:
    """Return so many machines as one, joined as a shorthand joins nodes; None if its name is no shorthand."""
    if not machine.countable or _COUNTED.match(machine.name) is None:
        return None
    name = f"{count}x{machine.name}"
    source = read_source(name, catalogs.hardware)
    sizes = [device.memory_bytes for device in machine.inventory.devices]
    inventory = with_memory(source.inventory, sizes[0])
    return replace(machine, name=name, inventory=inventory, notes=source.notes)


def _is_cluster(inventory: Inventory) -> bool:
    return len({device.node for device in inventory.devices}) > 1


def _groups(inventory: Inventory, catalogs: Catalogs) -> Iterator[tuple[str | None, Inventory, str]]:
    """Yield, for each product, its catalog entry, the inventory with only these devices, and a label."""
    hardware = catalogs.hardware()
    available = [device for device in inventory.devices if device.available]
    kinds = list(dict.fromkeys(map(_kind, available)))
    for kind in kinds:
        members = [device for device in available if _kind(device) == kind]
        name = members[0].name
        product = None if name is None else hardware.entry(name)
        part = inventory
        if len(kinds) > 1:
            devices = (
                replace(device, available=device.available and _kind(device) == kind)
                for device in inventory.devices
            )
            part = replace(inventory, devices=tuple(devices))
        yield product, part, f"{len(members)} × {product or name or members[0].kind}"


def _kind(device: Device) -> tuple[str, str | None, int | None]:
    return device.kind, device.name, device.memory_bytes
