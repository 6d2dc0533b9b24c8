"""Text of `system_profiler SPHardwareDataType`: an Apple chip, whose GPU uses the machine's memory.

`sysctl machdep.cpu.brand_string hw.memsize` is read as well.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from engine.base.quantities import parse_bytes
from engine.inventory.products import Hardware
from engine.inventory.reader import Excuse, Priority, TextReader
from engine.inventory.seen import Lines, Seen

_CHIP = re.compile(r"\s*(?:Chip|Chipset Model|machdep\.cpu\.brand_string): *(?P<name>Apple \S.*?)\s*\Z")
_BYTES = re.compile(r"hw\.memsize: *(?P<bytes>\d{1,15})\s*\Z")
_MEMORY = re.compile(r"\s*Memory: *(?P<size>\d{1,6} [GT]B)\s*\Z")


def read(text: Lines, hardware: Hardware) -> Iterator[Seen]:
    """Yield the chip as one device."""
    seen = Seen("MetalGpu")
    memory: int | None = None
    for line, content in enumerate(text.narrow().lines):
        chip, size = _CHIP.match(content), _MEMORY.match(content)
        if chip is not None and not seen.devices:
            seen.device(0, line + 1).name = chip["name"]
        exact = _BYTES.match(content)
        if exact is not None and memory is None:
            memory = int(exact["bytes"])
        if size is not None and memory is None:
            memory = parse_bytes(size["size"].replace("B", "iB"))
    for device in seen.devices.values():
        device.memory_bytes = memory
        if memory is None:
            seen.notes.append("the text does not state the memory; add system_profiler SPHardwareDataType")
        yield seen


READER = TextReader(
    name="system_profiler SPHardwareDataType",
    sources=("system_profiler",),
    sign=re.compile(r"^[ \t]*(?:Chip|Chipset Model|machdep\.cpu\.brand_string): ", re.MULTILINE),
    read=read,
    priority=Priority.REPORT,
    hint="system_profiler SPHardwareDataType; Macs with an Intel CPU list no chip",
    example="""\
Hardware:

    Hardware Overview:

      Model Name: Mac Studio
      Chip: Apple M2 Max
      Memory: 64 GB
""",
    excuses=(
        Excuse(
            re.compile(r"^[ \t]*Processor Name: .*Intel", re.MULTILINE),
            "a Mac with an Intel CPU has no accelerator that models run on",
            "describe the machine in words: engine eval --inventory 1xL4",
        ),
    ),
)
