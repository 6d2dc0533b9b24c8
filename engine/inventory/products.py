"""Hardware catalogs that readers of inventories use: `products`, `links`, `launch` and `pci`."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cached_property

from engine.base.aliases import Names, Row, find_loosely, plain_name
from engine.inventory.inventory import Attribute

__all__ = ["Hardware", "Names", "Row"]


_MOST_NAMES = 4096
_MAKER = re.compile(r"NVIDIA|Tesla|GeForce|AMD", re.IGNORECASE)
"""Beginning of a name as a driver prints it."""
_MOST_LISTED = 3
_SIZED = re.compile(r"-\d+GB\Z")


class Hardware:
    """The hardware catalogs, each loaded on first use.

    Args:
        load: returns the catalog of a name.
        elsewhere: returns a hint where a product is that the catalog lacks; None if nowhere.
    """

    def __init__(
        self, load: Callable[[str], Names], elsewhere: Callable[[str], str | None] = lambda name: None
    ) -> None:
        self._load = load
        self._elsewhere = elsewhere
        self._entries: dict[str, str | None] = {}
        self._families: dict[str, bool] = {}

    @cached_property
    def products(self) -> Names:
        """Products by the names under which they are sold."""
        return self._load("products")

    @cached_property
    def links(self) -> Names:
        """Link types by the codes of tools."""
        return self._load("links")

    @cached_property
    def launch(self) -> Names:
        """Names that servers, drivers and Kubernetes use, by kind of device."""
        return self._load("launch")

    @cached_property
    def pci(self) -> Names:
        """Devices by PCI vendor and device id."""
        return self._load("pci")

    @cached_property
    def partitions(self) -> Names:
        """Partitions of devices by the names of their profiles."""
        return self._load("partitions")

    @cached_property
    def instances(self) -> Names:
        """Machines of clouds by the names of their types."""
        return self._load("instances")

    def instance(self, name: str) -> Row | None:
        """Return the row of a cloud's machine or word, whatever its case; None if it is unknown."""
        entry = self.instances.exact(name)
        if entry is None and name:
            folded = {other.casefold(): other for other in (*self.instances.rows, *self.instances.aliases)}
            entry = self.instances.exact(folded.get(name.casefold(), ""))
        return None if entry is None else self.instances.rows[entry]

    def partition_bytes(self, profile: str) -> int | None:
        """Return the memory of a partition; None if its profile (`1g.10gb`, `1g.10gb+me`) is unknown."""
        row = self.partitions.rows.get(profile.partition("+")[0])
        return None if row is None else int(row["memory_mib"]) * 2**20

    @cached_property
    def _plain_products(self) -> dict[str, str]:
        return self.products.plain()

    def entry(self, name: str) -> str | None:
        """Return the product that a name means; None if it is unknown. Names are kept: lists repeat them."""
        if name not in self._entries:
            if len(self._entries) >= _MOST_NAMES:
                self._entries.clear()
            self._entries[name] = find_loosely(self._plain_products, name)
        return self._entries[name]

    def product(self, name: str | None) -> Row | None:
        """Return the row of a product by any of its names; None if it is unknown."""
        entry = None if name is None else self.entry(name)
        return None if entry is None else self.products.rows[entry]

    def unknown_product_hint(self, name: str) -> str:
        """Return a hint for a product that the catalog lacks."""
        return (
            self._elsewhere(name)
            or self._numbered(name)
            or self.products.nearest(name)
            or "see catalog products"
        )

    def _numbered(self, name: str) -> str | None:
        """Return a hint that lists products whose number is all that was named: `3090`."""
        entries = [entry for entry in self.products.rows if name in re.findall(r"\d+", entry)]
        listed = " or ".join(f"'{entry}'" for entry in entries[:_MOST_LISTED])
        return f"did you mean {listed}?" if entries else None

    def cut(self, name: str, memory_bytes: int | None) -> str | None:
        """Return the product whose name was cut off to `name`, by its memory; None if several fit.

        A driver cuts names that are too long for its table: the whole name is longer than what it printed.
        """
        if memory_bytes is None:
            return None
        entries = self.products.starting(name)
        near = [
            entry for entry in entries if self._may_have(entry, memory_bytes) and self._is_longer(entry, name)
        ]
        return near[0] if len(near) == 1 else None

    def _is_longer(self, entry: str, cut: str) -> bool:
        """Test whether a product has a name that is too long for the space that a cut name fills.

        Names that only add the size to another name of the product are people's, not the driver's.
        """
        names = {entry, *(alias for alias, of in self.products.aliases.items() if of == entry)}
        printed = [
            name
            for name in names
            if _SIZED.sub("", name) == name or _SIZED.sub("", name) not in names or _MAKER.match(name)
        ]
        space = len(plain_name(cut)) + len(cut) - len(cut.rstrip(". "))
        return any(
            plain_name(name).startswith(plain_name(cut)) and len(plain_name(name)) > space - 1
            for name in printed
        )

    def is_family(self, name: str) -> bool:
        """Test whether products of several sizes of memory have names that begin so."""
        if name not in self._families:
            start = plain_name(name)
            entries = {
                entry for plain, entry in self._plain_products.items() if start and plain.startswith(start)
            }
            sizes = {self.products.rows[entry]["memory_mib"] for entry in entries}
            if len(self._families) >= _MOST_NAMES:
                self._families.clear()
            self._families[name] = len(sizes) > 1
        return self._families[name]

    def _may_have(self, entry: str, memory_bytes: int) -> bool:
        """Test whether a driver may report this size for a product."""
        row = self.products.rows[entry]
        kind = self.launch.rows.get(row["kind"])
        if row["memory_mib"] is None or kind is None or kind["memory_within"] is None:
            return False
        return bool(abs(row["memory_mib"] * 2**20 - memory_bytes) <= kind["memory_within"] * memory_bytes)


def attributes(row: Row | None) -> dict[str, Attribute]:
    """Return a product's generation and chips or cores, by the fields of its kind of device."""
    if row is None:
        return {}
    pairs = ((row["version_field"], row["version"]), (row["parts_field"], row["parts"]))
    return {name: value for name, value in pairs if name is not None and value is not None}
