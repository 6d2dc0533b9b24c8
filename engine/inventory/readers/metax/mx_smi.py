"""Overview of `mx-smi`: MetaX GPUs with used and total memory."""

from __future__ import annotations

import re

from engine.inventory.overviews import Overview
from engine.inventory.reader import Priority, TextReader, Use

_TITLE = re.compile(r"\|\s*MX-SMI \d")
_GPU = re.compile(r"\|\s*(?P<number>\d{1,5})\s+(?:MetaX )?(?P<name>(?:MX|MetaX )?[CN]\d{3}\w*)\b.*?\|")
_MEMORY = re.compile(r"(?P<used>\d{1,9})\s*/\s*(?P<total>\d{1,9}) ?MiB")


def _named(name: str) -> str:
    return f"MetaX {name.removeprefix('MetaX ').removeprefix('MX')}"


_OVERVIEW = Overview("mx-smi", "MetaxGpu", _TITLE, _GPU, _MEMORY, named=_named)

READER = TextReader(
    name="mx-smi",
    sources=("mx-smi",),
    sign=_TITLE,
    read=_OVERVIEW.read,
    priority=Priority.OVERVIEW,
    hint=_OVERVIEW.cut_off,
    use=Use.SELDOM,
    example="""\
+---------------------------------------------------------------------------------+
| MX-SMI 2.1.9                        Kernel Mode Driver Version: 2.9.8           |
|------------------------------------+---------------------+----------------------+
| GPU         NAME                   | Bus-id              | GPU-Util             |
| Temp        Pwr:Usage/Cap          | Memory-Usage        |                      |
|====================================+=====================+======================|
| 0           MetaX C500             | 0000:0e:00.0        | 0%                   |
| 35C         55W / 350W             | 858/65536 MiB       |                      |
+------------------------------------+---------------------+----------------------+
""",
)
