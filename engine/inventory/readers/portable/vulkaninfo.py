"""Report of `vulkaninfo --summary`: GPUs by name."""

from __future__ import annotations

import re
from collections.abc import Iterator

from engine.inventory.products import Hardware
from engine.inventory.reader import Priority, TextReader, Use
from engine.inventory.seen import Lines, Seen

_GPU = re.compile(r"GPU(?P<number>\d{1,3}):\s*\Z")
_FIELD = re.compile(r"\s*(?P<field>deviceType|deviceName)\s*= *(?P<value>\S.*?)\s*\Z")


def read(text: Lines, hardware: Hardware) -> Iterator[Seen]:
    """Yield the GPUs; a software renderer is none."""
    seen = Seen("VulkanGpu", portable=True)
    number: int | None = None
    kinds: dict[int, str] = {}
    for line, content in enumerate(text.narrow().lines):
        gpu, field = _GPU.match(content), _FIELD.match(content)
        if gpu is not None:
            number = int(gpu["number"])
        elif field is not None and number is not None:
            if field["field"] == "deviceType":
                kinds[number] = field["value"]
            else:
                name = re.sub(r" \((?:RADV|NVK|DG2|[A-Z]+) [^()]*\)\Z", "", field["value"])
                seen.device(number, line + 1).name = name
    seen.devices = {
        number: device for number, device in seen.devices.items() if "CPU" not in kinds.get(number, "")
    }
    if seen.devices:
        yield seen


READER = TextReader(
    name="vulkaninfo --summary",
    sources=("vulkaninfo",),
    sign=re.compile(r"^[ \t]*deviceName +=", re.MULTILINE),
    read=read,
    priority=Priority.FALLBACK,
    hint="vulkaninfo has names only; use the tool of the device's maker",
    use=Use.SELDOM,
    example="""\
GPU0:
        apiVersion         = 1.3.274
        deviceType         = PHYSICAL_DEVICE_TYPE_DISCRETE_GPU
        deviceName         = AMD Radeon RX 7900 XTX (RADV NAVI31)
""",
)
