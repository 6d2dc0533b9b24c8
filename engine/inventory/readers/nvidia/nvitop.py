"""Overview of `nvitop`: names, used and total memory, in boxes of two lines per device or one."""

from __future__ import annotations

import re
from collections.abc import Iterator

from engine.inventory.products import Hardware
from engine.inventory.reader import Priority, TextReader, Use
from engine.inventory.readers.nvidia.common import CUT_OFF, KIND
from engine.inventory.seen import Lines, Seen

_DEVICE = re.compile(
    r"[│|]\s*(?P<number>\d{1,5})\s+(?P<name>(?:\.\.)?[A-Za-z].*?)\s+(?:On|Off|N/A|WDDM|TCC)\s*[│|]"
)
_CUT = re.compile(r"\A\.\.\S*\s+")
"""Names too long for the box lose their beginning: `..la V100-SXM2-16GB`."""
_SIZE = r"\d{1,9}(?:\.\d{1,3})?"
_MEMORY = re.compile(rf"(?P<used>{_SIZE}) ?(?P<used_unit>[KMG])iB\s*/\s*(?P<total>{_SIZE}) ?(?P<unit>[MG])iB")
_UNITS = {"K": 2**10, "M": 2**20, "G": 2**30}


def read(text: Lines, hardware: Hardware) -> Iterator[Seen]:
    """Yield the devices.

    Raises:
        DocumentError: a device has no memory below it; at its line.
    """
    text = text.narrow()
    if not any("NVITOP" in line for line in text.lines):
        return
    seen = Seen(KIND)
    for line, content in enumerate(text.lines):
        match = _DEVICE.search(content)
        if match is None or int(match["number"]) in seen.devices:
            continue
        below = text.lines[line + 1] if line + 1 < len(text.lines) else ""
        memory = _MEMORY.search(content) or _MEMORY.search(below)
        if memory is None:
            raise text.fault("a device without its memory", line, hint=CUT_OFF)
        device = seen.device(int(match["number"]), line + 1)
        device.name = _CUT.sub("", match["name"])
        total = int(float(memory["total"]) * _UNITS[memory["unit"]])
        used = int(float(memory["used"]) * _UNITS[memory["used_unit"]])
        device.memory_bytes, device.free_bytes = total, max(total - used, 0)
    if seen.devices:
        yield seen


READER = TextReader(
    name="nvitop",
    sources=("nvitop",),
    sign=re.compile(r"\bNVITOP \d"),
    read=read,
    priority=Priority.OVERVIEW,
    hint=CUT_OFF,
    use=Use.SELDOM,
    example="""\
╒═════════════════════════════════════════════════════════════════════════════╕
│ NVITOP 1.3.2        Driver Version: 535.129.03      CUDA Driver Version: 12.2 │
├───────────────────────────────┬──────────────────────┬──────────────────────┤
│ GPU  Name        Persistence-M│ Bus-Id        Disp.A │ Volatile Uncorr. ECC │
│ Fan  Temp  Perf  Pwr:Usage/Cap│         Memory-Usage │ GPU-Util  Compute M. │
╞═══════════════════════════════╪══════════════════════╪══════════════════════╡
│   0  GeForce RTX 3090    Off  │ 00000000:01:00.0 Off │                  N/A │
│ 30%   35C    P8    25W / 350W │   319MiB / 24576MiB  │      0%      Default │
╘═══════════════════════════════╧══════════════════════╧══════════════════════╛
""",
)
