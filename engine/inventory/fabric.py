"""What joins devices, by their product, where no tool has said it."""

from __future__ import annotations

from collections.abc import Iterator

from engine.inventory.products import Row
from engine.inventory.types import Interconnect


def usual(row: Row | None, devices: int, nodes: int, notes: list[str]) -> Iterator[Interconnect]:
    """What usually joins so many devices of a product, on so many nodes.

    Policies read what joins all devices: on several nodes that is the network, not the fabric of each node,
    unless the fabric spans nodes.

    Args:
        row: the product's, of the catalog `products`; None where it isn't known.
        devices: in all.
        nodes: that they are spread over, evenly.
        notes: gets what was assumed.
    """
    if row is None or devices < 2:
        return
    if nodes < 2:
        if row["fabric"] is not None and row["link_gbs"] is not None:
            yield Interconnect(row["fabric"], float(row["link_gbs"]))
        return
    if row["inter_node"] is None or row["inter_node_gbs"] is None:
        notes.append("what joins the nodes is not known: no interconnect is counted")
        return
    rate = float(row["inter_node_gbs"])
    if row["inter_node"] != row["fabric"]:
        notes.append(
            f"{row['inter_node']} of {rate:g} GB/s is assumed to join the nodes, a network card a device"
        )
    yield Interconnect(row["inter_node"], rate)
