"""What readers of inventories know of hardware: the catalogs `products`, `links`, `launch` and `pci`."""

from __future__ import annotations

from engine.inventory.types import Attribute
from engine.names import Names, Row
from engine.records import record

__all__ = ["Hardware", "Names", "Row"]


_ABOUT = 0.02
"""Drivers report a little more or less of the same memory."""


@record(eq=False)
class Hardware:
    """What readers of inventories know of hardware: products, and links by the codes of tools."""

    products: Names
    links: Names
    launch: Names
    pci: Names

    def product(self, name: str | None) -> Row | None:
        """What is known of a product by its name; None of one that isn't known."""
        entry = None if name is None else self.products.loose(name)
        return None if entry is None else self.products.rows[entry]

    def cut(self, name: str, memory_bytes: int | None) -> str | None:
        """The product whose name was cut off to this, by its memory; None where it may be several."""
        if memory_bytes is None:
            return None
        near = [
            entry
            for entry in self.products.starting(name)
            if (mib := self.products.rows[entry]["memory_mib"]) is not None
            and abs(mib * 2**20 - memory_bytes) <= _ABOUT * memory_bytes
        ]
        return near[0] if len(near) == 1 else None


def attributes(row: Row | None) -> dict[str, Attribute]:
    """A product's generation and its chips or cores, in the fields that devices of its kind have."""
    if row is None:
        return {}
    pairs = ((row["version_field"], row["version"]), (row["parts_field"], row["parts"]))
    return {name: value for name, value in pairs if name is not None and value is not None}
