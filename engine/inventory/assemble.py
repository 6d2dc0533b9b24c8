"""Inventory from what tools report: looks up names in the catalogs, rates links, derives interconnects."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from engine.base.errors import RequestError, quote
from engine.base.quantities import format_bytes
from engine.base.records import replace
from engine.inventory.fabric import usual_interconnects
from engine.inventory.inventory import HOST, Attribute, Device, Imported, Interconnect, Inventory, Link
from engine.inventory.products import Hardware, Row, attributes
from engine.inventory.seen import Seen, SeenDevice, SeenLink


def assemble_all(parts: Sequence[Seen], hardware: Hardware) -> Imported:
    """Return the inventory of a machine whose devices of each kind were seen apart.

    Raises:
        RequestError: the kind of a device is unknown.
    """
    assembled = [assemble(part, hardware) for part in parts if part.devices]
    if len(assembled) == 1:
        return assembled[0]
    devices = [device for part in assembled for device in part.inventory.devices]
    fabrics = [fabric for part in assembled for fabric in part.inventory.interconnects]
    notes = [note for part in assembled for note in part.notes]
    numbering = next((part.inventory.numbering for part in assembled if part.inventory.numbering), None)
    links = shifted_links(assembled)
    return Imported(
        Inventory(tuple(devices), tuple(fabrics), links=links, numbering=numbering),
        tuple(dict.fromkeys(notes)),
    )


def shifted_links(parts: Sequence[Imported]) -> tuple[Link, ...]:
    """Return the links of all parts, by positions among all devices."""
    links: list[Link] = []
    first = 0
    for part in parts:
        links += [replace(link, a=link.a + first, b=link.b + first) for link in part.inventory.links]
        first += len(part.inventory.devices)
    return tuple(links)


def assemble(seen: Seen, hardware: Hardware) -> Imported:
    """Return the inventory of what was seen, with notes on what was assumed.

    Raises:
        RequestError: the kind of a device is unknown.
    """
    notes = list(seen.notes)
    _name_linked(seen, hardware, notes)
    numbers = sorted(seen.devices)
    devices = [_device(seen, seen.devices[number], hardware, notes) for number in numbers]
    positions = {number: position for position, number in enumerate(numbers)}
    rows = [hardware.product(device.name) for device in devices]
    links = tuple(_links(seen.links, positions, rows, hardware, notes))
    interconnects = tuple(derive_interconnects(len(devices), links, hardware, notes))
    if seen.usual and not links:
        interconnects = tuple(_usual(devices, hardware, notes))
    wholes = dict(zip(numbers, devices, strict=True))
    devices += _partitions(seen, wholes, notes)
    numbering = (
        seen.numbering if len({(device.name, device.memory_bytes) for device in devices}) > 1 else None
    )
    return Imported(
        Inventory(tuple(devices), interconnects, links=links, numbering=numbering),
        tuple(dict.fromkeys(notes)),
    )


def _usual(devices: Sequence[Device], hardware: Hardware, notes: list[str]) -> Iterator[Interconnect]:
    """Yield the interconnect that is usual for the product, if all available devices are of one."""
    usable = [device for device in devices if device.available]
    names = {device.name for device in usable}
    row = hardware.product(usable[0].name) if len(names) == 1 else None
    for fabric in usual_interconnects(row, len(usable), len({device.node for device in usable}), notes):
        notes.append(f"assuming {fabric.kind} at {fabric.bandwidth_gbps:g} GB/s, as usual for the product")
        yield fabric


def _name_linked(seen: Seen, hardware: Hardware, notes: list[str]) -> None:
    """Name devices of which only links are known like the device at the other end: fabrics join equals."""
    for link in seen.links:
        kind = hardware.links.exact(link.code)
        ends = [seen.devices.get(link.a), seen.devices.get(link.b)]
        if kind is None or not hardware.links.rows[kind]["peer_to_peer"]:
            continue
        for device, other in (ends, ends[::-1]):
            if device is None or other is None or device.name or device.memory_bytes or not other.name:
                continue
            device.name, device.memory_bytes = other.name, other.memory_bytes
            notes.append(
                f"device {device.number} is only known by its {kind} links; "
                f"assuming '{other.name}', like the device at the other end"
            )


def _partitions(seen: Seen, wholes: Mapping[int, Device], notes: list[str]) -> Iterator[Device]:
    """Yield partitions of devices.

    A process uses one partition, so at most one is available, and none beside whole devices.
    """
    free = not any(device.available for device in wholes.values())
    largest = max((part.memory_bytes or 0 for part in seen.partitions), default=0)
    first = max(wholes, default=-1) + 1
    for number, part in enumerate(seen.partitions, first):
        whole = wholes[part.number]
        available = free and (part.memory_bytes or 0) == largest and part.available is not False
        free = free and not available
        yield replace(
            whole,
            device_id=number,
            memory_bytes=part.memory_bytes,
            free_bytes=part.free_bytes,
            available=available,
            name=f"{whole.name or whole.kind} MIG {part.partition}",
            partition=part.partition,
            uuid=part.uuid,
        )
    if seen.partitions:
        notes.append(
            "partitions cannot be joined: a plan uses a single one, "
            "and only where no whole device is available"
        )


def _device(seen: Seen, device: SeenDevice, hardware: Hardware, notes: list[str]) -> Device:
    name = device.name
    if name is not None and name.endswith("..."):
        name = hardware.cut(name, device.memory_bytes) or name
        if name != device.name:
            notes.append(f"'{device.name}' is cut off; assuming {name}, by its memory")
    row = hardware.product(name)
    kind = row["kind"] if row is not None and not seen.portable else seen.kind
    if kind is None:
        raise RequestError(
            f"device {device.number}: unknown product {quote(name)}",
            hint=hardware.unknown_product_hint(name or ""),
        )
    memory, free = device.memory_bytes, device.free_bytes
    if memory is None and row is not None and row["memory_mib"] is not None:
        if seen.generic_names and hardware.is_family(name or ""):
            notes.append(f"'{name}' is sold with several sizes of memory; the text does not state it")
        else:
            memory = row["memory_mib"] * 2**20
            notes.append(f"memory of '{name}' taken from catalog products")
    if row is not None and row["shared_memory"]:
        notes.append(f"'{name}' has no dedicated memory; it shares system memory")
        if memory is None and row.get("whole_memory") and len(seen.devices) == 1:
            memory, free = seen.numa_memory.get("size"), seen.numa_memory.get("free")
        memory = usable_memory(memory, row, notes) if device.usable_bytes is None else device.usable_bytes
        free = None if row.get("share") is not None else free
    elif memory is None:
        memory = device.usable_bytes
    if name is not None and row is None:
        notes.append(f"'{name}' is not in catalog products")
    return Device(
        kind=kind,
        memory_bytes=memory,
        available=device.available is not False,
        device_id=None if kind == HOST else device.number,
        name=name,
        numa_node=device.numa_node,
        node=device.node,
        driver_version=device.driver_version,
        free_bytes=free,
        attributes=attributes(row) | _cores(device, row),
    )


def usable_memory(memory: int | None, row: Row, notes: list[str]) -> int | None:
    """Return the part of a shared memory that the device may use."""
    if memory is None or row.get("share") is None:
        return memory
    small = row["share_small_mib"] is not None and memory <= row["share_small_mib"] * 2**20
    usable = int(memory * (row["share_small"] if small else row["share"])) // 2**20 * 2**20
    notes.append(f"the GPU may use {format_bytes(usable)} of the machine's {format_bytes(memory)}")
    return usable


def _cores(device: SeenDevice, row: Row | None) -> dict[str, Attribute]:
    """Return the number of cores that the tool reported, by the field of the device's kind."""
    if device.core_count is None:
        return {}
    return {
        "core_count" if row is None or row["parts_field"] is None else row["parts_field"]: device.core_count
    }


def _links(
    seen: list[SeenLink],
    positions: Mapping[int, int],
    rows: list[Row | None],
    hardware: Hardware,
    notes: list[str],
) -> Iterator[Link]:
    for link in seen:
        kind = hardware.links.exact(link.code)
        if kind is None or link.a not in positions or link.b not in positions:
            notes.append(f"unknown link '{link.code}' between devices {link.a} and {link.b}; skipped")
            continue
        a, b = positions[link.a], positions[link.b]
        row = hardware.links.rows[kind]
        count = link.count if row["peer_to_peer"] else None
        product = rows[a] if rows[a] is not None else rows[b]
        rate = _rate(product, row, link.code, notes) if count is not None else None
        switched = _is_switched(link, row, product, len(rows))
        yield Link(a, b, kind, count, None if rate is None or count is None else rate * count, switched)


def _rate(product: Row | None, link: Row, code: str, notes: list[str]) -> float | None:
    """Return GB/s of one link in one direction: the product's if it is known, else the link type's."""
    if product is not None and product["gbs_per_link"] is not None:
        return float(product["gbs_per_link"])
    if link["gbs_per_link"] is not None:
        notes.append(f"unknown product; assuming {link['gbs_per_link']} GB/s per {code} link")
        return float(link["gbs_per_link"])
    return None


def _is_switched(link: SeenLink, row: Row, product: Row | None, devices: int) -> bool:
    """Test for a switch: the device has too few links to give every other device so many."""
    if not row["peer_to_peer"] or link.count is None:
        return False
    ports = (
        product["fabric_links"]
        if product is not None and product["fabric_links"] is not None
        else row["most_links"]
    )
    return ports is not None and link.count * (devices - 1) > ports


def derive_interconnects(
    devices: int, links: tuple[Link, ...], hardware: Hardware, notes: list[str]
) -> Iterator[Interconnect]:
    """Yield the fabrics that connect every pair of devices, each at the rate of its slowest pair."""
    pairs = devices * (devices - 1) // 2
    fabrics = dict.fromkeys(link.kind for link in links if hardware.links.rows[link.kind]["peer_to_peer"])
    for kind in fabrics:
        of_kind = [link for link in links if link.kind == kind]
        rates = [link.bandwidth_gbs for link in of_kind if link.bandwidth_gbs is not None]
        if len(of_kind) < pairs:
            notes.append(f"{kind} connects {len(of_kind)} of {pairs} pairs; not recorded as an interconnect")
        elif rates:
            row = hardware.links.rows[kind]
            switched = row["switched_as"] if all(link.switched for link in of_kind) else None
            yield Interconnect(switched or row["interconnect"], min(rates))
