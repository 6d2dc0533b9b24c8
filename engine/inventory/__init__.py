"""Inventories of devices and links: types, one reader per source, detection of this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.base.lazy import face

if TYPE_CHECKING:
    from engine.inventory.inventory import Attribute, Device, Interconnect, Inventory, Link
    from engine.inventory.native import read_inventory
    from engine.inventory.order import Neighbours, device_ranks, refine
    from engine.inventory.products import Hardware
    from engine.inventory.source import import_texts, on_node, read_source, with_memory
    from engine.inventory.writer import to_document

__all__ = [
    "Attribute",
    "Device",
    "Hardware",
    "Interconnect",
    "Inventory",
    "Link",
    "Neighbours",
    "device_ranks",
    "import_texts",
    "on_node",
    "read_inventory",
    "read_source",
    "refine",
    "to_document",
    "with_memory",
]

if not TYPE_CHECKING:  # type checkers would take every name for exported
    __getattr__, __dir__ = face(
        __name__,
        {
            "inventory": "Attribute Device Interconnect Inventory Link",
            "order": "Neighbours device_ranks refine",
            "products": "Hardware",
            "native": "read_inventory",
            "source": "import_texts on_node read_source with_memory",
            "writer": "to_document",
        },
        "detect discovery join",
    )
