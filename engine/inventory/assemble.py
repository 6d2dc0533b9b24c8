"""From what tools say to an inventory: names looked up, links with their rates, what policies read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from engine.errors import RequestError, quote
from engine.inventory.capture import Seen, SeenDevice, SeenLink
from engine.inventory.products import Hardware, Row, attributes
from engine.inventory.types import HOST, Attribute, Device, Imported, Interconnect, Inventory, Link


def assemble(seen: Seen, hardware: Hardware) -> Imported:
    """The inventory of what was seen.

    Raises:
        RequestError: nothing says what kind of devices they are.
    """
    notes = list(seen.notes)
    numbers = sorted(seen.devices)
    devices = tuple(_device(seen, seen.devices[number], hardware, notes) for number in numbers)
    positions = {number: position for position, number in enumerate(numbers)}
    rows = [hardware.product(device.name) for device in devices]
    links = tuple(_links(seen.links, positions, rows, hardware, notes))
    interconnects = tuple(derived(len(devices), links, hardware, notes))
    return Imported(Inventory(devices, interconnects, links=links), tuple(dict.fromkeys(notes)))


def _device(seen: Seen, device: SeenDevice, hardware: Hardware, notes: list[str]) -> Device:
    name = device.name
    if name is not None and name.endswith("..."):
        name = hardware.cut(name, device.memory_bytes) or name
        if name != device.name:
            notes.append(f"'{device.name}' is cut off: by its memory it is taken for {name}")
    row = hardware.product(name)
    kind = row["kind"] if row is not None else seen.kind
    if kind is None:
        raise RequestError(
            f"device {device.number}: unknown product {quote(name)}",
            hint=hardware.products.nearest(name or "") or "the catalog `products` lists them",
        )
    memory = device.memory_bytes
    if memory is None and row is not None and row["memory_mib"] is not None:
        memory = row["memory_mib"] * 2**20
        notes.append(f"the memory of '{name}' is that of the catalog")
    if row is not None and row["shared_memory"]:
        notes.append(f"'{name}' has no memory of its own: it shares the machine's")
    if name is not None and row is None:
        notes.append(f"'{name}' is not in the catalog of products")
    return Device(
        kind=kind,
        memory_bytes=memory,
        device_id=None if kind == HOST else device.number,
        name=name,
        numa_node=device.numa_node,
        driver_version=device.driver_version,
        free_bytes=device.free_bytes,
        attributes=attributes(row) | _counted(device, row),
    )


def _counted(device: SeenDevice, row: Row | None) -> dict[str, Attribute]:
    """The number of cores that its tool told."""
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
            notes.append(f"'{link.code}' between {link.a} and {link.b} is no known link")
            continue
        a, b = positions[link.a], positions[link.b]
        row = hardware.links.rows[kind]
        count = link.count if row["peer_to_peer"] else None
        rate = _rate(rows[a], row, link.code, notes) if count is not None else None
        switched = _is_switched(link, row, rows[a], len(rows))
        yield Link(a, b, kind, count, None if rate is None or count is None else rate * count, switched)


def _rate(product: Row | None, link: Row, code: str, notes: list[str]) -> float | None:
    """GB/s of one link, of the product where it is known."""
    if product is not None and product["gbs_per_link"] is not None:
        return float(product["gbs_per_link"])
    if link["gbs_per_link"] is not None:
        notes.append(
            f"{link['gbs_per_link']} GB/s are assumed for each {code} link, since the product isn't known"
        )
        return float(link["gbs_per_link"])
    return None


def _is_switched(link: SeenLink, row: Row, product: Row | None, devices: int) -> bool:
    """A device that has too few links to reach every other one with so many has a switch behind them."""
    if not row["peer_to_peer"] or link.count is None:
        return False
    has = (
        product["fabric_links"]
        if product is not None and product["fabric_links"] is not None
        else row["most_links"]
    )
    return has is not None and link.count * (devices - 1) > has


def derived(
    devices: int, links: tuple[Link, ...], hardware: Hardware, notes: list[str]
) -> Iterator[Interconnect]:
    """What joins every pair: a fabric counts only where it does, at the rate of its slowest pair."""
    pairs = devices * (devices - 1) // 2
    fabrics = dict.fromkeys(link.kind for link in links if hardware.links.rows[link.kind]["peer_to_peer"])
    for kind in fabrics:
        own = [link for link in links if link.kind == kind]
        rates = [link.bandwidth_gbs for link in own if link.bandwidth_gbs is not None]
        if len(own) < pairs:
            notes.append(
                f"{kind} joins {len(own)} of {pairs} pairs: it is not counted as joining all devices"
            )
        elif rates:
            row = hardware.links.rows[kind]
            switched = row["switched_as"] if all(link.switched for link in own) else None
            yield Interconnect(switched or row["interconnect"], min(rates))
