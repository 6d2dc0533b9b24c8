"""Report of `amd-smi list`: devices by number and PCI address, without names."""

from __future__ import annotations

import re
from collections.abc import Iterator

from engine.inventory.products import Hardware
from engine.inventory.reader import Priority, TextReader, Use
from engine.inventory.readers.amd.common import KIND, SOURCES
from engine.inventory.seen import Lines, Seen, SeenDevice

_GPU = re.compile(r"GPU: (?P<number>\d{1,5})\s*\Z")
_FIELD = re.compile(r"\s+(?P<name>BDF|UUID): (?P<value>\S+)\s*\Z")


def read(text: Lines, hardware: Hardware) -> Iterator[Seen]:
    """Yield the devices that have an address."""
    seen = Seen(KIND)
    device: SeenDevice | None = None
    for line, content in enumerate(text.narrow().lines):
        gpu, field = _GPU.match(content), _FIELD.match(content)
        if gpu is not None:
            device = SeenDevice(int(gpu["number"]), line=line + 1)
        elif field is not None and device is not None:
            seen.devices.setdefault(device.number, device)
            setattr(device, "address" if field["name"] == "BDF" else "uuid", field["value"])
    if seen.devices:
        yield seen


READER = TextReader(
    name="amd-smi list",
    sources=SOURCES,
    sign=re.compile(r"^GPU: \d+[ \t]*\n[ \t]+BDF: ", re.MULTILINE),
    read=read,
    priority=Priority.LINKS,
    hint="amd-smi list has neither names nor memory: amd-smi static --asic --vram --numa",
    use=Use.SELDOM,
    example="""\
GPU: 0
    BDF: 0000:05:00.0
    UUID: 00ff74a1-0000-1000-8000-000000000000
""",
)
