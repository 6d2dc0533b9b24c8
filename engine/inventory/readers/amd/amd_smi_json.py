"""JSON of `amd-smi static --json` and `amd-smi topology --json`, in the forms of older and newer versions."""

from __future__ import annotations

import re
from collections.abc import Iterator

from engine.base.errors import DocumentError
from engine.base.jsontypes import Json, JsonObject
from engine.base.quantities import whole
from engine.inventory.decoded import mapping, mappings, number_of, text_of
from engine.inventory.products import Hardware
from engine.inventory.reader import JsonReader
from engine.inventory.readers.amd.common import KIND, SOURCES, Cells, add_links, note_part
from engine.inventory.seen import Seen


def takes(value: Json) -> bool:
    """Test for a list of devices, or newer versions' mapping with such a list."""
    entries = _entries(value)
    return bool(entries) and all("gpu" in entry for entry in entries)


def _entries(value: Json) -> list[JsonObject]:
    return mappings(value.get("gpu_data") if isinstance(value, dict) else value)


def read(value: Json, hardware: Hardware) -> Seen:
    """Return the devices and links.

    Raises:
        DocumentError: a device has no number, or a link ends at a device that is not listed.
    """
    seen = Seen(KIND)
    tables: dict[str, Cells] = {"type": {}, "weight": {}}
    for entry in _entries(value):
        number = number_of(entry, "gpu", "amd-smi")
        device = seen.device(number, 1)
        device.name = text_of(mapping(entry.get("asic")).get("market_name"))
        size = mapping(mapping(entry.get("vram")).get("size"))
        megabytes = size.get("value")
        if isinstance(megabytes, int) and size.get("unit") == "MB":
            device.memory_bytes = megabytes * 2**20
        device.numa_node = whole(mapping(entry.get("numa")).get("node"))
        partition = mapping(entry.get("partition"))
        for key in ("accelerator_partition", "compute_partition"):
            note_part(device, str(partition.get(key)), seen, hardware)
        for other, kind, weight in _ends(entry):
            tables["type"][number, other] = kind
            tables["weight"][number, other] = weight
    numbers = set(seen.devices)
    if any(not {first, second} <= numbers for first, second in tables["type"]):
        raise DocumentError("amd-smi: a link ends at a device that is not listed")
    if tables["type"]:
        add_links(tables, seen, hardware)
    return seen


def _ends(device: JsonObject) -> Iterator[tuple[int, str, str]]:
    """Yield the other device, type and weight of each link, in the newer and the older form."""
    for link in mappings(device.get("links")):
        other, kind = link.get("gpu"), link.get("link_type")
        if isinstance(other, int) and isinstance(kind, str):
            yield other, kind, str(link.get("weight", "N/A"))
    weights = mapping(device.get("weight"))
    for name, kind in mapping(device.get("link_type")).items():
        match = re.fullmatch(r"gpu_(\d{1,5})", str(name))
        if match is not None:
            yield int(match[1]), str(kind), str(weights.get(name, "N/A"))


READER = JsonReader(
    name="amd-smi static --json",
    sources=SOURCES,
    takes=takes,
    read=read,
    hint="amd-smi static --asic --vram --numa --json",
    example="""\
[
  {
    "gpu": 0,
    "asic": {"market_name": "AMD Instinct MI300X"},
    "vram": {"type": "HBM", "size": {"value": 196592, "unit": "MB"}},
    "numa": {"node": 0}
  }
]
""",
)
