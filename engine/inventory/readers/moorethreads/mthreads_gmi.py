"""Overview of `mthreads-gmi`: Moore Threads GPUs with used and total memory."""

from __future__ import annotations

import re

from engine.inventory.overviews import Overview
from engine.inventory.reader import Priority, TextReader, Use

_TITLE = re.compile(r"mthreads-gmi: ?\d|\bmthreads-gmi\b.*Driver Version")
_GPU = re.compile(r"\A(?:\|\s*)?(?P<number>\d{1,5})\s+(?P<name>MTT \S+)\s")
_MEMORY = re.compile(
    r"(?P<used>\d{1,9}) ?MiB\s*\(\s*(?P<total>\d{1,9}) ?MiB\s*\)"
    r"|(?P<used2>\d{1,9}) ?MiB\s*/\s*(?P<total2>\d{1,9}) ?MiB"
)


_OVERVIEW = Overview("mthreads-gmi", "MusaGpu", _TITLE, _GPU, _MEMORY, rows=3)

READER = TextReader(
    name="mthreads-gmi",
    sources=("mthreads-gmi",),
    sign=_TITLE,
    read=_OVERVIEW.read,
    priority=Priority.OVERVIEW,
    hint=_OVERVIEW.cut_off,
    use=Use.SELDOM,
    example="""\
Fri Nov 20 10:00:01 2026
---------------------------------------------------------------
    mthreads-gmi:1.14.0          Driver Version:2.7.0
---------------------------------------------------------------
ID   Name           |PCIe                |%GPU  Mem
     Device Type    |Pcie Lane Width     |Temp  MPC Capable
+-------------------------------------------------------------+
0    MTT S4000      |00000000:01:00.0    |0%    0MiB(49152MiB)
     Physical       |16x(16x)            |35C   YES
---------------------------------------------------------------
""",
)
