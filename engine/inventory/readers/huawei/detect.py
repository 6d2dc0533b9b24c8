"""Detection of Huawei's devices: `npu-smi info`."""

from __future__ import annotations

from engine.inventory.printed import read_printed_text
from engine.inventory.products import Hardware
from engine.inventory.reader import Detector, Tools
from engine.inventory.readers.huawei import npu_smi
from engine.inventory.seen import Seen


def find(tools: Tools, hardware: Hardware) -> Seen | None:
    """Return the devices; None if there is none."""
    return read_printed_text(tools, hardware, npu_smi.READER, "npu-smi", "info")


DETECTOR = Detector(
    maker="Huawei",
    rank=70,
    tools=(),
    asks=("npu-smi",),
    find=find,
    kind="AscendNpu",
    states_memory="npu-smi info",
)
