"""Tables of `amd-smi topology`: weights, hops and types of the links between devices.

Devices are listed by PCI address or number, in the tool's order. The tables have neither names nor sizes:
paste `amd-smi static` with them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from engine.inventory.products import Hardware
from engine.inventory.reader import Priority, TextReader, Use
from engine.inventory.readers.amd.common import CUT_OFF, KIND, SOURCES, Cells, add_links
from engine.inventory.seen import Lines, Seen

_TABLE = re.compile(r"\s*(?P<title>[A-Z][A-Z -]*) TABLE:\s*\Z")
_TITLES = {"WEIGHT": "weight", "HOPS": "hops", "LINK TYPE": "type"}
_LABEL = re.compile(r"(?:[0-9A-Fa-f]{4}:[0-9A-Fa-f]{2}:[0-9A-Fa-f]{2}\.[0-9A-Fa-f]|GPU\d{1,5})\Z")


def read(text: Lines, hardware: Hardware) -> Iterator[Seen]:
    """Yield the devices and links of all tables together.

    Raises:
        DocumentError: a table is cut off; at its line.
    """
    tables: dict[str, Cells] = {}
    seen = Seen(KIND)
    for start, line in enumerate(text.lines):
        match = _TABLE.match(line)
        if match is not None and match["title"] in _TITLES:
            tables[_TITLES[match["title"]]] = _table(text, start, seen)
    if tables:
        add_links(tables, seen, hardware)
        yield seen


def _table(text: Lines, start: int, seen: Seen) -> Cells:
    end = len(text.lines)
    below = (line for line in range(start + 1, end) if text.lines[line].strip())
    first = next(below, end)
    labels = text.lines[first].split() if first < end else []
    if not labels or not all(map(_LABEL.match, labels)):
        raise text.fault("a table without columns", start, hint=CUT_OFF)
    cells: Cells = {}
    for row, label in enumerate(labels):
        line = next(below, end)
        tokens = text.lines[line].split() if line < end else []
        if len(tokens) != len(labels) + 1 or tokens[0] != label:
            message = f"the table has columns for {len(labels)} devices; row {label} is missing or cut off"
            raise text.fault(message, min(line, end - 1), hint=CUT_OFF)
        seen.device(row, line + 1)
        cells |= {(row, column): cell for column, cell in enumerate(tokens[1:])}
    return cells


READER = TextReader(
    name="amd-smi topology",
    sources=SOURCES,
    sign=re.compile(r"^[A-Z -]+ TABLE:[ \t]*$", re.MULTILINE),
    read=read,
    priority=Priority.LINKS,
    hint=CUT_OFF,
    use=Use.SELDOM,
    example="""\
WEIGHT TABLE:
             0000:0c:00.0 0000:22:00.0
0000:0c:00.0 0            15
0000:22:00.0 15           0

LINK TYPE TABLE:
             0000:0c:00.0 0000:22:00.0
0000:0c:00.0 SELF         XGMI
0000:22:00.0 XGMI         SELF
""",
)
