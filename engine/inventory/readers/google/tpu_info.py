"""Tables of `tpu-info`: TPU chips by type, with the memory in use."""

from __future__ import annotations

import re
from collections.abc import Iterator

from engine.inventory.products import Hardware
from engine.inventory.reader import Priority, TextReader, Use
from engine.inventory.seen import Lines, Seen

_ROW = re.compile(
    r"[│┃|]\s*/dev/(?:accel|vfio/)?\d{1,4}\s*[│┃|]"
    r"\s*(?:TPU ?)?(?P<type>v?\d[\w ]*?)(?: chip)?\s*[│┃|]"
)
_USAGE = re.compile(
    r"[│┃|]\s*\d{1,4}\s*[│┃|]\s*(?P<used>\d{1,6}\.\d{1,3}) GiB / (?P<total>\d{1,6}\.\d{1,3}) GiB\s*[│┃|]"
)


def read(text: Lines, hardware: Hardware) -> Iterator[Seen]:
    """Yield the chips; the memory of a chip with two cores is the sum of both."""
    seen = Seen("Tpu")
    text = text.narrow()
    for line, content in enumerate(text.lines):
        match = _ROW.search(content)
        if match is not None:
            device = seen.device(len(seen.devices), line + 1)
            device.name = f"TPU {match['type']}"
    usages = [match for line in text.lines if (match := _USAGE.search(line))]
    if not seen.devices or len(usages) % len(seen.devices):
        if seen.devices:
            yield seen
        return
    cores = len(usages) // len(seen.devices)
    for number, device in seen.devices.items():
        mine = usages[number * cores : (number + 1) * cores]
        if mine:
            device.memory_bytes = sum(int(float(match["total"]) * 2**30) for match in mine)
            used = sum(int(float(match["used"]) * 2**30) for match in mine)
            device.free_bytes = max(device.memory_bytes - used, 0)
    yield seen


READER = TextReader(
    name="tpu-info",
    sources=("tpu-info",),
    sign=re.compile(r"^TPU Chips|[│┃|] */dev/(?:accel|vfio/)\d+ *[│┃|]", re.MULTILINE),
    read=read,
    priority=Priority.OVERVIEW,
    hint="tpu-info prints the chips of this host; describe a slice in words: v5p-8",
    use=Use.SELDOM,
    example="""\
TPU Chips
┏━━━━━━━━━━━━━┳━━━━━━━━━━━━━┳━━━━━━━━━┳━━━━━━━┓
┃ Chip        ┃ Type        ┃ Devices ┃ PID   ┃
┡━━━━━━━━━━━━━╇━━━━━━━━━━━━━╇━━━━━━━━━╇━━━━━━━┩
│ /dev/accel0 │ TPU v6e chip │ 1       │ None  │
│ /dev/accel1 │ TPU v6e chip │ 1       │ None  │
└─────────────┴─────────────┴─────────┴───────┘
""",
)
