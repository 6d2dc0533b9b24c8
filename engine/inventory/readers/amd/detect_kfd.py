"""What AMD's kernel driver shows in /sys: memory of a device, and xGMI links (its KFD topology)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from engine.base.quantities import whole
from engine.inventory.kernel_files import entries_of, text_of
from engine.inventory.products import Hardware
from engine.inventory.readers.amd.common import KIND, Cells, add_links
from engine.inventory.seen import Seen

_NODES = "sys/class/kfd/kfd/topology/nodes"
_XGMI = 11
"""Type of an xGMI link in the driver's topology (HSA_IOLINK_TYPE_XGMI)."""


def describe(root: Path, folders: Sequence[Path], seen: Seen, hardware: Hardware) -> None:
    """Add memory and links to AMD GPUs that were found on the PCI bus.

    Args:
        root: of the file system.
        folders: of the devices under /sys/bus/pci/devices, by their numbers.
        seen: the devices.
        hardware: the catalog `links` has the weight of one xGMI hop.
    """
    if seen.kind != KIND:
        return
    for number, folder in enumerate(folders):
        total = whole(text_of(folder / "mem_info_vram_total"))
        used = whole(text_of(folder / "mem_info_vram_used"))
        device = seen.devices[number]
        device.memory_bytes = total
        device.free_bytes = None if total is None or used is None else max(total - used, 0)
    tables = _tables(root, {folder.name: number for number, folder in enumerate(folders)})
    if tables["type"]:
        add_links(tables, seen, hardware)


def _tables(root: Path, addresses: Mapping[str, int]) -> dict[str, Cells]:
    """Return types and weights of pairs; a pair without a direct link goes over PCIe."""
    nodes = {}
    for path in entries_of(root / _NODES):
        number = addresses.get(_address_of(_properties(path / "properties")))
        if number is not None:
            nodes[path.name] = number
    types: Cells = {(a, b): "PCIE" for a in nodes.values() for b in nodes.values() if a != b}
    weights: Cells = {}
    for name, number in nodes.items():
        for path in entries_of(root / _NODES / name / "io_links"):
            link = _properties(path / "properties")
            other = nodes.get(str(link.get("node_to")))
            if other is not None and other != number and link.get("type") == _XGMI:
                types[number, other] = "XGMI"
                weights[number, other] = str(link.get("weight"))
    return {"type": types, "weight": weights}


def _address_of(node: Mapping[str, int]) -> str:
    """Return the PCI address of a node of the topology: `location_id` packs bus, device and function."""
    location = node.get("location_id", 0)
    return f"{node.get('domain', 0):04x}:{location >> 8 & 0xFF:02x}:{location >> 3 & 0x1F:02x}.{location & 7}"


def _properties(path: Path) -> dict[str, int]:
    """Return the numbers in a file of `name number` lines."""
    lines = (line.split() for line in (text_of(path) or "").splitlines())
    return {
        words[0]: number for words in lines if len(words) == 2 and (number := whole(words[1])) is not None
    }
