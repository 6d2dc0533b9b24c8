"""Table of `dcgmi discovery -l`: names of the devices by their number, without memory."""

from __future__ import annotations

import re
from collections.abc import Iterator

from engine.inventory.products import Hardware
from engine.inventory.reader import Priority, TextReader, Use
from engine.inventory.readers.nvidia.common import KIND
from engine.inventory.seen import Lines, Seen, SeenDevice

_DEVICE = re.compile(r"\|\s*(?P<number>\d{1,4})\s*\|\s*Name: (?P<name>\S[^|]*?)\s*\|")
_FIELD = re.compile(r"\|\s*\|\s*(?P<name>PCI Bus ID|Device UUID): (?P<value>\S+)\s*\|")


def read(text: Lines, hardware: Hardware) -> Iterator[Seen]:
    """Yield the devices of a table."""
    seen = Seen(KIND)
    device: SeenDevice | None = None
    for line, content in enumerate(text.narrow().lines):
        named, field = _DEVICE.search(content), _FIELD.search(content)
        if named is not None:
            device = seen.device(int(named["number"]), line + 1)
            device.name = named["name"]
        elif field is not None and device is not None:
            setattr(device, "uuid" if field["name"] == "Device UUID" else "address", field["value"])
    if seen.devices:
        yield seen


READER = TextReader(
    name="dcgmi discovery -l",
    sources=("dcgmi",),
    sign=re.compile(r"\|\s*\d+\s*\|\s*Name: \S"),
    read=read,
    priority=Priority.LIST,
    hint="nvidia-smi --query-gpu=index,name,memory.total --format=csv",
    use=Use.SELDOM,
    example="""\
1 GPU found.
+--------+----------------------------------------------------------------------+
| GPU ID | Device Information                                                   |
+--------+----------------------------------------------------------------------+
| 0      | Name: NVIDIA H100 80GB HBM3                                          |
|        | PCI Bus ID: 00000000:1B:00.0                                         |
|        | Device UUID: GPU-00000000-0000-0000-0000-000000000000                |
+--------+----------------------------------------------------------------------+
""",
)
