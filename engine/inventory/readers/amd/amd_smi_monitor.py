"""Table of `amd-smi monitor`: used and total memory of each device, without names."""

from __future__ import annotations

import re
from collections.abc import Iterator

from engine.inventory.products import Hardware
from engine.inventory.reader import Priority, TextReader
from engine.inventory.readers.amd.common import KIND, SOURCES
from engine.inventory.seen import Lines, Seen

_HEAD = re.compile(r"\s*GPU(?: +[A-Z_%-]+)+\s*\Z")
_ROW = re.compile(r"\s*(?P<number>\d{1,5})\s+\S")
_SIZE = re.compile(r"(?P<size>\d{1,9}(?:\.\d{1,3})?) ?(?P<unit>[MG]B)")
_PAIR = re.compile(r"(?P<used>\d{1,9}(?:\.\d{1,3})?)\s*/\s*(?P<total>\d{1,9}(?:\.\d{1,3})?) ?(?P<unit>[MG]B)")
_UNITS = {"MB": 2**20, "GB": 2**30}
"""The tool's library calls 2^20 bytes a MB."""


def read(text: Lines, hardware: Hardware) -> Iterator[Seen]:
    """Yield the devices of the first table that has the memory."""
    text = text.narrow()
    for start, line in enumerate(text.lines):
        if not _HEAD.match(line) or "VRAM" not in line:
            continue
        seen = Seen(KIND)
        for number in range(start + 1, len(text.lines)):
            row = _ROW.match(text.lines[number])
            if row is None or int(row["number"]) in seen.devices:
                break
            used, total = _memory(line, text.lines[number])
            device = seen.device(int(row["number"]), number + 1)
            device.memory_bytes = total
            device.free_bytes = None if used is None or total is None else max(total - used, 0)
        if any(device.memory_bytes for device in seen.devices.values()):
            yield seen
            return


def _memory(head: str, row: str) -> tuple[int | None, int | None]:
    """Return used and total bytes: a pair `283/196300 MB`, or the columns VRAM_USED and VRAM_TOTAL."""
    pair = _PAIR.search(row)
    if pair is not None:
        unit = _UNITS[pair["unit"]]
        return int(float(pair["used"]) * unit), int(float(pair["total"]) * unit)
    sizes = [int(float(match["size"]) * _UNITS[match["unit"]]) for match in _SIZE.finditer(row)]
    columns = [name for name in head.split() if name.startswith("VRAM_") and "%" not in name]
    named = dict(zip(columns, sizes, strict=False)) if len(columns) == len(sizes) else {}
    return named.get("VRAM_USED"), named.get("VRAM_TOTAL")


READER = TextReader(
    name="amd-smi monitor",
    sources=SOURCES,
    sign=re.compile(r"^[ \t]*GPU(?: +[A-Z_%-]+)* +VRAM", re.MULTILINE),
    read=read,
    priority=Priority.OVERVIEW,
    hint="amd-smi monitor --vram-usage, and amd-smi static --asic for the names",
    example="""\
GPU  POWER  GPU_TEMP  MEM_TEMP  VRAM_USED  VRAM_TOTAL
  0  248 W     55 °C     48 °C     283 MB   196300 MB
  1  247 W     55 °C     48 °C     283 MB   196300 MB
""",
)
