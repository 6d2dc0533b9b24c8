"""Overview of `cnmon`: Cambricon cards with used and total memory."""

from __future__ import annotations

import re

from engine.inventory.overviews import Overview
from engine.inventory.reader import Priority, TextReader, Use

KIND = "CambriconMlu"
_TITLE = re.compile(r"\|\s*CNMON v?\d")
_CARD = re.compile(
    r"\|\s*(?P<number>\d{1,5})\s+\S+\s+(?P<name>MLU[\w-]+)\s+\S+\s*\|\s*(?P<address>[0-9A-Fa-f]{4}:[0-9A-Fa-f:.]+)\s*\|"
)
_MEMORY = re.compile(r"(?P<used>\d{1,9}) ?MiB\s*/\s*(?P<total>\d{1,9}) ?MiB\s*\|")


_OVERVIEW = Overview("cnmon", KIND, _TITLE, _CARD, _MEMORY)

READER = TextReader(
    name="cnmon",
    sources=("cnmon",),
    sign=_TITLE,
    read=_OVERVIEW.read,
    priority=Priority.OVERVIEW,
    hint=_OVERVIEW.cut_off,
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
