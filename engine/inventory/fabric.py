"""Interconnect that is usual for a product, for sources that do not report links."""

from __future__ import annotations

from collections.abc import Iterator

from engine.inventory.inventory import Interconnect
from engine.inventory.products import Row


def usual_interconnects(
    row: Row | None, devices: int, nodes: int, notes: list[str]
) -> Iterator[Interconnect]:
    """Yield the interconnect that usually connects all devices of a product; rates in GB/s per device.

    On several nodes that is the network, not the fabric inside each node, unless the fabric spans nodes.

    Args:
        row: of the product in catalog `products`; None if it is unknown.
        devices: number of devices on all nodes.
        nodes: number of nodes, with equally many devices each.
        notes: receives what was assumed.
    """
    if row is None or devices < 2:
        return
    if nodes < 2:
        if row["fabric"] is not None and row["link_gbs"] is not None:
            yield Interconnect(row["fabric"], float(row["link_gbs"]))
        return
    if row["inter_node"] is None or row["inter_node_gbs"] is None:
        notes.append("unknown network between the nodes; no interconnect is recorded")
        return
    rate = float(row["inter_node_gbs"])
    if row["inter_node"] != row["fabric"]:
        notes.append(
            f"assuming {row['inter_node']} between the nodes: one network card per device, {rate:g} GB/s"
        )
    yield Interconnect(row["inter_node"], rate)
