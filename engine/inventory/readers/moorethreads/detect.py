"""Detection of Moore Threads's devices: `mthreads-gmi`."""

from __future__ import annotations

from engine.inventory.printed import read_printed_text
from engine.inventory.products import Hardware
from engine.inventory.reader import Detector, Tools
from engine.inventory.readers.moorethreads import mthreads_gmi
from engine.inventory.seen import Seen


def find(tools: Tools, hardware: Hardware) -> Seen | None:
    """Return the devices; None if there is none."""
    return read_printed_text(tools, hardware, mthreads_gmi.READER, "mthreads-gmi")


DETECTOR = Detector(
    maker="Moore Threads",
    rank=100,
    tools=(),
    asks=("mthreads-gmi",),
    find=find,
    kind="MusaGpu",
    states_memory="mthreads-gmi",
)
