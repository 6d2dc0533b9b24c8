"""Lines of `tegrastats` on a Jetson: the memory that GPU and CPU share."""

from __future__ import annotations

import re
from collections.abc import Iterator

from engine.inventory.products import Hardware
from engine.inventory.reader import Priority, TextReader, Use
from engine.inventory.readers.nvidia.common import KIND
from engine.inventory.seen import Lines, Seen

_LINE = re.compile(r"RAM (?P<used>\d{1,9})/(?P<total>\d{1,9})MB ?\(lfb ")
_MODEL = re.compile(r"(?:NVIDIA )?(?P<name>Jetson (?:AGX |Orin |Xavier )?[A-Za-z]+(?: Nano| NX)?)[^\n]{0,60}")


def read(text: Lines, hardware: Hardware) -> Iterator[Seen]:
    """Yield the module's GPU, with the memory that the last line states."""
    seen = Seen(KIND)
    for line, content in enumerate(text.narrow().lines):
        match = _LINE.search(content)
        if match is None:
            continue
        device = seen.device(0, line + 1)
        total = int(match["total"]) * 2**20
        device.memory_bytes, device.free_bytes = total, max(total - int(match["used"]) * 2**20, 0)
        device.name = device.name or _model(text)
    if seen.devices:
        yield seen


def _model(text: Lines) -> str:
    """Return the module that the text names."""
    names = (match["name"] for line in text.narrow().lines if (match := _MODEL.search(line)))
    return next(names, "Jetson")


READER = TextReader(
    name="tegrastats",
    sources=("tegrastats",),
    sign=re.compile(r"RAM \d+/\d+MB \(lfb "),
    read=read,
    priority=Priority.OVERVIEW,
    hint="tegrastats, and cat /proc/device-tree/model for the module",
    use=Use.SELDOM,
    example="""\
NVIDIA Jetson AGX Orin Developer Kit
11-20-2026 10:00:01 RAM 5123/30697MB (lfb 5x4MB) SWAP 0/15348MB (cached 0MB) CPU [1%@729,0%@729] GR3D_FREQ 0%
""",
)
