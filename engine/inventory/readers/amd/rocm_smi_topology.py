"""Tables of `rocm-smi --showtopo`: weights, hops and types of the links between devices, and NUMA nodes.

The tables have neither names nor sizes: paste `rocm-smi --showproductname --showmeminfo vram` with them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from engine.inventory.products import Hardware
from engine.inventory.reader import Priority, TextReader
from engine.inventory.readers.amd.common import CUT_OFF, KIND, SOURCES, Cells, add_links
from engine.inventory.seen import Lines, Seen

_TITLES = {
    "Weight between two GPUs": "weight",
    "Hops between two GPUs": "hops",
    "Link Type between two GPUs": "type",
}
_NUMA = re.compile(r"GPU\[(?P<number>\d+)\]\s*: \(Topology\) Numa Node: (?P<node>-?\d+)")


def read(text: Lines, hardware: Hardware) -> Iterator[Seen]:
    """Yield the devices and links of all tables together.

    Raises:
        DocumentError: a table is cut off; at its line.
    """
    tables: dict[str, Cells] = {}
    seen = Seen(KIND)
    for start, line in enumerate(text.lines):
        title = line.strip("= ")
        if title in _TITLES and "=" in line:
            tables[_TITLES[title]] = _table(text, start, seen)
    for number, content in enumerate(text.lines):
        match = _NUMA.search(content)
        if match and int(match["node"]) >= 0:
            seen.device(int(match["number"]), number + 1).numa_node = int(match["node"])
    if tables:
        add_links(tables, seen, hardware)
        yield seen


def _table(text: Lines, start: int, seen: Seen) -> Cells:
    end = len(text.lines)
    below = (line for line in range(start + 1, end) if text.lines[line].strip())
    first = next(below, end)
    header = text.lines[first].split() if first < end else []
    if not header or not all(re.fullmatch(r"GPU\d+", token) for token in header):
        raise text.fault("a table without columns", start, hint=CUT_OFF)
    numbers = [int(token[3:]) for token in header]
    cells: Cells = {}
    for number in numbers:
        line = next(below, end)
        tokens = text.lines[line].split() if line < end else []
        if not tokens or tokens[0] != f"GPU{number}" or len(tokens) != len(numbers) + 1:
            message = (
                f"the table has columns for {len(numbers)} devices; row GPU{number} is missing or cut off"
            )
            raise text.fault(message, min(line, end - 1), hint=CUT_OFF)
        seen.device(number, line + 1)
        for other, cell in zip(numbers, tokens[1:], strict=True):
            cells[number, other] = cell
    return cells


READER = TextReader(
    name="rocm-smi --showtopo",
    sources=SOURCES,
    sign=re.compile(r"between two GPUs"),
    read=read,
    priority=Priority.LINKS,
    hint=CUT_OFF,
    example="""\
============================ Weight between two GPUs =============================
       GPU0         GPU1
GPU0   0            15
GPU1   15           0
=========================== Link Type between two GPUs ===========================
       GPU0         GPU1
GPU0   0            XGMI
GPU1   XGMI         0
================================== Numa Nodes ====================================
GPU[0]          : (Topology) Numa Node: 0
GPU[1]          : (Topology) Numa Node: 1
""",
)
