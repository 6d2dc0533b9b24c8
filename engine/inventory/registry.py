"""Registries as the ai-hwaccel tool writes them (schemas/registry.schema.json)."""

from __future__ import annotations

from typing import Any

from engine.errors import Path, RequestError
from engine.inventory.types import Attribute, Device, Interconnect, Inventory


def read_registry(value: dict[str, Any], path: Path) -> Inventory:
    """The inventory in a registry that keeps to the schema.

    Raises:
        RequestError: a field of an accelerator that is neither text, number nor bool.
    """
    devices = tuple(
        _device(profile, (*path, "profiles", position)) for position, profile in enumerate(value["profiles"])
    )
    links = (value.get("system_io") or {}).get("interconnects", [])
    interconnects = tuple(
        Interconnect(
            link["kind"],
            float(link["bandwidth_gbps"]),
            link.get("name"),
            link.get("state"),
            (*path, "system_io", "interconnects", position),
        )
        for position, link in enumerate(links)
    )
    return Inventory(devices, interconnects)


def _device(profile: dict[str, Any], path: Path) -> Device:
    accelerator = profile["accelerator"]
    if isinstance(accelerator, str):
        kind, fields = accelerator, {}
    else:
        ((kind, fields),) = accelerator.items()
    attributes = {
        name: _attribute(element, (*path, "accelerator", kind, name)) for name, element in fields.items()
    }
    device_id = attributes.pop("device_id", None)
    if device_id is not None and (not isinstance(device_id, int) or isinstance(device_id, bool)):
        raise RequestError("device_id is not a whole number", path=(*path, "accelerator", kind, "device_id"))
    numa_node = profile.get("numa_node")
    return Device(
        kind=kind,
        memory_bytes=int(profile["memory_bytes"]),
        available=profile["available"],
        device_id=device_id,
        numa_node=None if numa_node is None else int(numa_node),
        compute_capability=profile.get("compute_capability"),
        driver_version=profile.get("driver_version"),
        attributes=attributes,
        source=path,
    )


def _attribute(value: Any, path: Path) -> Attribute:
    if not isinstance(value, (str, int, float, bool)):
        raise RequestError(f"{path[-1]} is neither text, number, true nor false", path=path)
    return value
