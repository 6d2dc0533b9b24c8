"""Detection of Apple's chips: `system_profiler`, which only macOS has."""

from __future__ import annotations

from engine.inventory.printed import parse_printed
from engine.inventory.products import Hardware
from engine.inventory.reader import Detector, Tools
from engine.inventory.readers.apple import system_profiler
from engine.inventory.seen import Seen


def find(tools: Tools, hardware: Hardware) -> Seen | None:
    """Return the chip; None on other machines."""
    command = ("system_profiler", "SPHardwareDataType", "-json")
    return parse_printed(tools, hardware, system_profiler.READER, *command)


DETECTOR = Detector(
    maker="Apple",
    rank=60,
    tools=(),
    asks=("system_profiler",),
    find=find,
    kind="MetalGpu",
    states_memory="system_profiler SPHardwareDataType",
)
