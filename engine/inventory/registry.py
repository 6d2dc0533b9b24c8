"""Registries of the ai-hwaccel tool (schemas/registry.schema.json)."""

from __future__ import annotations

from typing import Any

from engine.base.errors import Path, RequestError
from engine.inventory.inventory import Attribute, Device, Interconnect, Inventory


def read_registry(value: dict[str, Any], path: Path) -> Inventory:
    """Return the inventory in a registry that satisfies the schema.

    Raises:
        RequestError: a field of an accelerator is neither string, number nor bool.
    """
    profiles = (*path, "profiles")
    devices = tuple(
        [_device(profile, (*profiles, position)) for position, profile in enumerate(value["profiles"])]
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
    attributes: dict[str, Attribute] = {}
    device_id = None
    for name, element in fields.items():
        if not isinstance(element, _ATTRIBUTES):
            raise RequestError(
                f"{name}: expected a string, a number, true or false", path=(*path, "accelerator", kind, name)
            )
        if name == "device_id":
            device_id = element
        else:
            attributes[name] = element
    if device_id is not None and (not isinstance(device_id, int) or isinstance(device_id, bool)):
        raise RequestError(
            "device_id: expected a whole number", path=(*path, "accelerator", kind, "device_id")
        )
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


_ATTRIBUTES = (str, int, float, bool)
