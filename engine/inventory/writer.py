"""An inventory as its own document: what `--inventory` reads again."""

from __future__ import annotations

from typing import Any

from engine.inventory.types import Inventory


def to_document(inventory: Inventory) -> dict[str, Any]:
    """The document (schemas/inventory.schema.json); memory in bytes, null where it isn't known."""
    document: dict[str, Any] = {} if inventory.name is None else {"name": inventory.name}
    document["devices"] = [
        {
            "kind": device.kind,
            **_given("device_id", device.device_id),
            **_given("name", device.name),
            "memory_bytes": device.memory_bytes,
            **_given("free_bytes", device.free_bytes),
            "available": device.available,
            **_given("numa_node", device.numa_node),
            **_given("node", device.node),
            **_given("driver_version", device.driver_version),
            **device.attributes,
        }
        for device in inventory.devices
    ]
    if inventory.interconnects:
        document["interconnects"] = [
            {"kind": each.kind, "bandwidth_gbps": each.bandwidth_gbps} for each in inventory.interconnects
        ]
    if inventory.links:
        document["links"] = [link.to_dict() for link in inventory.links]
    return document


def _given(name: str, value: Any) -> dict[str, Any]:
    return {} if value is None else {name: value}
