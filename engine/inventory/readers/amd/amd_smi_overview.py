"""Overview that `amd-smi` prints without arguments: names, used and total memory.

A card that is divided (`CPX`, `DPX`, …) is listed once for each of its parts, which are devices of their own:
slower than the product, and with a share of its memory.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from engine.inventory.products import Hardware
from engine.inventory.reader import Priority, TextReader
from engine.inventory.readers.amd.common import CUT_OFF, KIND, SOURCES, note_part, share_memory
from engine.inventory.seen import Lines, Seen, SeenDevice

_TITLE = "| AMD-SMI "
_NAMED = re.compile(
    r"\|\s*(?P<card>[0-9A-Fa-f]{4}:[0-9A-Fa-f]{2}:[0-9A-Fa-f]{2})\.[0-9A-Fa-f]\s+(?P<name>\S[^|]*?)\s*\|"
)
_MODE = re.compile(r"\b(?P<mode>[A-Z]PX)/NPS\d\b")
_NUMBERED = re.compile(r"\|\s*(?P<number>\d{1,5})\s.*\|.*?(?P<used>\d{1,9})/(?P<total>\d{1,9}) MB\s*\|")


def read(text: Lines, hardware: Hardware) -> Iterator[Seen]:
    """Yield the devices of the first overview.

    Raises:
        DocumentError: it is cut off; at its line.
    """
    text = text.narrow()
    start = next((number for number, line in enumerate(text.lines) if _TITLE in line), None)
    if start is None:
        return
    seen = Seen(KIND)
    parts: dict[str, list[SeenDevice]] = {}
    for line in range(start + 1, len(text.lines)):
        named = _NAMED.match(text.lines[line].strip())
        if named is None:
            continue
        second = text.lines[line + 1].strip() if line + 1 < len(text.lines) else ""
        numbered = _NUMBERED.match(second)
        if numbered is None:
            raise text.fault("a device without its second line", line, hint=CUT_OFF)
        device = seen.device(int(numbered["number"]), line + 1)
        device.name = named["name"]
        used, total = int(numbered["used"]), int(numbered["total"])
        device.memory_bytes, device.free_bytes = total * 2**20, max(total - used, 0) * 2**20
        mode = _MODE.search(second)
        if mode is not None and note_part(device, mode["mode"], seen, hardware):
            parts.setdefault(named["card"], []).append(device)
    if not seen.devices:
        raise text.fault("amd-smi's overview without a device", start, hint=CUT_OFF)
    for devices in parts.values():
        share_memory(devices, hardware)
    yield seen


READER = TextReader(
    name="amd-smi",
    sources=SOURCES,
    sign=re.compile(r"\| AMD-SMI \d"),
    read=read,
    priority=Priority.OVERVIEW,
    hint=CUT_OFF,
    example="""\
+------------------------------------------------------------------------------+
| AMD-SMI 26.2.2               amdgpu version: 6.16.6   ROCm version: 7.2.0    |
| Platform: Linux Baremetal                                                    |
|-------------------------------------+----------------------------------------|
| BDF                        GPU-Name | Mem-Uti   Temp   UEC       Power-Usage |
| GPU  HIP-ID  OAM-ID  Partition-Mode | GFX-Uti    Fan               Mem-Usage |
|=====================================+========================================|
| 0000:05:00.0    AMD Instinct MI355X | 0 %      41 °C   0          250/1400 W |
|   0       0       7        SPX/NPS1 | 0 %        N/A           289/294896 MB |
|-------------------------------------+----------------------------------------|
| 0000:15:00.0    AMD Instinct MI355X | 0 %      41 °C   0          247/1400 W |
|   1       1       6        SPX/NPS1 | 0 %        N/A           289/294896 MB |
+-------------------------------------+----------------------------------------+
""",
)
