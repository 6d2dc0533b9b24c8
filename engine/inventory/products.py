"""What readers of inventories know of hardware: the catalogs `products`, `links`, `launch` and `pci`."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

from engine.inventory.types import Attribute
from engine.names import Names, Row

__all__ = ["Hardware", "Names", "Row"]


class Hardware:
    """What readers of inventories know of hardware: each catalog is loaded when it is first asked for.

    Args:
        load: the newest catalog of a name.
    """

    def __init__(self, load: Callable[[str], Names]) -> None:
        self._load = load

    @cached_property
    def products(self) -> Names:
        """By the names that they are sold under."""
        return self._load("products")

    @cached_property
    def links(self) -> Names:
        """By the codes of tools."""
        return self._load("links")

    @cached_property
    def launch(self) -> Names:
        """How servers, drivers and Kubernetes tell of devices, by their kinds."""
        return self._load("launch")

    @cached_property
    def pci(self) -> Names:
        """By the numbers of a PCI bus."""
        return self._load("pci")

    def product(self, name: str | None) -> Row | None:
        """What is known of a product by its name; None of one that isn't known."""
        entry = None if name is None else self.products.loose(name)
        return None if entry is None else self.products.rows[entry]

    def cut(self, name: str, memory_bytes: int | None) -> str | None:
        """The product whose name was cut off to this, by its memory; None where it may be several."""
        if memory_bytes is None:
            return None
        near = [entry for entry in self.products.starting(name) if self._may_have(entry, memory_bytes)]
        return near[0] if len(near) == 1 else None

    def _may_have(self, entry: str, memory_bytes: int) -> bool:
        """Whether a driver may report a product's memory as this size."""
        row = self.products.rows[entry]
        kind = self.launch.rows.get(row["kind"])
        if row["memory_mib"] is None or kind is None or kind["memory_within"] is None:
            return False
        return bool(abs(row["memory_mib"] * 2**20 - memory_bytes) <= kind["memory_within"] * memory_bytes)


def attributes(row: Row | None) -> dict[str, Attribute]:
    """A product's generation and its chips or cores, in the fields that devices of its kind have."""
    if row is None:
        return {}
    pairs = ((row["version_field"], row["version"]), (row["parts_field"], row["parts"]))
    return {name: value for name, value in pairs if name is not None and value is not None}
