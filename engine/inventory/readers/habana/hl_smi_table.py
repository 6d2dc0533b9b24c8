"""Overview that `hl-smi` prints without arguments: Gaudi cards with used and total memory."""

from __future__ import annotations

import re

from engine.inventory.overviews import Overview
from engine.inventory.reader import Excuse, Priority, TextReader

KIND = "Gaudi"
_TITLE = re.compile(r"\|\s*HL-SMI Version:")
_CARD = re.compile(
    r"\|\s*(?P<number>\d{1,5})\s+(?P<name>HL-\w+)\s.*?\|\s*(?P<address>[0-9A-Fa-f]{4}:[0-9A-Fa-f]{2}:[0-9A-Fa-f]{2}\.[0-9A-Fa-f]|N/A)\s"
)
_MEMORY = re.compile(r"(?P<used>\d{1,9}) ?MiB\s*/\s*(?P<total>\d{1,9}) ?MiB\s*\|")


_OVERVIEW = Overview("hl-smi", KIND, _TITLE, _CARD, _MEMORY)

READER = TextReader(
    name="hl-smi",
    sources=("hl-smi",),
    sign=_TITLE,
    read=_OVERVIEW.read,
    priority=Priority.OVERVIEW,
    hint=_OVERVIEW.cut_off,
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
