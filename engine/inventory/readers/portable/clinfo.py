"""Report of `clinfo`: OpenCL's GPUs with names and memory."""

from __future__ import annotations

import re
from collections.abc import Iterator

from engine.base.quantities import whole
from engine.inventory.products import Hardware
from engine.inventory.reader import Priority, TextReader, Use
from engine.inventory.seen import Lines, Seen, SeenDevice

_FIELD = re.compile(
    r"\s*(?P<field>Device Name|Device Board Name \(AMD\)|Device Type|Global memory size|Board name)"
    r"(?::\s*|\s{2,})(?P<value>\S.*?)\s*\Z"
)


def read(text: Lines, hardware: Hardware) -> Iterator[Seen]:
    """Yield the GPUs of the first platform that lists some."""
    found: list[SeenDevice] = []
    kinds: list[str] = []
    for line, content in enumerate(text.narrow().lines):
        match = _FIELD.match(content)
        if match is None:
            continue
        field, value = match["field"], match["value"]
        if field == "Device Name" or (field == "Device Type" and (not kinds or kinds[-1])):
            if field == "Device Type":
                found.append(SeenDevice(len(found), line=line + 1))
                kinds.append(value)
                continue
            found.append(SeenDevice(len(found), name=value, line=line + 1))
            kinds.append("")
        elif found and field in ("Device Board Name (AMD)", "Board name"):
            found[-1].name = value
        elif found and field == "Device Type":
            kinds[-1] = value
        elif found and field == "Global memory size":
            found[-1].memory_bytes = whole(value.split()[0])
    seen = Seen(None)
    for device, kind in zip(found, kinds, strict=True):
        row = hardware.product(device.name)
        if "GPU" in kind and row is not None:
            device.number = len(seen.devices)
            if row["shared_memory"]:
                device.memory_bytes = None
            seen.devices[device.number] = device
    if seen.devices:
        yield seen


READER = TextReader(
    name="clinfo",
    sources=("clinfo",),
    sign=re.compile(r"^Number of platforms[: ]", re.MULTILINE),
    read=read,
    priority=Priority.FALLBACK,
    hint="clinfo names no accelerator that catalog products knows; use the tool of the device's maker",
    use=Use.SELDOM,
    example="""\
Number of platforms                               1
  Platform Name                                   Intel(R) OpenCL Graphics
Number of devices                                 1
  Device Name                                     Intel(R) Arc(TM) A770 Graphics
  Device Type                                     GPU
  Global memory size                              16225243136 (15.11GiB)
""",
)
