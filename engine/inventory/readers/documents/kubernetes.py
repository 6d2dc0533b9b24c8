"""Nodes of a Kubernetes cluster: JSON or YAML of `kubectl get nodes -o json`, with the GPU operators' labels.

Counts come from allocatable resources, products and memory from labels, or from the type of the cloud's
machine. Nodes that are cordoned or not ready are kept as not available. MIG partitions are devices of their
own, which no plan joins. Links are not reported by Kubernetes; those usual for the product are assumed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from engine.base.errors import RequestError
from engine.base.jsontypes import Json, JsonObject
from engine.base.quantities import parse_bytes, whole
from engine.base.records import record, replace
from engine.inventory.decoded import mapping, mappings
from engine.inventory.fabric import usual_interconnects
from engine.inventory.inventory import Device, Imported, Interconnect, Inventory
from engine.inventory.products import Hardware, Row, attributes
from engine.inventory.reader import DocumentReader, Use

_INSTANCES = ("node.kubernetes.io/instance-type", "beta.kubernetes.io/instance-type")
_PRODUCTS = (
    "nvidia.com/gpu.product",
    "amd.com/gpu.product-name",
    "beta.amd.com/gpu.product-name",
    "gpu.intel.com/product",
    "habana.ai/product",
    "node.kubernetes.io/npu.chip.name",
    "metax-tech.com/gpu.product",
    "cloud.google.com/gke-tpu-accelerator",
)
"""Labels that name the product, the most reliable first."""
_WORDS = ("cloud.google.com/gke-accelerator", *_INSTANCES)
"""Labels with a cloud's word for a device or a machine: entries of catalog instances."""
_MEMORY, _COUNT = "nvidia.com/gpu.memory", "nvidia.com/gpu.count"
_COUNTED = ".count"
"""Memory in MiB, and number of devices, of NVIDIA's operator."""
_VRAM = ("amd.com/gpu.vram", "beta.amd.com/gpu.vram")
_REPLICAS = "nvidia.com/gpu.replicas"
"""Number of pods that share each device (time slicing)."""
_SHARED = "-SHARED"
_AMD, _DEVICE = "1002", "amd.com/gpu.device-id"
"""AMD's PCI vendor id, and the label with the device id."""
_PARTS = re.compile(r"nvidia\.com/mig-(?P<profile>\d{1,2}g\.\d{1,4}gb(?:\.[\w.]+)?)\Z")
_PART_NAME = re.compile(r"(?P<whole>.*)-MIG-(?P<profile>\d{1,2}g\.\d{1,4}gb\S*)\Z")
_HAMI = re.compile(r"hami\.io/node-(?:nvidia-)?register\Z")
_NVIDIA = "nvidia.com/gpu"
_CORES = "aws.amazon.com/neuroncore"
_MOST = 100_000


@record
class _Node:
    """A node as far as its devices depend on it."""

    name: str | None
    labels: JsonObject
    annotations: JsonObject
    allocatable: JsonObject
    available: bool

    @property
    def title(self) -> str:
        """The node in a message."""
        return "the node" if self.name is None else f"node {self.name}"


def takes(value: Json) -> bool:
    """Test for a node of a cluster, or a list of nodes."""
    if not isinstance(value, dict):
        return False
    items = value.get("items")
    first = items[0] if isinstance(items, list) and items else None
    return value.get("kind") == "Node" or (isinstance(first, dict) and first.get("kind") == "Node")


def read(value: Json, hardware: Hardware) -> Imported:
    """Return the accelerators of all nodes.

    Raises:
        RequestError: no node has any, or a count is absurd.
    """
    document = mapping(value)
    nodes = mappings(document["items"]) if isinstance(document.get("items"), list) else [document]
    devices: list[Device] = []
    notes: list[str] = []
    for node in nodes:
        devices += _devices(_node(node, notes), hardware, devices, notes)
    if not devices:
        known = ", ".join(_resources(hardware))
        raise RequestError(
            "no node has accelerators",
            hint=f"known resources: {known}; describe machines in words: 2x8xH100-SXM",
        )
    devices = _with_one_partition(devices, notes)
    interconnects = tuple(_interconnects(devices, hardware, notes))
    return Imported(Inventory(tuple(devices), interconnects), tuple(dict.fromkeys(notes)))


def _node(node: JsonObject, notes: list[str]) -> _Node:
    metadata, spec, status = (mapping(node.get(key)) for key in ("metadata", "spec", "status"))
    name = metadata.get("name")
    node_name = name if isinstance(name, str) else None
    available = spec.get("unschedulable") is not True and _is_ready(status)
    if not available:
        why = "not ready" if spec.get("unschedulable") is not True else "cordoned"
        notes.append(f"node {node_name or '(unnamed)'} is {why}; its devices are not available")
    allocatable = mapping(status.get("allocatable")) or mapping(status.get("capacity"))
    labels, annotations = mapping(metadata.get("labels")), mapping(metadata.get("annotations"))
    allocatable = allocatable or _labelled_parts(labels)
    return _Node(node_name, labels, annotations, allocatable, available)


def _labelled_parts(labels: JsonObject) -> JsonObject:
    """Return the partitions that a node's labels count, for nodes of which only labels are known."""
    counts = {name.removesuffix(_COUNTED): count for name, count in labels.items() if name.endswith(_COUNTED)}
    return {name: count for name, count in counts.items() if _PARTS.match(name) and whole(count)}


def _with_one_partition(devices: list[Device], notes: list[str]) -> list[Device]:
    """Return the devices with at most one partition available, and none beside whole devices."""
    if all(device.partition is None for device in devices):
        return devices
    free = not any(device.available and device.partition is None for device in devices)
    sizes = [
        device.memory_bytes or 0 for device in devices if device.partition is not None and device.available
    ]
    kept = []
    for device in devices:
        if device.partition is not None and device.available:
            chosen = free and device.memory_bytes == max(sizes)
            free = free and not chosen
            device = replace(device, available=chosen)
        kept.append(device)
    notes.append(
        "partitions cannot be joined: a plan uses a single one, and only where no whole device is available"
    )
    return kept


def _interconnects(devices: list[Device], hardware: Hardware, notes: list[str]) -> Iterator[Interconnect]:
    """Yield the interconnect that is usual for the product if all available devices are of one."""
    devices = [device for device in devices if device.available]
    products = {device.name for device in devices}
    row = hardware.product(devices[0].name) if len(products) == 1 else None
    assumed = list(usual_interconnects(row, len(devices), len({device.node for device in devices}), notes))
    if len(devices) > 1:
        notes.append(
            f"assuming {assumed[0].kind} at {assumed[0].bandwidth_gbps:g} GB/s, as usual for the product"
            if assumed
            else "Kubernetes does not report links between devices; no interconnect is recorded"
        )
    yield from assumed


def _devices(node: _Node, hardware: Hardware, before: list[Device], notes: list[str]) -> Iterator[Device]:
    listed = list(_listed_by_hami(node))
    product, row = _product(node.labels, hardware)
    part = None if product is None else _PART_NAME.match(product)
    if part is not None:
        product, row = part["whole"], hardware.product(part["whole"])
    shared = max(whole(node.labels.get(_REPLICAS)) or 1, 1)
    if shared > 1:
        notes.append(f"{node.title} offers each device to {shared} pods; it is counted once")
    memory = _memory(node, product, row, notes)
    taken = list(before)
    for kind, (resource, count) in _counts(node, hardware, notes).items():
        present = count // shared
        label = whole(node.labels.get(_COUNT))
        fits = row is None or row["kind"] == kind
        if resource.startswith(_NVIDIA) and listed:
            for name, size in listed:
                taken.append(_device(node, kind, taken, name, size, hardware.product(name)))
                yield taken[-1]
            continue
        if resource.startswith(_NVIDIA) and label is not None and part is None and 0 < label < present:
            notes.append(f"{node.title} has {label} devices and offers {count}; each is counted once")
            present = label
        _require_count(node, kind, resource, present, hardware, shares=part is not None)
        _require_product(node, kind, resource, present, row if fits else None, hardware)
        if not fits or row is None:
            notes.append(f"no label of {node.title} names the product of {resource}")
        cores = _cores(node, present)
        for _ in range(present):
            device = _device(
                node, kind, taken, product if fits else None, memory if fits else None, row if fits else None
            )
            if cores is not None and "core_count" in device.attributes:
                device = replace(device, attributes={**device.attributes, "core_count": cores})
            if part is not None:
                name = f"{product} MIG {part['profile']}"
                bytes_ = hardware.partition_bytes(part["profile"])
                bytes_ = memory if whole(node.labels.get(_MEMORY)) else bytes_
                device = replace(device, partition=part["profile"], name=name, memory_bytes=bytes_)
            taken.append(device)
            yield device
    yield from _partitions(node, hardware, taken, product, notes)


def _cores(node: _Node, devices: int) -> int | None:
    """Return the cores of a device, if the node offers cores beside devices."""
    cores = whole(node.allocatable.get(_CORES))
    return cores // devices if cores and devices and cores % devices == 0 else None


def _device(
    node: _Node, kind: str, before: list[Device], name: str | None, memory: int | None, row: Row | None
) -> Device:
    number = sum(device.kind == kind for device in before)
    return Device(kind, memory, node.available, number, name, node=node.name, attributes=attributes(row))


def _partitions(
    node: _Node, hardware: Hardware, before: list[Device], product: str | None, notes: list[str]
) -> Iterator[Device]:
    """Yield the partitions that the mixed strategy offers by their profiles."""
    for resource, amount in node.allocatable.items():
        match = _PARTS.match(str(resource))
        if match is None:
            continue
        profile = match["profile"]
        mib = whole(node.labels.get(f"{resource}.memory"))
        memory = hardware.partition_bytes(profile) if mib is None else mib * 2**20
        for _ in range(_count(node, str(resource), amount)):
            kind = _resources(hardware)[_NVIDIA]
            device = _device(node, kind, before, f"{product} MIG {profile}", memory, None)
            before.append(replace(device, partition=profile))
            yield before[-1]


def _memory(node: _Node, product: str | None, row: Row | None, notes: list[str]) -> int | None:
    """Return the memory of a node's devices: by its labels, else by the product."""
    mib = whole(node.labels.get(_MEMORY))
    if mib is not None:
        return mib * 2**20
    known = None if row is None or row["memory_mib"] is None else row["memory_mib"] * 2**20
    label = next((str(node.labels[key]) for key in _VRAM if node.labels.get(key)), None)
    if label is not None:
        try:
            size = parse_bytes(label if label.endswith("i") else f"{label}i")
        except ValueError:
            raise RequestError(f"{node.title}: amd.com/gpu.vram is {label[:40]!r}, expected a size") from None
        return size if known is None else min(size, known)
    if known is not None:
        notes.append(f"memory of '{product}' taken from catalog products")
    return known


def _counts(node: _Node, hardware: Hardware, notes: list[str]) -> dict[str, tuple[str, int]]:
    """Return the resource and number of a node's devices by kind.

    One device may be offered as several resources; the first that offers some counts.
    """
    counts: dict[str, tuple[str, int]] = {}
    for resource, kind in _resources(hardware).items():
        count = _count(node, resource, node.allocatable.get(resource, "0"))
        if count and kind not in counts:
            counts[kind] = (resource, count)
    label = whole(node.labels.get(_COUNT))
    parts = any(_PARTS.match(str(resource)) for resource in node.allocatable)
    if label and not parts and _NVIDIA not in node.allocatable and not counts:
        if label > _MOST:
            raise RequestError(f"{node.title}: {_COUNT} is {label}, more than {_MOST} devices")
        notes.append(
            f"{node.title} allocates no {_NVIDIA}; its label counts {label}, as with DRA"
            if node.allocatable
            else f"the text does not state what {node.title} allocates; its label counts {label}"
        )
        counts[_resources(hardware)[_NVIDIA]] = (_NVIDIA, label)
    return counts


def _count(node: _Node, resource: str, amount: Json) -> int:
    count = whole(amount)
    if count is None or count > _MOST:
        raise RequestError(f"{node.title}: {resource} is {str(amount)[:40]!r}, expected a count")
    return count


def _require_count(
    node: _Node, kind: str, resource: str, count: int, hardware: Hardware, *, shares: bool
) -> None:
    """Check that a node has no more devices than nodes have.

    Raises:
        RequestError: it counts shares of devices.
    """
    most = hardware.launch.rows[kind].get("most_per_node")
    if most is not None and count > most and not shares:
        raise RequestError(
            f"{node.title} offers {count} {resource}; nodes have at most {most}, so these are shares of "
            "devices (HAMi, time slicing)",
            hint="paste nvidia-smi -L of the node, or describe it in words: 8xH100-SXM",
        )


def _require_product(
    node: _Node, kind: str, resource: str, count: int, row: Row | None, hardware: Hardware
) -> None:
    """Check that the product is known where the kind has generations that differ.

    Raises:
        RequestError: no label names it.
    """
    products = [entry for entry, other in hardware.products.rows.items() if other["kind"] == kind]
    if row is None and any(hardware.products.rows[entry]["version_field"] for entry in products):
        words = ", ".join(f"{count}x{entry}" for entry in products)
        raise RequestError(
            f"{node.title} offers {count} {resource}, but no label names the product",
            hint=f"describe it in words: {words}",
        )


def _listed_by_hami(node: _Node) -> Iterator[tuple[str, int]]:
    """Yield names and memory of devices in HAMi's annotation: `id,count,MiB,cores,type,…:`."""
    for key, value in node.annotations.items():
        if not _HAMI.match(str(key)) or not isinstance(value, str):
            continue
        if value.lstrip().startswith("["):
            yield from _listed_as_json(value)
            continue
        for entry in value.split(":"):
            cells = entry.split(",")
            mib = whole(cells[2]) if len(cells) > 4 else None
            if mib is not None:
                yield cells[4].removeprefix("NVIDIA-"), mib * 2**20


def _listed_as_json(value: str) -> Iterator[tuple[str, int]]:
    """Yield names and memory of devices in the newer form of HAMi's annotation."""
    try:
        entries = mappings(json.loads(value))
    except (ValueError, RecursionError):
        return
    for entry in entries:
        mib, name = whole(entry.get("devmem")), entry.get("type")
        if mib is not None and isinstance(name, str):
            yield name.removeprefix("NVIDIA-"), mib * 2**20


def _is_ready(status: JsonObject) -> bool:
    """Test the condition Ready; a node that does not report it counts as ready."""
    conditions = mappings(status.get("conditions"))
    return all(entry.get("status") == "True" for entry in conditions if entry.get("type") == "Ready")


def _product(labels: JsonObject, hardware: Hardware) -> tuple[str | None, Row | None]:
    """Return the product that a node's labels name, and its row."""
    for key in _PRODUCTS:
        name = str(labels.get(key) or "").removesuffix(_SHARED)
        if name:
            return name, hardware.product(name)
    numbers = hardware.pci.rows.get(f"{_AMD}:{str(labels.get(_DEVICE)).lower()}")
    if numbers is not None:
        return numbers["product"], hardware.product(numbers["product"])
    for key in _WORDS:
        name = str(labels.get(key) or "")
        machine = hardware.instance(name)
        if machine is not None:
            return machine["product"], hardware.product(machine["product"])
        if name and key not in _INSTANCES:
            return name, hardware.product(name)
    return None, None


def _resources(hardware: Hardware) -> dict[str, str]:
    """Return the kinds of devices by their Kubernetes resources, the usual resource of each kind first."""
    rows = hardware.launch.rows.items()
    usual = {row["resource"]: kind for kind, row in rows if row["resource"] is not None}
    return usual | {other: kind for kind, row in rows for other in row.get("resources") or ()}


READER = DocumentReader(
    name="kubectl get nodes -o json",
    sources=("kubernetes",),
    takes=takes,
    read=read,
    expected="nodes, as kubectl get nodes -o json prints them",
    hint="kubectl get nodes -o json",
    use=Use.DAILY,
    example="""\
{
  "kind": "List",
  "items": [
    {
      "kind": "Node",
      "metadata": {
        "name": "gpu-1",
        "labels": {"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3", "nvidia.com/gpu.memory": "81559"}
      },
      "status": {"allocatable": {"nvidia.com/gpu": "8"}}
    }
  ]
}
""",
)
