"""Overview of `mthreads-gmi`: Moore Threads GPUs with used and total memory."""

from __future__ import annotations

import re
from collections.abc import Iterator

from engine.inventory.products import Hardware
from engine.inventory.reader import Priority, TextReader, Use
from engine.inventory.seen import Lines, Seen

_TITLE = re.compile(r"mthreads-gmi: ?\d|\bmthreads-gmi\b.*Driver Version")
_GPU = re.compile(r"(?:\|\s*)?(?P<number>\d{1,5})\s+(?P<name>MTT \S+)\s")
_MEMORY = re.compile(
    r"(?P<used>\d{1,9}) ?MiB\s*\(\s*(?P<total>\d{1,9}) ?MiB\s*\)"
    r"|(?P<used2>\d{1,9}) ?MiB\s*/\s*(?P<total2>\d{1,9}) ?MiB"
)
_CUT_OFF = "the output is cut off; paste all of mthreads-gmi"


def read(text: Lines, hardware: Hardware) -> Iterator[Seen]:
    """Yield the devices of each overview.

    Raises:
        DocumentError: an overview has no device, or a device no memory below it; at its line.
    """
    text = text.narrow()
    starts = [number for number, line in enumerate(text.lines) if _TITLE.search(line)]
    for start, end in zip(starts, [*starts, len(text.lines)][1:], strict=True):
        seen = Seen("MusaGpu")
        for line in range(start + 1, end):
            if "Process" in text.lines[line]:
                break
            gpu = _GPU.match(text.lines[line].strip())
            if gpu is None:
                continue
            memory = _MEMORY.search("\n".join(text.lines[line : min(line + 3, end)]))
            if memory is None or int(gpu["number"]) in seen.devices:
                raise text.fault("a device without its memory, or listed twice", line, hint=_CUT_OFF)
            device = seen.device(int(gpu["number"]), line + 1)
            device.name = gpu["name"]
            used, total = int(memory["used"] or memory["used2"]), int(memory["total"] or memory["total2"])
            device.memory_bytes, device.free_bytes = total * 2**20, max(total - used, 0) * 2**20
        if not seen.devices:
            raise text.fault("mthreads-gmi's overview without a device", start, hint=_CUT_OFF)
        yield seen


READER = TextReader(
    name="mthreads-gmi",
    sources=("mthreads-gmi",),
    sign=_TITLE,
    read=read,
    priority=Priority.OVERVIEW,
    hint=_CUT_OFF,
    use=Use.SELDOM,
    example="""\
Fri Nov 20 10:00:01 2026
---------------------------------------------------------------
    mthreads-gmi:1.14.0          Driver Version:2.7.0
---------------------------------------------------------------
ID   Name           |PCIe                |%GPU  Mem
     Device Type    |Pcie Lane Width     |Temp  MPC Capable
+-------------------------------------------------------------+
0    MTT S4000      |00000000:01:00.0    |0%    0MiB(49152MiB)
     Physical       |16x(16x)            |35C   YES
---------------------------------------------------------------
""",
)
