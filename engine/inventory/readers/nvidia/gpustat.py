"""List of `gpustat`: names, used and total memory, one line per device."""

from __future__ import annotations

import re
from collections.abc import Iterator

from engine.inventory.products import Hardware
from engine.inventory.reader import Priority, TextReader
from engine.inventory.readers.nvidia.common import KIND
from engine.inventory.seen import Lines, Seen

_DEVICE = re.compile(
    r"\[(?P<number>\d{1,5})\]\s+(?P<name>[^|]+?)\s*\|.*?(?P<used>\d{1,9})\s*/\s*(?P<total>\d{1,9})\s*MB"
)


def read(text: Lines, hardware: Hardware) -> Iterator[Seen]:
    """Yield the devices of each list."""
    seen = Seen(KIND)
    for line, content in enumerate(text.narrow().lines):
        match = _DEVICE.match(content.strip())
        if match is None:
            continue
        if int(match["number"]) in seen.devices:
            yield seen
            seen = Seen(KIND)
        device = seen.device(int(match["number"]), line + 1)
        device.name = match["name"]
        device.memory_bytes = int(match["total"]) * 2**20
        device.free_bytes = max(int(match["total"]) - int(match["used"]), 0) * 2**20
    if seen.devices:
        yield seen


READER = TextReader(
    name="gpustat",
    sources=("gpustat",),
    sign=re.compile(r"^[ \t]*\[\d+\] [^|\n]+\|[^\n]*\d+ */ *\d+ *MB", re.MULTILINE),
    read=read,
    priority=Priority.OVERVIEW,
    hint="gpustat",
    example="""\
host  Sun Dec 10 16:18:40 2023  525.147.05
[0] NVIDIA GeForce RTX 3090 | 21'C,   0 % |   319 / 24576 MB |
[1] NVIDIA GeForce RTX 3090 | 21'C,   0 % |   319 / 24576 MB |
""",
)
