"""Inventories as documents that `--inventory` reads again (schemas/inventory.schema.json)."""

from __future__ import annotations

from typing import cast

from engine.base.jsontypes import Json, JsonObject
from engine.inventory.inventory import Interconnect, Inventory


def to_document(inventory: Inventory, *, for_programs: bool = False) -> JsonObject:
    """Return the document; memory in bytes, null if unknown.

    Args:
        inventory: what to write.
        for_programs: write rates of interconnects under both names, `bandwidth_gbs` and `bandwidth_gbps`.
    """
    document: JsonObject = {} if inventory.name is None else {"name": inventory.name}
    if inventory.numbering is not None:
        document["numbering"] = inventory.numbering
    document["devices"] = [
        {
            "kind": device.kind,
            **_optional("device_id", device.device_id),
            **_optional("name", device.name),
            "memory_bytes": device.memory_bytes,
            **_optional("free_bytes", device.free_bytes),
            "available": device.available,
            **_optional("numa_node", device.numa_node),
            **_optional("node", device.node),
            **_optional("driver_version", device.driver_version),
            **_optional("partition", device.partition),
            **_optional("uuid", device.uuid),
            **device.attributes,
        }
        for device in inventory.devices
    ]
    if inventory.interconnects:
        document["interconnects"] = [_interconnect(link, for_programs) for link in inventory.interconnects]
    if inventory.links:
        document["links"] = [link.to_dict() for link in inventory.links]
    return document


def _interconnect(link: Interconnect, for_programs: bool) -> JsonObject:
    rate = {"bandwidth_gbs": link.bandwidth_gbps}
    return cast(
        JsonObject,
        {"kind": link.kind, **rate} | ({"bandwidth_gbps": link.bandwidth_gbps} if for_programs else {}),
    )


def _optional(name: str, value: Json) -> JsonObject:
    return {} if value is None else {name: value}
