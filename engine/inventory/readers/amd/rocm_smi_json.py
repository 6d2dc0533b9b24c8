"""JSON of `rocm-smi --showproductname --showmeminfo vram --json`: cards with names and memory."""

from __future__ import annotations

import re

from engine.base.jsontypes import Json
from engine.base.quantities import whole
from engine.inventory.decoded import mapping
from engine.inventory.products import Hardware
from engine.inventory.reader import JsonReader
from engine.inventory.readers.amd.common import KIND, SOURCES, reported_name
from engine.inventory.readers.amd.rocm_smi_products import IDS, NAMES, TOTAL, USED
from engine.inventory.seen import Seen


def takes(value: Json) -> bool:
    """Test for a mapping of cards."""
    return any(re.fullmatch(r"card\d+", str(name)) for name in mapping(value))


def read(value: Json, hardware: Hardware) -> Seen:
    """Return the devices of the cards."""
    seen = Seen(KIND)
    for name, card in mapping(value).items():
        match = re.fullmatch(r"card(\d{1,5})", str(name))
        if match is None or not isinstance(card, dict):
            continue
        device = seen.device(int(match[1]), 1)
        device.name = reported_name(
            [card.get(key) for key in NAMES], [card.get(key) for key in IDS], hardware
        )
        device.memory_bytes, used_bytes = whole(card.get(TOTAL)), whole(card.get(USED))
        if device.memory_bytes is not None and used_bytes is not None:
            device.free_bytes = max(device.memory_bytes - used_bytes, 0)
    return seen


READER = JsonReader(
    name="rocm-smi --showproductname --showmeminfo vram --json",
    sources=SOURCES,
    takes=takes,
    read=read,
    hint="rocm-smi --showproductname --showmeminfo vram --json",
    example="""\
{
  "card0": {
    "Card Series": "AMD Instinct MI300X",
    "VRAM Total Memory (B)": "206141652992",
    "VRAM Total Used Memory (B)": "297545728"
  }
}
""",
)
