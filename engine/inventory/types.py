"""An inventory: devices and what joins them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.errors import Path
from engine.records import field, record

Attribute = str | int | float | bool


@record
class Device:
    """One accelerator or CPU; memory in bytes.

    `attributes` are fields that only some kinds have (chip_count, version …); the catalog says which.
    """

    kind: str
    memory_bytes: int
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
class Inventory:
    """The devices that a model may be placed on, in the order listed."""

    devices: tuple[Device, ...]
    interconnects: tuple[Interconnect, ...] = ()
    name: str | None = None

    def to_value(self) -> dict[str, Any]:
        """The fields as expressions read them."""
        return {
            "name": self.name,
            "devices": [{**device.to_value(), "index": index} for index, device in enumerate(self.devices)],
            "interconnects": [interconnect.to_value() for interconnect in self.interconnects],
        }
