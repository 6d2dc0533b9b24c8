"""Report of `rocm-smi -i` (`--showid`): devices by name or PCI device id."""

from __future__ import annotations

import re
from collections.abc import Iterator

from engine.inventory.products import Hardware
from engine.inventory.reader import Priority, TextReader, Use
from engine.inventory.readers.amd.common import KIND, SOURCES, product_of_id
from engine.inventory.seen import Lines, Seen

_FIELD = re.compile(
    r"GPU\[(?P<number>\d{1,5})\]\s*: (?P<name>Device Name|Device ID|GPU ID):\s*(?P<value>\S.*?)\s*\Z"
)


def read(text: Lines, hardware: Hardware) -> Iterator[Seen]:
    """Yield the devices."""
    seen = Seen(KIND)
    for line, content in enumerate(text.narrow().lines):
        match = _FIELD.match(content.strip())
        if match is None:
            continue
        device = seen.device(int(match["number"]), line + 1)
        if match["name"] == "Device Name" and not match["value"].startswith("0x"):
            device.name = match["value"]
        elif match["value"].startswith("0x") and (
            device.name is None or hardware.product(device.name) is None
        ):
            named, _ = product_of_id(match["value"], hardware)
            device.name = named or device.name
    if seen.devices:
        yield seen


READER = TextReader(
    name="rocm-smi --showid",
    sources=SOURCES,
    sign=re.compile(r"^GPU\[\d+\]\s*: (?:Device Name|Device ID|GPU ID):", re.MULTILINE),
    read=read,
    priority=Priority.LIST,
    hint="rocm-smi --showproductname --showmeminfo vram",
    use=Use.SELDOM,
    example="""\
GPU[0]          : Device Name:          AMD Instinct MI300X
GPU[0]          : Device ID:            0x74a1
GPU[0]          : Device Rev:           0x00
""",
)
