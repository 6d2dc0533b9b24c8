"""What readers of inventories know of hardware: the catalogs `products`, `links` and `launch`."""

from __future__ import annotations

from engine.inventory.types import Attribute
from engine.names import Names, Row
from engine.records import record

__all__ = ["Hardware", "Names", "Row"]


@record(eq=False)
class Hardware:
    """What readers of inventories know of hardware: products, and links by the codes of tools."""

    products: Names
    links: Names
    launch: Names

    def product(self, name: str | None) -> Row | None:
        """What is known of a product by its name; None of one that isn't known."""
        entry = None if name is None else self.products.loose(name)
        return None if entry is None else self.products.rows[entry]


def versions(row: Row) -> dict[str, Attribute]:
    """A product's generation, in the field that devices of its kind have it in."""
    return {} if row["version_field"] is None else {row["version_field"]: row["version"]}
