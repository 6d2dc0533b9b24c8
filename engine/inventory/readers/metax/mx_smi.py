"""Overview of `mx-smi`: MetaX GPUs with used and total memory."""

from __future__ import annotations

import re
from collections.abc import Iterator

from engine.inventory.products import Hardware
from engine.inventory.reader import Priority, TextReader, Use
from engine.inventory.seen import Lines, Seen

_TITLE = re.compile(r"\|\s*MX-SMI \d")
_GPU = re.compile(r"\|\s*(?P<number>\d{1,5})\s+(?:MetaX )?(?P<name>(?:MX|MetaX )?[CN]\d{3}\w*)\b.*?\|")
_MEMORY = re.compile(r"(?P<used>\d{1,9})\s*/\s*(?P<total>\d{1,9}) ?MiB")
_CUT_OFF = "the output is cut off; paste all of mx-smi"


def read(text: Lines, hardware: Hardware) -> Iterator[Seen]:
    """Yield the devices of each overview.

    Raises:
        DocumentError: an overview has no device, or a device no memory below it; at its line.
    """
    text = text.narrow()
    starts = [number for number, line in enumerate(text.lines) if _TITLE.search(line)]
    for start, end in zip(starts, [*starts, len(text.lines)][1:], strict=True):
        seen = Seen("MetaxGpu")
        for line in range(start + 1, end):
            if "Process" in text.lines[line]:
                break
            gpu = _GPU.search(text.lines[line])
            if gpu is None:
                continue
            memory = _MEMORY.search("\n".join(text.lines[line : min(line + 2, end)]))
            if memory is None or int(gpu["number"]) in seen.devices:
                raise text.fault("a device without its memory, or listed twice", line, hint=_CUT_OFF)
            device = seen.device(int(gpu["number"]), line + 1)
            device.name = f"MetaX {gpu['name'].removeprefix('MetaX ').removeprefix('MX')}"
            device.memory_bytes = int(memory["total"]) * 2**20
            device.free_bytes = max(int(memory["total"]) - int(memory["used"]), 0) * 2**20
        if not seen.devices:
            raise text.fault("mx-smi's overview without a device", start, hint=_CUT_OFF)
        yield seen


READER = TextReader(
    name="mx-smi",
    sources=("mx-smi",),
    sign=_TITLE,
    read=read,
    priority=Priority.OVERVIEW,
    hint=_CUT_OFF,
    use=Use.SELDOM,
    example="""\
+---------------------------------------------------------------------------------+
| MX-SMI 2.1.9                        Kernel Mode Driver Version: 2.9.8           |
|------------------------------------+---------------------+----------------------+
| GPU         NAME                   | Bus-id              | GPU-Util             |
| Temp        Pwr:Usage/Cap          | Memory-Usage        |                      |
|====================================+=====================+======================|
| 0           MetaX C500             | 0000:0e:00.0        | 0%                   |
| 35C         55W / 350W             | 858/65536 MiB       |                      |
+------------------------------------+---------------------+----------------------+
""",
)
