"""JSON of `system_profiler SPHardwareDataType -json`: an Apple chip, whose GPU uses the machine's memory."""

from __future__ import annotations

from engine.base.jsontypes import Json
from engine.base.quantities import parse_bytes
from engine.inventory.decoded import mapping, mappings, text_of
from engine.inventory.products import Hardware
from engine.inventory.reader import JsonReader
from engine.inventory.seen import Seen

_KIND = "MetalGpu"


def takes(value: Json) -> bool:
    """Test for the section on hardware."""
    return "SPHardwareDataType" in mapping(value)


def read(value: Json, hardware: Hardware) -> Seen:
    """Return the chip as one device."""
    seen = Seen(_KIND)
    for entry in mappings(mapping(value)["SPHardwareDataType"])[:1]:
        chip = text_of(entry.get("chip_type"))
        if chip is None:
            continue
        device = seen.device(0, 1)
        device.name = chip
        try:
            device.memory_bytes = parse_bytes(str(entry.get("physical_memory")).replace("GB", "GiB"))
        except ValueError:
            seen.notes.append("system_profiler does not report the memory")
    return seen


READER = JsonReader(
    name="system_profiler SPHardwareDataType -json",
    sources=("system_profiler",),
    takes=takes,
    read=read,
    hint="system_profiler SPHardwareDataType -json; Macs with an Intel CPU list no chip",
    example="""\
{"SPHardwareDataType": [{"chip_type": "Apple M2 Max", "physical_memory": "64 GB"}]}
""",
)
