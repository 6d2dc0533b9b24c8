"""Table of `xpu-smi discovery`: Intel GPUs by name; with `-d NUMBER` also their memory."""

from __future__ import annotations

import re
from collections.abc import Iterator

from engine.base.quantities import parse_bytes
from engine.inventory.products import Hardware
from engine.inventory.reader import Priority, TextReader
from engine.inventory.readers.intel.common import KIND
from engine.inventory.seen import Lines, Seen

_ROW = re.compile(
    r"\|(?:\s*(?P<number>\d{1,5})?\s*\|)?\s*(?P<field>[A-Z][\w /]*?):"
    r"\s*(?P<value>[^|]*?)\s*\|(?:[^|]*\|)*\s*\Z"
)


def read(text: Lines, hardware: Hardware) -> Iterator[Seen]:
    """Yield the devices.

    Raises:
        DocumentError: a size cannot be read; at its line.
    """
    seen = Seen(KIND)
    number: int | None = None
    for line, content in enumerate(text.narrow().lines):
        match = _ROW.match(content.strip())
        if match is None:
            continue
        if match["number"] is not None:
            number = int(match["number"])
        elif match["field"] == "Device ID" and match["value"].isdecimal():  # the table of one device
            number = int(match["value"][:5])
        elif match["field"] == "Device Type" and number is None:
            number = 0
        if number is None:
            continue
        if match["field"] == "Device Name":
            seen.device(number, line + 1).name = match["value"]
        elif match["field"] == "PCI BDF Address" and number in seen.devices:
            seen.devices[number].address = match["value"]
        elif match["field"] == "Memory Physical Size" and number in seen.devices:
            try:
                size = float(match["value"].split()[0]) * parse_bytes("1" + match["value"].split()[1])
            except (ValueError, IndexError):
                raise text.fault(f"'{match['value']}' is not a size", line, match["value"]) from None
            seen.devices[number].memory_bytes = int(size)
    if seen.devices:
        yield seen


READER = TextReader(
    name="xpu-smi discovery",
    sources=("xpu-smi",),
    sign=re.compile(r"\| Device ID +\| Device Information|\|\s*\d*\s*\| Device Name: "),
    read=read,
    priority=Priority.OVERVIEW,
    hint="xpu-smi discovery -j; with -d 0 it has the memory",
    example="""\
+-----------+--------------------------------------------------------------------------------------+
| Device ID | Device Information                                                                   |
+-----------+--------------------------------------------------------------------------------------+
| 0         | Device Name: Intel(R) Arc(TM) B580 Graphics                                          |
|           | Vendor Name: Intel(R) Corporation                                                    |
|           | PCI BDF Address: 0000:06:00.0                                                        |
+-----------+--------------------------------------------------------------------------------------+
""",
)
