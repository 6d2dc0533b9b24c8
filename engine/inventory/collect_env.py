"""What PyTorch's collect_env says of devices beside what tools print: AMD's first, and all of Intel's."""

from __future__ import annotations

import re

from engine.inventory.capture import Lines, Seen

_AMD = re.compile(
    r"GPU models and configuration\s*:\s*(?P<name>AMD [^(]*[^\s(])\s*(?:\(gfx[^)]*\)?)?\s*(?:Nvidia .*)?\Z"
)
_INTEL = re.compile(
    r"[-*\s]*\[(?P<number>\d{1,5})\] _XpuDeviceProperties\(name='(?P<name>[^']+)'(?P<rest>.*)\)\s*\Z"
)
_MEMORY = re.compile(r"total_memory=(\d{1,9})MB")
_DRIVER = re.compile(r"driver_version='([^']+)'")


def amd_name(text: Lines) -> str | None:
    """The name of the first of a machine's AMD devices, which is all that it tells of them."""
    return next((match["name"] for line in text.lines if (match := _AMD.search(line))), None)


def intel(text: Lines) -> Seen | None:
    """Intel's devices; None where there are none. Their MB are of 2^20 bytes."""
    seen = Seen("IntelOneApi")
    for line, content in enumerate(text.lines):
        match = _INTEL.match(content)
        if match is None:
            continue
        device = seen.device(int(match["number"]), line + 1)
        device.name = match["name"]
        memory, driver = _MEMORY.search(match["rest"]), _DRIVER.search(match["rest"])
        device.memory_bytes = None if memory is None else int(memory[1]) * 2**20
        device.driver_version = None if driver is None else driver[1]
    return seen if seen.devices else None
