"""What the kernel says of accelerators in /sys and /dev, where no tool of their maker's is there to ask."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from engine.inventory.capture import Seen, SeenDevice
from engine.inventory.products import Hardware, Row
from engine.inventory.rocm_smi import Cells, links
from engine.quantities import whole

_BUS = "sys/bus/pci/devices"
_KFD = "sys/class/kfd/kfd/topology/nodes"
_ACCELERATOR = "1200"
"""The class of the PCI standard for processing accelerators."""
_XGMI = 11
"""What the kernel's AMD driver calls such a link (HSA_IOLINK_TYPE_XGMI in its topology)."""


def devices(
    root: Path, hardware: Hardware, hop_weight: int, told: set[str], notes: list[str]
) -> Iterator[Seen]:
    """The accelerators on the PCI bus that programs can reach, of one kind each time.

    Args:
        root: of the file system.
        hardware: what is known of PCI numbers and products.
        hop_weight: of one xGMI hop.
        told: kinds that a tool has told of already.
        notes: gets what is on the bus and can't be used.
    """
    found: dict[str, list[tuple[Path, Row]]] = {}
    for path in _sorted(root / _BUS):
        numbers = f"{_hexadecimal(path / 'vendor')}:{_hexadecimal(path / 'device')}"
        row = hardware.pci.rows.get(numbers)
        if row is not None and row["kind"] not in told:
            found.setdefault(row["kind"], []).append((path, row))
        elif row is None and _hexadecimal(path / "class").startswith(_ACCELERATOR):
            notes.append(f"the PCI bus has an accelerator {numbers} that the catalog `pci` doesn't know")
    for kind, each in found.items():
        usable = each[: _reachable(root, each[0][1], len(each))]
        if len(usable) < len(each):
            what = each[0][1]["words"]
            notes.append(
                f"the PCI bus has {len(each)} of '{what}', and /dev gives {len(usable)} of them to use"
            )
        if usable:
            yield _seen(root, kind, usable, hop_weight)


def _seen(root: Path, kind: str, found: list[tuple[Path, Row]], hop_weight: int) -> Seen:
    seen = Seen(kind)
    addresses = {}
    for number, (path, row) in enumerate(found):
        device = seen.device(number, 1)
        device.name = row["product"] or row["words"]
        device.numa_node = whole(_text(path / "numa_node"))
        _amd_memory(path, device)
        addresses[path.name] = number
    tables = _kfd(root, addresses)
    if tables["type"]:
        seen.links = list(links(tables, seen, str(hop_weight)))
    return seen


def _amd_memory(path: Path, device: SeenDevice) -> None:
    """Of AMD's driver, which alone tells it here."""
    total, used = whole(_text(path / "mem_info_vram_total")), whole(_text(path / "mem_info_vram_used"))
    device.memory_bytes = total
    device.free_bytes = None if total is None or used is None else max(total - used, 0)


def _reachable(root: Path, row: Row, count: int) -> int:
    """How many devices /dev has files for."""
    files = [file for pattern in row["nodes"] for file in (root / "dev").glob(pattern)]
    return count if files and row["shared"] else min(count, len(files))


# --- links of AMD's devices ---------------------------------------------------------------------------------


def _kfd(root: Path, addresses: Mapping[str, int]) -> dict[str, Cells]:
    """Types and weights of pairs, as AMD's driver has them; what it doesn't join directly goes over PCIe."""
    nodes = {}
    for path in _sorted(root / _KFD):
        number = addresses.get(_address_of(_properties(path / "properties")))
        if number is not None:
            nodes[path.name] = number
    types: Cells = {(a, b): "PCIE" for a in nodes.values() for b in nodes.values() if a != b}
    weights: Cells = {}
    for name, number in nodes.items():
        for path in _sorted(root / _KFD / name / "io_links"):
            link = _properties(path / "properties")
            other = nodes.get(str(link.get("node_to")))
            if other is not None and other != number and link.get("type") == _XGMI:
                types[number, other] = "XGMI"
                weights[number, other] = str(link.get("weight"))
    return {"type": types, "weight": weights}


def _address_of(node: Mapping[str, int]) -> str:
    """The PCI address of a node of the driver's topology: `location_id` packs bus, device and function."""
    place = node.get("location_id", 0)
    return f"{node.get('domain', 0):04x}:{place >> 8 & 0xFF:02x}:{place >> 3 & 0x1F:02x}.{place & 7}"


def _properties(path: Path) -> dict[str, int]:
    """Lines of `name number`."""
    words = (line.split() for line in (_text(path) or "").splitlines())
    return {each[0]: number for each in words if len(each) == 2 and (number := whole(each[1])) is not None}


# --- files --------------------------------------------------------------------------------------------------


def _sorted(folder: Path) -> list[Path]:
    """What is in a folder, numbers and addresses in their order; nothing where it can't be read."""
    try:
        return sorted(folder.iterdir(), key=lambda path: (len(path.name), path.name))
    except OSError:
        return []


def _hexadecimal(path: Path) -> str:
    return (_text(path) or "").removeprefix("0x").lower()


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return None
