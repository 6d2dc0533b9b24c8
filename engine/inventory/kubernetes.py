"""Nodes of a Kubernetes cluster, as `kubectl get nodes -o json` has them, with the GPU operators' labels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from engine.errors import RequestError
from engine.inventory.fabric import usual
from engine.inventory.products import Hardware, Row, attributes
from engine.inventory.types import Device, Imported, Interconnect, Inventory
from engine.quantities import whole

_INSTANCE = "node.kubernetes.io/instance-type"
_PRODUCTS = (
    "nvidia.com/gpu.product",
    "amd.com/gpu.product-name",
    "beta.amd.com/gpu.product-name",
    "cloud.google.com/gke-tpu-accelerator",
    "cloud.google.com/gke-accelerator",
    _INSTANCE,
)
"""Labels that name the product, the surest first; an instance's type counts only where it is known as one."""
_MEMORY = "nvidia.com/gpu.memory"
"""In MiB."""
_REPLICAS = "nvidia.com/gpu.replicas"
"""Of how many pods each device is offered to at a time."""
_SHARED = "-SHARED"
_AMD, _DEVICE = "1002", "amd.com/gpu.device-id"
"""AMD's number among vendors of PCI devices, and the label with the device's own."""
_PARTS = "nvidia.com/mig-"
_MOST = 100_000


def is_nodes(value: Any) -> bool:
    """Whether a decoded document is a node of a cluster, or a list of them."""
    if not isinstance(value, dict):
        return False
    items = value.get("items")
    first = items[0] if isinstance(items, list) and items else None
    return value.get("kind") == "Node" or (isinstance(first, dict) and first.get("kind") == "Node")


def read_nodes(value: Mapping[str, Any], hardware: Hardware) -> Imported:
    """The accelerators of the nodes that can be used.

    Raises:
        RequestError: none has any, or a count that can't be.
    """
    nodes = value["items"] if isinstance(value.get("items"), list) else [value]
    devices: list[Device] = []
    notes: list[str] = []
    for node in nodes:
        if isinstance(node, dict):
            devices += _of_node(node, hardware, devices, notes)
    if not devices:
        known = ", ".join(_resources(hardware))
        raise RequestError("no node has accelerators that Kubernetes knows of", hint=f"known: {known}")
    joined = tuple(_joined(devices, hardware, notes))
    return Imported(Inventory(tuple(devices), joined), tuple(dict.fromkeys(notes)))


def _joined(devices: list[Device], hardware: Hardware, notes: list[str]) -> Iterator[Interconnect]:
    """Of usable devices of one product what usually joins them; Kubernetes doesn't tell."""
    devices = [device for device in devices if device.available]
    products = {device.name for device in devices}
    row = hardware.product(devices[0].name) if len(products) == 1 else None
    found = list(usual(row, len(devices), len({device.node for device in devices}), notes))
    if len(devices) > 1:
        notes.append(
            f"{found[0].kind} of {found[0].bandwidth_gbps:g} GB/s is assumed, as is usual for the product"
            if found
            else "Kubernetes doesn't tell what joins the devices: no interconnect is counted"
        )
    yield from found


def _of_node(
    node: Mapping[str, Any], hardware: Hardware, before: list[Device], notes: list[str]
) -> Iterator[Device]:
    metadata, spec, status = (_mapping(node.get(key)) for key in ("metadata", "spec", "status"))
    labels = _mapping(metadata.get("labels"))
    allocatable = _mapping(status.get("allocatable")) or _mapping(status.get("capacity"))
    name = metadata.get("name")
    node_name = name if isinstance(name, str) else None
    available = spec.get("unschedulable") is not True and _is_ready(status)
    if not available:
        why = "not ready" if spec.get("unschedulable") is not True else "cordoned"
        notes.append(f"node {node_name} is {why}: its devices are not available")
    product, row = _product(labels, hardware)
    mib = whole(labels.get(_MEMORY))
    memory = None if mib is None else mib * 2**20
    if any(str(resource).startswith(_PARTS) and whole(count) for resource, count in allocatable.items()):
        notes.append(f"node {node_name} offers parts of devices (MIG): they are not counted")
    shared = max(whole(labels.get(_REPLICAS)) or 1, 1)
    if shared > 1:
        notes.append(f"node {node_name} offers each device {shared} times: it is counted once")
    if memory is None and row is not None and row["memory_mib"] is not None:
        memory = row["memory_mib"] * 2**20
        notes.append(f"the memory of '{product}' is that of the catalog")
    for resource, kind in _resources(hardware).items():
        count = str(allocatable.get(resource, "0"))
        if (whole(count) or 0) > _MOST or whole(count) is None:
            raise RequestError(f"node {node_name}: {resource} is {count[:40]!r}, expected a count")
        first = sum(device.kind == kind for device in before)
        for number in range(int(count) // shared):
            yield Device(
                kind,
                memory,
                available,
                first + number,
                product,
                node=node_name,
                attributes=attributes(row) if row is None or row["kind"] == kind else {},
            )


def _is_ready(status: Mapping[str, Any]) -> bool:
    """Whether the node's own condition says so; one that says nothing is taken to be."""
    conditions = status.get("conditions")
    told = [each for each in conditions if isinstance(each, dict)] if isinstance(conditions, list) else []
    return all(each.get("status") == "True" for each in told if each.get("type") == "Ready")


def _product(labels: Mapping[str, Any], hardware: Hardware) -> tuple[str | None, Row | None]:
    """The product that a node's labels name, and what is known of it."""
    for key in _PRODUCTS:
        name = str(labels.get(key) or "").removesuffix(_SHARED)
        instance = key == _INSTANCE
        row = hardware.product(name.partition(".")[0] if instance else name)
        if name and (row is not None or not instance):
            return name, row
    numbers = hardware.pci.rows.get(f"{_AMD}:{str(labels.get(_DEVICE)).lower()}")
    named = None if numbers is None else numbers["product"]
    return named, hardware.product(named)


def _resources(hardware: Hardware) -> dict[str, str]:
    """Kinds of devices by what Kubernetes calls them."""
    rows = hardware.launch.rows.items()
    return {row["resource"]: kind for kind, row in rows if row["resource"] is not None}


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
