"""Detection of MetaX's devices: `mx-smi`."""

from __future__ import annotations

from engine.inventory.printed import read_printed_text
from engine.inventory.products import Hardware
from engine.inventory.reader import Detector, Tools
from engine.inventory.readers.metax import mx_smi
from engine.inventory.seen import Seen


def find(tools: Tools, hardware: Hardware) -> Seen | None:
    """Return the devices; None if there is none."""
    return read_printed_text(tools, hardware, mx_smi.READER, "mx-smi")


DETECTOR = Detector(
    maker="MetaX",
    rank=90,
    tools=(),
    asks=("mx-smi",),
    find=find,
    kind="MetaxGpu",
    states_memory="mx-smi",
)
