"""Links of AMD's devices, as every tool and the kernel driver describe them: tables of pairs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from engine.inventory.products import Hardware
from engine.inventory.seen import Seen, SeenLink

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
