"""Report of `rocm-smi --showproductname --showmeminfo vram`: product names, total and used memory."""

from __future__ import annotations

import re
from collections.abc import Iterator

from engine.base.quantities import whole
from engine.inventory.products import Hardware
from engine.inventory.reader import Priority, TextReader
from engine.inventory.readers.amd.common import KIND, SOURCES, reported_name
from engine.inventory.seen import Lines, Seen

NAMES = ("Card Series", "Card series", "Card Model", "Card model")
IDS = ("Device ID", "GPU ID", "Card Model", "Card model")
TOTAL, USED = "VRAM Total Memory (B)", "VRAM Total Used Memory (B)"
_FIELD = re.compile(r"GPU\[(?P<number>\d{1,5})\]\s*: (?P<name>[^:]+?)\s*:\s*(?P<value>.*\S)\s*\Z")


def read(text: Lines, hardware: Hardware) -> Iterator[Seen]:
    """Yield the devices that have a name or a size."""
    seen = Seen(KIND)
    used: dict[int, int] = {}
    named: dict[int, dict[str, str]] = {}
    for line, content in enumerate(text.narrow().lines):
        match = _FIELD.match(content.strip())
        if match is None:
            continue
        number, name, value = int(match["number"]), match["name"], match["value"]
        if name in (*NAMES, *IDS):
            seen.device(number, line + 1)
            named.setdefault(number, {}).setdefault(name, value)
        elif name == TOTAL:
            seen.device(number, line + 1).memory_bytes = whole(value)
        elif name == USED:
            used[number] = whole(value) or 0
    for number, device in seen.devices.items():
        fields = named.get(number, {})
        device.name = reported_name(map(fields.get, NAMES), map(fields.get, IDS), hardware)
        if device.memory_bytes is not None and number in used:
            device.free_bytes = max(device.memory_bytes - used[number], 0)
    if seen.devices:
        yield seen


READER = TextReader(
    name="rocm-smi --showproductname --showmeminfo vram",
    sources=SOURCES,
    sign=re.compile(r"^[ \t]*GPU\[\d+\]", re.MULTILINE),
    read=read,
    priority=Priority.LIST,
    hint="rocm-smi --showproductname --showmeminfo vram",
    example="""\
GPU[0]          : Card Series:          AMD Instinct MI300X
GPU[0]          : VRAM Total Memory (B): 206141652992
GPU[0]          : VRAM Total Used Memory (B): 297545728
""",
)
