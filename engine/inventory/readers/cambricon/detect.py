"""Detection of Cambricon's devices: `cnmon`."""

from __future__ import annotations

from engine.inventory.printed import read_printed_text
from engine.inventory.products import Hardware
from engine.inventory.reader import Detector, Tools
from engine.inventory.readers.cambricon import cnmon
from engine.inventory.seen import Seen


def find(tools: Tools, hardware: Hardware) -> Seen | None:
    """Return the devices; None if there is none."""
    return read_printed_text(tools, hardware, cnmon.READER, "cnmon")


DETECTOR = Detector(
    maker="Cambricon",
    rank=80,
    tools=(),
    asks=("cnmon",),
    find=find,
    kind="CambriconMlu",
    states_memory="cnmon",
)
