"""Report of `amd-smi static`: product name, memory and NUMA node, one field per line."""

from __future__ import annotations

import re
from collections.abc import Iterator

from engine.base.quantities import whole
from engine.inventory.products import Hardware
from engine.inventory.reader import Priority, TextReader
from engine.inventory.readers.amd.common import KIND, SOURCES, note_part
from engine.inventory.seen import Lines, Seen, SeenDevice

_GPU = re.compile(r"GPU: (?P<number>\d{1,5})\s*\Z")
_FIELD = re.compile(r"\s+(?P<name>[A-Z_]+): (?P<value>.*\S)\s*\Z")
_SECTION = re.compile(r"\s+(?P<name>[A-Z_]+):\s*\Z")
PARTITIONS = ("ACCELERATOR_PARTITION", "COMPUTE_PARTITION")
_MB = re.compile(r"(\d{1,9}) MB\Z")
"""The tool's library calls 2^20 bytes a MB."""


def read(text: Lines, hardware: Hardware) -> Iterator[Seen]:
    """Yield the devices that have a name or a size."""
    seen = Seen(KIND)
    device: SeenDevice | None = None
    section = ""
    modes: dict[int, str] = {}
    for line, content in enumerate(text.narrow().lines):
        if match := _GPU.match(content):
            device = seen.device(int(match["number"]), line + 1)
        elif match := _SECTION.match(content):
            section = match["name"]
        elif device is not None and (match := _FIELD.match(content)):
            _describe(device, section, match["name"], match["value"])
            if match["name"] in PARTITIONS:
                modes[device.number] = match["value"]
        elif content.strip() and not content.startswith(" "):
            device = None
    seen.devices = {
        number: entry for number, entry in seen.devices.items() if entry.name or entry.memory_bytes
    }
    for number, mode in modes.items():
        if number in seen.devices:
            note_part(seen.devices[number], mode, seen, hardware)
    if seen.devices:
        yield seen


def _describe(device: SeenDevice, section: str, name: str, value: str) -> None:
    if name == "MARKET_NAME" and value != "N/A":
        device.name = value
    elif section == "VRAM" and name == "SIZE" and (size := _MB.match(value)):
        device.memory_bytes = int(size[1]) * 2**20
    elif section == "NUMA" and name == "NODE":
        device.numa_node = whole(value)


READER = TextReader(
    name="amd-smi static",
    sources=SOURCES,
    sign=re.compile(r"^GPU: \d+[ \t]*$", re.MULTILINE),
    read=read,
    priority=Priority.REPORT,
    hint="paste the sections ASIC and VRAM too: amd-smi static --asic --vram --numa",
    example="""\
GPU: 0
    ASIC:
        MARKET_NAME: AMD Instinct MI300X
    VRAM:
        TYPE: HBM
        SIZE: 196592 MB
    NUMA:
        NODE: 0
""",
)
