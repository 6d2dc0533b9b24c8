"""Devices of Kubernetes' dynamic resource allocation (DRA): `kubectl get resourceslices -o json`."""

from __future__ import annotations

from engine.base.errors import RequestError
from engine.base.jsontypes import Json, JsonObject
from engine.base.quantities import parse_bytes
from engine.inventory.decoded import mapping, mappings
from engine.inventory.inventory import Device, Imported, Inventory
from engine.inventory.products import Hardware, attributes
from engine.inventory.reader import DocumentReader, Use

_DRIVERS = {"gpu.nvidia.com": "CudaGpu", "gpu.amd.com": "RocmGpu", "gpu.intel.com": "IntelOneApi"}
_MOST = 100_000


def takes(value: Json) -> bool:
    """Test for a ResourceSlice, or a list of them."""
    document = mapping(value)
    items = mappings(document.get("items")) or [document]
    return items[0].get("kind") == "ResourceSlice"


def read(value: Json, hardware: Hardware) -> Imported:
    """Return the devices of all slices.

    Raises:
        RequestError: no slice has a device, or a size cannot be read.
    """
    document = mapping(value)
    devices: list[Device] = []
    notes: list[str] = []
    for item in mappings(document.get("items")) or [document]:
        spec = mapping(item.get("spec"))
        kind = _DRIVERS.get(str(spec.get("driver")))
        node = spec.get("nodeName")
        for entry in mappings(spec.get("devices")) if kind is not None else []:
            if len(devices) >= _MOST:
                raise RequestError(f"more than {_MOST} devices")
            device = _device(entry, str(kind), node if isinstance(node, str) else None, devices, hardware)
            if device is not None:
                devices.append(device)
            else:
                notes.append("partitions of devices are not counted")
    if not devices:
        known = ", ".join(_DRIVERS)
        raise RequestError("no resource slice has an accelerator", hint=f"known drivers: {known}")
    if len(devices) > 1:
        notes.append("Kubernetes does not report links between devices; no interconnect is recorded")
    return Imported(Inventory(tuple(devices)), tuple(dict.fromkeys(notes)))


def _device(
    entry: JsonObject, kind: str, node: str | None, before: list[Device], hardware: Hardware
) -> Device | None:
    """Return a whole device; None for a partition."""
    fields = mapping(entry.get("basic")) or entry
    named = {
        key.rpartition("/")[2]: mapping(value) for key, value in mapping(fields.get("attributes")).items()
    }
    sizes = {key.rpartition("/")[2]: mapping(value) for key, value in mapping(fields.get("capacity")).items()}
    if str(named.get("type", {}).get("string", "gpu")) != "gpu":
        return None
    name = named.get("productName", {}).get("string")
    memory = sizes.get("memory", {}).get("value")
    try:
        size = None if memory is None else parse_bytes(str(memory))
    except ValueError as error:
        raise RequestError(f"device {entry.get('name')}: {error}") from None
    number = sum(device.kind == kind for device in before)
    product = name if isinstance(name, str) else None
    row = hardware.product(product)
    return Device(kind, size, True, number, product, node=node, attributes=attributes(row))


READER = DocumentReader(
    name="kubectl get resourceslices -o json",
    sources=("resourceslices",),
    takes=takes,
    read=read,
    expected="resource slices, as kubectl get resourceslices -o json prints them",
    hint="kubectl get resourceslices -o json",
    use=Use.SELDOM,
    example="""\
{
  "kind": "List",
  "items": [
    {
      "kind": "ResourceSlice",
      "spec": {
        "driver": "gpu.nvidia.com",
        "nodeName": "gpu-1",
        "devices": [
          {
            "name": "gpu-0",
            "attributes": {"type": {"string": "gpu"}, "productName": {"string": "NVIDIA B200"}},
            "capacity": {"memory": {"value": "183359Mi"}}
          }
        ]
      }
    }
  ]
}
""",
)
