"""Report of CUDA's sample `deviceQuery`: name and memory of each device, in CUDA's own order."""

from __future__ import annotations

import re
from collections.abc import Iterator

from engine.inventory.products import Hardware
from engine.inventory.reader import Excuse, Priority, TextReader, Use
from engine.inventory.readers.nvidia.common import KIND
from engine.inventory.seen import Lines, Seen, SeenDevice

_DEVICE = re.compile(r"\s*Device (?P<number>\d{1,4}): \"(?P<name>[^\"]{1,99})\"\s*\Z")
_MEMORY = re.compile(r"\s*Total amount of global memory: .*\((?P<bytes>\d{1,15}) bytes\)")


def read(text: Lines, hardware: Hardware) -> Iterator[Seen]:
    """Yield the devices of a report."""
    seen = Seen(KIND, numbering="fastest")
    device: SeenDevice | None = None
    for line, content in enumerate(text.narrow().lines):
        named, memory = _DEVICE.match(content), _MEMORY.match(content)
        if named is not None:
            device = seen.device(int(named["number"]), line + 1)
            device.name = named["name"]
        elif memory is not None and device is not None:
            device.memory_bytes = int(memory["bytes"])
    if seen.devices:
        yield seen


READER = TextReader(
    name="deviceQuery",
    sources=("device-query",),
    sign=re.compile(r"^[ \t]*Device \d+: \"", re.MULTILINE),
    read=read,
    priority=Priority.REPORT,
    hint="nvidia-smi --query-gpu=index,name,memory.total --format=csv",
    use=Use.SELDOM,
    example="""\
Detected 2 CUDA Capable device(s)

Device 0: "NVIDIA GeForce RTX 2080 Ti"
  CUDA Capability Major/Minor version number:    7.5
  Total amount of global memory:                 11012 MBytes (11546656768 bytes)

Device 1: "NVIDIA GeForce RTX 2080 Ti"
  CUDA Capability Major/Minor version number:    7.5
  Total amount of global memory:                 11012 MBytes (11546656768 bytes)
""",
    excuses=(
        Excuse(
            re.compile(r"cudaGetDeviceCount returned \d+"),
            "deviceQuery found no device",
            "check that the driver is loaded; a container needs docker run --gpus all",
        ),
    ),
)
