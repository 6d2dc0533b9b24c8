"""Table of `rocm-smi` without arguments: devices by PCI device id (DID), and the memory in use in percent.

The catalog `pci` names products by their ids. Other versions print the name below the row, or neither.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from engine.inventory.products import Hardware
from engine.inventory.reader import Priority, TextReader
from engine.inventory.readers.amd.common import KIND, PARTS, SOURCES, note_part, product_of_id
from engine.inventory.seen import Lines, Seen

_TITLE = re.compile(r"=+ Concise Info =+")
_ROW = re.compile(
    r"(?P<number>\d{1,5})\s+\d+\s+(?P<id>0x[0-9a-fA-F]{1,4}),\s+\d+\s.*?(?P<used>\d{1,3})%\s+\S+\s*\Z"
)
_MODE = re.compile(r"\bNPS\d, *(?P<mode>[A-Z]PX)\b")
_OLD = re.compile(r"(?P<number>\d{1,5})\s+(?:\S+°?[Cc]|N/A)\s.*\d+%")
_MODEL = re.compile(
    r"(?P<number>\d{1,5})\s+\[0x[0-9a-fA-F]{1,4} : 0x[0-9a-fA-F]{1,4}\]\s.*?(?P<used>\d{1,3})%\s+\S+\s*\Z"
)
_END = re.compile(r"=+ End of ROCm SMI Log =+")


def read(text: Lines, hardware: Hardware) -> Iterator[Seen]:
    """Yield the devices of each table."""
    text = text.narrow()
    for start, line in enumerate(text.lines):
        if _TITLE.search(line):
            seen = Seen(KIND)
            for number in range(start + 1, len(text.lines)):
                content = text.lines[number].strip()
                if _END.search(content):
                    break
                below = text.lines[number + 1].strip() if number + 1 < len(text.lines) else ""
                _add(seen, content, below, number, hardware)
            if seen.devices:
                yield seen


def _add(seen: Seen, content: str, below: str, line: int, hardware: Hardware) -> None:
    match, model = _ROW.match(content), _MODEL.match(content)
    if model is not None:
        name = below.rstrip(" (")
        seen.device(int(model["number"]), line + 1).name = name if hardware.product(name) else None
        return
    if match is None:
        older = _OLD.match(content)
        if older is not None:
            seen.device(int(older["number"]), line + 1)
        return
    device = seen.device(int(match["number"]), line + 1)
    device.name, device.memory_bytes = product_of_id(match["id"], hardware)
    if device.name is None:
        device.name = f"AMD device {match['id'].lower()}"
    mode = _MODE.search(content)
    if mode is not None and note_part(device, mode["mode"], seen, hardware):
        # The tool prints the memory of the whole card for each of its parts.
        parts = PARTS.get(mode["mode"])
        whole_memory = product_of_id(match["id"], hardware)[1]
        device.memory_bytes = None if parts is None or whole_memory is None else whole_memory // parts
        return
    if device.memory_bytes is not None and match["used"] != "0":
        device.free_bytes = device.memory_bytes * (100 - min(int(match["used"]), 100)) // 100
    if device.memory_bytes is None:
        seen.notes.append(
            f"rocm-smi does not state the memory of GPU {device.number}; add --showmeminfo vram"
        )


READER = TextReader(
    name="rocm-smi",
    sources=SOURCES,
    sign=re.compile(r"=+ Concise Info =+"),
    read=read,
    priority=Priority.LIST,
    hint="rocm-smi --showproductname --showmeminfo vram",
    example="""\
================================ ROCm System Management Interface ================================
========================================== Concise Info ==========================================
Device  Node  IDs              Temp        Power     Partitions          SCLK    VRAM%  GPU%
              (DID,     GUID)  (Junction)  (Socket)  (Mem, Compute, ID)
==================================================================================================
0       2     0x74a1,   55354  51.0°C      152.0W    NPS1, SPX, 0        134Mhz  0%     0%
1       3     0x74a1,   41632  48.0°C      146.0W    NPS1, SPX, 0        134Mhz  0%     0%
==================================================================================================
====================================== End of ROCm SMI Log =======================================
""",
)
