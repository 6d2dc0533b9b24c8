"""Overview of `cnmon`: Cambricon cards with used and total memory."""

from __future__ import annotations

import re
from collections.abc import Iterator

from engine.inventory.products import Hardware
from engine.inventory.reader import Priority, TextReader, Use
from engine.inventory.seen import Lines, Seen

KIND = "CambriconMlu"
_TITLE = re.compile(r"\|\s*CNMON v?\d")
_CARD = re.compile(
    r"\|\s*(?P<number>\d{1,5})\s+\S+\s+(?P<name>MLU[\w-]+)\s+\S+\s*\|\s*(?P<address>[0-9A-Fa-f]{4}:[0-9A-Fa-f:.]+)\s*\|"
)
_MEMORY = re.compile(r"(?P<used>\d{1,9}) ?MiB\s*/\s*(?P<total>\d{1,9}) ?MiB\s*\|")
_CUT_OFF = "the output is cut off; paste all of cnmon"


def read(text: Lines, hardware: Hardware) -> Iterator[Seen]:
    """Yield the cards of each overview.

    Raises:
        DocumentError: an overview has no card, or a card no second line; at its line.
    """
    text = text.narrow()
    starts = [number for number, line in enumerate(text.lines) if _TITLE.search(line)]
    for start, end in zip(starts, [*starts, len(text.lines)][1:], strict=True):
        seen = Seen(KIND)
        for line in range(start + 1, end):
            card = _CARD.search(text.lines[line])
            if card is None:
                continue
            memory = _MEMORY.search(text.lines[line + 1]) if line + 1 < end else None
            if memory is None or int(card["number"]) in seen.devices:
                raise text.fault("a card without its second line, or listed twice", line, hint=_CUT_OFF)
            device = seen.device(int(card["number"]), line + 1)
            device.name, device.address = card["name"], card["address"]
            device.memory_bytes = int(memory["total"]) * 2**20
            device.free_bytes = max(int(memory["total"]) - int(memory["used"]), 0) * 2**20
        if not seen.devices:
            raise text.fault("cnmon's overview without a card", start, hint=_CUT_OFF)
        yield seen


READER = TextReader(
    name="cnmon",
    sources=("cnmon",),
    sign=_TITLE,
    read=read,
    priority=Priority.OVERVIEW,
    hint=_CUT_OFF,
    use=Use.SELDOM,
    example="""\
+------------------------------------------------------------------------------+
| CNMON v5.10.22                                               Driver v5.10.22 |
+-------------------------------+----------------------+-----------------------+
| Card  VF  Name       Firmware |               Bus-Id | Util        Ecc-Error |
| Fan   Temp      Pwr:Usage/Cap |         Memory-Usage | Mode     Compute-Mode |
|===============================+======================+=======================|
| 0     /   MLU370-X8    v1.1.6 |         0000:13:00.0 | 0%                  0 |
|  0%   28C        107 W/ 250 W |     0 MiB/ 20638 MiB | FULL          Default |
+-------------------------------+----------------------+-----------------------+
""",
)
