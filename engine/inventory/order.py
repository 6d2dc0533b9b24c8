"""Order of devices that is independent of the order in which an inventory lists them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from engine.inventory.inventory import Device, Inventory

Label = tuple[str, bool, float]
"""Label of an edge, which sorts: kind, whether the bandwidth is unknown, GB/s."""
Neighbours = Mapping[int, Sequence[tuple[Label, int]]]
"""Labels of edges and the vertices at their far ends, by vertex."""


def device_ranks(inventory: Inventory) -> list[int]:
    """Return a rank for each device; devices that differ only in position share one.

    Devices differ by their fields and by their links to devices that differ. This is colour refinement
    (1-dimensional Weisfeiler-Leman): devices in symmetrical places share a rank, as do those of regular
    graphs.
    """
    numbers: dict[str, int] = {key: at for at, key in enumerate(sorted({_key(d) for d in inventory.devices}))}
    ranks = [numbers[_key(device)] for device in inventory.devices]
    neighbours: dict[int, list[tuple[Label, int]]] = {}
    for link in inventory.links:
        label = (link.kind, link.bandwidth_gbs is None, link.bandwidth_gbs or 0.0)
        neighbours.setdefault(link.a, []).append((label, link.b))
        neighbours.setdefault(link.b, []).append((label, link.a))
    refined = refine(dict(enumerate(ranks)), neighbours)
    return [refined[at] for at in range(len(ranks))]


def refine(colours: Mapping[int, int], neighbours: Neighbours) -> dict[int, int]:
    """Return the colours after splitting each by its neighbours' colours until nothing changes.

    The order of the colours is kept; neighbours without a colour are ignored.
    """
    current = dict(colours)
    count = len(set(current.values()))
    while count < len(current):
        seen: dict[int, tuple[int, list[tuple[Label, int]]]] = {
            vertex: (
                colour,
                sorted(
                    (label, current[other]) for label, other in neighbours.get(vertex, ()) if other in current
                ),
            )
            for vertex, colour in current.items()
        }
        different = {(colour, tuple(others)) for colour, others in seen.values()}
        numbers = {key: at for at, key in enumerate(sorted(different))}
        current = {vertex: numbers[colour, tuple(others)] for vertex, (colour, others) in seen.items()}
        if len(numbers) == count:
            break
        count = len(numbers)
    return current


def _key(device: Device) -> str:
    """Return the fields of a device without its number and position."""
    return repr(
        (
            *(
                device.node or "",
                device.numa_node is None,
                device.numa_node or 0,
                device.kind,
                device.name or "",
            ),
            *(device.memory_bytes, device.free_bytes, device.available),
            sorted(device.attributes.items()),
        )
    )
