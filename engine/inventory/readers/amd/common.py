"""Links of AMD's devices, as every tool and the kernel driver describe them: tables of pairs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from engine.inventory.products import Hardware
from engine.inventory.seen import Seen, SeenDevice, SeenLink

KIND = "RocmGpu"
SOURCES = ("rocm-smi", "amd-smi")
CUT_OFF = "the output is cut off; paste all of it"

Cells = dict[tuple[int, int], str]
"""Cells of a table of pairs, by the numbers of both devices."""

VENDOR = "1002"
"""AMD's PCI vendor id."""


def product_of_id(device_id: str, hardware: Hardware) -> tuple[str | None, int | None]:
    """Return the product of a PCI device id (`0x74a1`), and its memory in bytes, as far as they are known."""
    row = hardware.pci.rows.get(f"{VENDOR}:{device_id.lower().removeprefix('0x')}")
    name = None if row is None else row["product"] or row["words"]
    product = hardware.product(name)
    memory = None if product is None else product["memory_mib"]
    return name, None if memory is None else memory * 2**20


_DIVIDED = frozenset({"DPX", "TPX", "QPX", "CPX"})
"""Compute modes in which a card is listed as several devices; in SPX it is one."""


def note_part(device: SeenDevice, mode: str, seen: Seen, hardware: Hardware) -> bool:
    """Name a device as the part of a divided card that it is, and add a note.

    A memory that is that of the whole card is dropped.

    Returns:
        whether the mode divides the card.
    """
    if mode not in _DIVIDED:
        return False
    product = hardware.product(device.name)
    if product is not None and device.memory_bytes == (product["memory_mib"] or 0) * 2**20:
        device.memory_bytes = device.free_bytes = None
    device.name = None if device.name is None else f"{device.name} {mode}"
    seen.notes.append(f"GPU {device.number} is one part of a card in mode {mode}, not a whole card")
    return True


PARTS = {"DPX": 2, "TPX": 3, "QPX": 4}
"""Parts of a card by its mode; CPX has one for each of its dies."""


_BRACKETS = re.compile(r"\[(?P<name>[^\[\]]+)\]\s*\Z")


def reported_name(values: Iterable[object], ids: Iterable[object], hardware: Hardware) -> str | None:
    """Return the name of a device from what rocm-smi prints for it.

    Args:
        values: names by preference: some versions print `N/A`, an id, or `Arcturus GL-XL [Instinct MI100]`.
        ids: values that may be its PCI device id, for devices without a name of their own.
        hardware: the catalogs of products and PCI ids.
    """
    names = [str(value) for value in values if value not in (None, "", "N/A")]
    name = next((name for name in names if not name.startswith("0x")), None)
    brackets = None if name is None else _BRACKETS.search(name)
    if brackets is not None and hardware.product(brackets["name"]) is not None:
        return brackets["name"]
    if hardware.product(name) is not None:
        return name
    by_id = (product_of_id(str(value), hardware)[0] for value in ids if str(value).startswith("0x"))
    return next((known for known in by_id if known is not None), name)


def share_memory(parts: Sequence[SeenDevice], hardware: Hardware) -> None:
    """Give each part of a card its share of the memory: drivers print for each what several share."""
    name = (parts[0].name or "").rpartition(" ")[0]
    product = hardware.product(name)
    sizes = [part.memory_bytes or 0 for part in parts]
    if product is None or product["memory_mib"] is None or sum(sizes) <= product["memory_mib"] * 2**20:
        return
    share = product["memory_mib"] // len(parts) * 2**20
    for part in parts:
        used = (part.memory_bytes or 0) - (part.free_bytes or 0) if part.free_bytes is not None else None
        part.memory_bytes = share
        part.free_bytes = None if used is None else max(share - used, 0)


_UNREPORTED = {"0", "N/A"}
"""Weights that some drivers print for every pair."""


def add_links(tables: Mapping[str, Cells], seen: Seen, hardware: Hardware) -> None:
    """Add direct xGMI links and PCIe paths to devices, and a note on pairs without either.

    With weights alone, pairs of the weight of one hop are xGMI. The hops themselves are no help: they are
    printed as 1 for every xGMI pair.

    Args:
        tables: "type", "weight" and "hops", as far as they were printed.
        seen: the devices.
        hardware: the catalog `links` has the weight of one xGMI hop.
    """
    hop_weight = str(hardware.links.rows["XGMI"]["hop_weight"])
    seen.links = list(_links(tables, seen, hop_weight))


def _links(tables: Mapping[str, Cells], seen: Seen, hop_weight: str) -> Iterator[SeenLink]:
    types, weights = tables.get("type"), tables.get("weight")
    pairs = types or weights or tables["hops"]
    unknown = 0
    for first, second in pairs:
        if first >= second:
            continue
        code = _code(types, weights, (first, second), hop_weight)
        if code is None:
            unknown += 1
            continue
        yield SeenLink(first, second, code, 1 if code == "XGMI" else None)
    if unknown:
        seen.notes.append(f"{unknown} pairs have no direct link, or its type is not reported")


def _code(types: Cells | None, weights: Cells | None, pair: tuple[int, int], hop_weight: str) -> str | None:
    weight = None if weights is None else weights.get(pair)
    if types is not None and (types.get(pair) != "XGMI" or weight in _UNREPORTED):
        return types.get(pair)
    if weight is not None:
        return "XGMI" if weight == hop_weight else None
    return None if types is None else "XGMI"
