"""Detection of Google's devices: `tpu-info`."""

from __future__ import annotations

from engine.inventory.printed import read_printed_text
from engine.inventory.products import Hardware
from engine.inventory.reader import Detector, Tools
from engine.inventory.readers.google import tpu_info
from engine.inventory.seen import Seen


def find(tools: Tools, hardware: Hardware) -> Seen | None:
    """Return the devices; None if there is none."""
    return read_printed_text(tools, hardware, tpu_info.READER, "tpu-info")


DETECTOR = Detector(
    maker="Google",
    rank=110,
    tools=(),
    asks=("tpu-info",),
    find=find,
    kind="Tpu",
    states_memory="tpu-info",
)
