"""Intel's devices in PyTorch's and vLLM's collect_env: names, memory and driver."""

from __future__ import annotations

import re
from collections.abc import Iterator

from engine.inventory.products import Hardware
from engine.inventory.reader import Priority, TextReader, Use
from engine.inventory.readers.intel.common import KIND
from engine.inventory.seen import Lines, Seen

_DEVICE = re.compile(
    r"[-*\s]*\[(?P<number>\d{1,5})\] _XpuDeviceProperties\(name='(?P<name>[^']+)'(?P<rest>.*)\)\s*\Z"
)
_MEMORY = re.compile(r"total_memory=(\d{1,9})MB")
"""PyTorch calls 2^20 bytes a MB."""
_DRIVER = re.compile(r"driver_version='([^']+)'")


def read(text: Lines, hardware: Hardware) -> Iterator[Seen]:
    """Yield the devices of the report."""
    seen = Seen(KIND)
    for line, content in enumerate(text.narrow().lines):
        match = _DEVICE.match(content)
        if match is None:
            continue
        device = seen.device(int(match["number"]), line + 1)
        device.name = match["name"]
        memory, driver = _MEMORY.search(match["rest"]), _DRIVER.search(match["rest"])
        device.memory_bytes = None if memory is None else int(memory[1]) * 2**20
        device.driver_version = None if driver is None else driver[1]
    if seen.devices:
        yield seen


READER = TextReader(
    name="python -m torch.utils.collect_env",
    sources=("collect-env",),
    sign=re.compile(r"_XpuDeviceProperties\("),
    read=read,
    priority=Priority.LIST,
    hint="paste all of collect_env's output",
    use=Use.SELDOM,
    example="""\
Intel GPU models detected:
* [0] _XpuDeviceProperties(name='Intel(R) Data Center GPU Max 1550', \
driver_version='1.3.30872', total_memory=65536MB, max_compute_units=512)
""",
)
