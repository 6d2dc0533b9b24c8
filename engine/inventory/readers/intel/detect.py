"""Detection of Intel's GPUs: `xpu-smi`, once for the list and once per device for its memory."""

from __future__ import annotations

from engine.base.errors import EngineError
from engine.base.quantities import whole
from engine.inventory.decoded import mapping
from engine.inventory.printed import parse_json, parse_printed
from engine.inventory.products import Hardware
from engine.inventory.reader import Detector, Tools
from engine.inventory.readers.intel import xpu_smi
from engine.inventory.seen import Seen


def find(tools: Tools, hardware: Hardware) -> Seen | None:
    """Return the devices; None if there is none."""
    seen = parse_printed(tools, hardware, xpu_smi.READER, "xpu-smi", "discovery", "-j")
    for device in [] if seen is None else seen.devices.values():
        printed = tools.run("xpu-smi", "discovery", "-d", str(device.number), "-j")
        try:
            if printed is not None:
                details = mapping(parse_json(printed, "xpu-smi"))
                device.memory_bytes = whole(details.get("memory_physical_size_byte"))
        except EngineError as error:
            tools.notes.append(f"xpu-smi: {error.message}")
    return seen


DETECTOR = Detector(
    maker="Intel",
    rank=40,
    tools=("xpu-smi",),
    asks=("xpu-smi",),
    find=find,
    kind="IntelOneApi",
    states_memory="xpu-smi discovery -d 0 -j",
)
