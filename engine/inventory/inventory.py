"""Types of an inventory: devices, interconnects of all devices, links of pairs."""

from __future__ import annotations

from collections.abc import Mapping

from engine.base.errors import Path
from engine.base.jsontypes import JsonObject
from engine.base.records import field, record

Attribute = str | int | float | bool

HOST = "Cpu"
"""The kind of the machine itself, beside its accelerators."""


@record
class Device:
    """One accelerator or CPU; memory in bytes, None if unknown.

    `attributes` holds fields of some kinds only (chip_count, version …), as catalog accelerators lists them.
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
    """Path in its document, for messages."""
    free_bytes: int | None = None
    """Free memory in bytes, None if unknown."""
    partition: str | None = None
    """Profile of a partition of a device (MIG's `1g.10gb`), None for a whole device."""
    uuid: str | None = None
    """Identifier by which a runtime selects a partition."""

    def to_value(self) -> JsonObject:
        """Return the fields that expressions read, attributes included."""
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
    """A fabric or network that connects all devices.

    `bandwidth_gbps` is in GB/s, one direction, per device; documents also call it `bandwidth_gbs`.
    """

    kind: str
    bandwidth_gbps: float
    name: str | None = None
    state: str | None = None
    source: Path = field(default=(), compare=False, repr=False)
    """Path in its document, for messages."""

    def to_value(self) -> JsonObject:
        """Return the fields that expressions read."""
        return {
            "kind": self.kind,
            "bandwidth_gbps": self.bandwidth_gbps,
            "name": self.name,
            "state": self.state,
        }


@record
class Link:
    """Connection of two devices, by their positions: `count` links, GB/s in one direction of all together.

    `kind` is an entry of catalog links: NVLink, XGMI, PIX … SYS.
    """

    a: int
    b: int
    kind: str
    count: int | None = None
    bandwidth_gbs: float | None = None
    switched: bool = False
    """Goes through a switch, which connects every pair at full bandwidth."""

    def to_dict(self) -> JsonObject:
        """Return the JSON form."""
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
    """The devices available to a model, in the order of the source.

    Policies read `interconnects`; the search for groups of devices also reads `links`, the known pairs.
    """

    devices: tuple[Device, ...]
    interconnects: tuple[Interconnect, ...] = ()
    name: str | None = None
    links: tuple[Link, ...] = ()
    numbering: str | None = None
    """Order of the device numbers unless it is that of the driver's tool: CUDA's own is `fastest`."""

    def to_value(self) -> JsonObject:
        """Return the fields that expressions read."""
        return {
            "name": self.name,
            "devices": [{**device.to_value(), "index": index} for index, device in enumerate(self.devices)],
            "interconnects": [interconnect.to_value() for interconnect in self.interconnects],
        }


@record
class Imported:
    """An inventory with notes on what its source leaves unknown or what was assumed."""

    inventory: Inventory
    notes: tuple[str, ...] = ()
