"""An inventory: devices and what joins them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.errors import Path
from engine.records import field, record

Attribute = str | int | float | bool

HOST = "Cpu"
"""The kind of the machine itself, beside its accelerators."""


@record
class Device:
    """One accelerator or CPU; memory in bytes, None where nobody said how much.

    `attributes` are fields that only some kinds have (chip_count, version …); the catalog says which.
    """

    kind: str
    memory_bytes: int | None
    available: bool = True
    device_id: int | None = None
    name: str | None = None
    numa_node: int | None = None
    node: str | None = None
    compute_capability: str | None = None
    driver_version: str | None = None
    attributes: Mapping[str, Attribute] = field(default_factory=dict)
    source: Path = field(default=(), compare=False, repr=False)
    """Where in its document the device stands, for messages."""
    free_bytes: int | None = None
    """What of its memory is free, where that is known."""

    def to_value(self) -> dict[str, Any]:
        """The fields as expressions read them, the attributes beside the others."""
        return {
            "kind": self.kind,
            "memory_bytes": self.memory_bytes,
            "available": self.available,
            "device_id": self.device_id,
            "name": self.name,
            "numa_node": self.numa_node,
            "node": self.node,
            "compute_capability": self.compute_capability,
            "driver_version": self.driver_version,
            "free_bytes": self.free_bytes,
            **self.attributes,
        }


@record
class Interconnect:
    """One kind of link that joins devices; bandwidth in GB/s."""

    kind: str
    bandwidth_gbps: float
    name: str | None = None
    state: str | None = None
    source: Path = field(default=(), compare=False, repr=False)
    """Where in its document it stands, for messages."""

    def to_value(self) -> dict[str, Any]:
        """The fields as expressions read them."""
        return {
            "kind": self.kind,
            "bandwidth_gbps": self.bandwidth_gbps,
            "name": self.name,
            "state": self.state,
        }


@record
class Link:
    """What joins two devices, by their positions: `count` links, and GB/s in one direction of all together.

    `kind` is an entry of the catalog of links: NVLink, XGMI, PIX … SYS.
    """

    a: int
    b: int
    kind: str
    count: int | None = None
    bandwidth_gbs: float | None = None
    switched: bool = False
    """By way of a switch, which joins every pair at full bandwidth."""

    def to_dict(self) -> dict[str, Any]:
        """As programs read it."""
        return {
            "a": self.a,
            "b": self.b,
            "kind": self.kind,
            "count": self.count,
            "bandwidth_gbs": self.bandwidth_gbs,
            "switched": self.switched,
        }


@record
class Inventory:
    """The devices that a model may be placed on, in the order listed, and what joins them.

    `interconnects` are what policies read; `links` are what is known of pairs.
    """

    devices: tuple[Device, ...]
    interconnects: tuple[Interconnect, ...] = ()
    name: str | None = None
    links: tuple[Link, ...] = ()

    def to_value(self) -> dict[str, Any]:
        """The fields as expressions read them."""
        return {
            "name": self.name,
            "devices": [{**device.to_value(), "index": index} for index, device in enumerate(self.devices)],
            "interconnects": [interconnect.to_value() for interconnect in self.interconnects],
        }


@record
class Imported:
    """An inventory, and what its source left open."""

    inventory: Inventory
    notes: tuple[str, ...] = ()
