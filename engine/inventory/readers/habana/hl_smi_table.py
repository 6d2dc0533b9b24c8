"""Overview that `hl-smi` prints without arguments: Gaudi cards with used and total memory."""

from __future__ import annotations

import re
from collections.abc import Iterator

from engine.inventory.products import Hardware
from engine.inventory.reader import Excuse, Priority, TextReader
from engine.inventory.seen import Lines, Seen

KIND = "Gaudi"
_TITLE = re.compile(r"\|\s*HL-SMI Version:")
_CARD = re.compile(
    r"\|\s*(?P<number>\d{1,5})\s+(?P<name>HL-\w+)\s.*?\|\s*(?P<address>[0-9A-Fa-f]{4}:[0-9A-Fa-f]{2}:[0-9A-Fa-f]{2}\.[0-9A-Fa-f]|N/A)\s"
)
_MEMORY = re.compile(r"(?P<used>\d{1,9}) ?MiB\s*/\s*(?P<total>\d{1,9}) ?MiB\s*\|")
_CUT_OFF = "the output is cut off; paste all of hl-smi"


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
            raise text.fault("hl-smi's overview without a card", start, hint=_CUT_OFF)
        yield seen


READER = TextReader(
    name="hl-smi",
    sources=("hl-smi",),
    sign=_TITLE,
    read=read,
    priority=Priority.OVERVIEW,
    hint=_CUT_OFF,
    example="""\
+-----------------------------------------------------------------------------+
| HL-SMI Version:                              hl-1.22.1-fw-61.4.2.1          |
| Driver Version:                                     1.22.1-97ec1a4          |
|-------------------------------+----------------------+----------------------+
| AIP  Name        Persistence-M| Bus-Id        Disp.A | Volatile Uncor-Events|
| Fan  Temp  Perf  Pwr:Usage/Cap|         Memory-Usage | AIP-Util  Compute M. |
|===============================+======================+======================|
|   0  HL-225              N/A  | 0000:33:00.0     N/A |                   2  |
| N/A   22C   P0   88W /  600W  |   768MiB /  98304MiB |     0%            0% |
|-------------------------------+----------------------+----------------------+
""",
    excuses=(
        Excuse(
            re.compile(r"=+ ?HL-SMI LOG ?=+"),
            "the log of hl-smi -q is not read",
            "paste hl-smi without arguments, or describe the machine in words: 8xGaudi3",
        ),
    ),
)
