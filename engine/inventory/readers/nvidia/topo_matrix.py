"""Matrix of `nvidia-smi topo -m`: the link between each pair of devices, and the CPUs near each device.

The matrix has neither names nor sizes: paste `nvidia-smi --query-gpu=…` with it. The links are rated by the
catalogs `links` and `products`. Matrices of `nvidia-smi topo -p2p` are skipped.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from engine.base.quantities import whole
from engine.inventory.products import Hardware
from engine.inventory.reader import Priority, TextReader, Use
from engine.inventory.readers.nvidia.common import KIND, SOURCES, UNKNOWN
from engine.inventory.seen import Lines, Seen, SeenLink

_GPU = re.compile(r"GPU\d+\Z")
_LINK = re.compile(r"(?P<code>[A-Z]+?)(?P<count>\d+)?\Z")
_JOINED = re.compile(r"(?:X|NV\d+|PIX|PXB|PHB|NODE|SYS|SOC)+\Z")
"""A cell between a device and a network card, or two cells joined by a lost tab."""
_NVLINK = re.compile(r"\b(?:NV\d+|PIX|PXB|PHB|NODE|SYS|SOC)\b")
_MEMORY_NODES = re.compile(r"(?P<node>\d{1,3}),\d{1,3}-\d{1,3}\Z")
"""NUMA nodes of Grace: the one of the CPU, then those that are made of the GPUs' memory."""
_PEER_CELLS = {"X", "OK", "NS", "CNS", "GNS", "TNS", "CS", "U", "DR"}
"""Cells of `topo -p2p`, which reports capabilities, not links."""
_OTHER_MAKERS = {"NVLink", "XGMI", "PCIE"}
"""Entries of the catalog `links` that are never cells of this matrix."""
_CUT_OFF = "the matrix is cut off; paste all of it"


def read(text: Lines, hardware: Hardware) -> Iterator[Seen]:
    """Yield the devices and links of each matrix.

    Raises:
        DocumentError: a matrix is cut off or has an unknown link; at its line.
    """
    codes: frozenset[str] | None = None
    found = False
    for start, line in enumerate(text.lines):
        tokens = line.split()
        if tokens and _GPU.match(tokens[0]) and not _is_row(tokens) and _has_first_row(text, start):
            codes = codes or frozenset([*hardware.links.rows, *hardware.links.aliases]) - _OTHER_MAKERS
            matrix = _Matrix(text, start, codes).read()
            if matrix is not None:
                yield matrix
                found = True
    if not found:
        _refuse_headless(text)


def _refuse_headless(text: Lines) -> None:
    """Check that no row of a matrix is left without the line of its columns.

    Raises:
        DocumentError: the matrix is cut off at its top; at its first row.
    """
    for number, line in enumerate(text.lines):
        tokens = line.split()
        if len(tokens) > 2 and _GPU.match(tokens[0]) and "X" in tokens and _NVLINK.search(line):
            raise text.fault(
                f"the matrix begins with row {tokens[0]}, without its columns", number, hint=_CUT_OFF
            )


def _is_row(tokens: list[str]) -> bool:
    """Test for a row: a label, then cells, one of which is the device itself."""
    return "X" in tokens[1:]


def _has_first_row(text: Lines, start: int) -> bool:
    """Test whether the matrix's first row follows; in ROCm's tables it holds numbers."""
    first = text.lines[start].split()[0]
    for number in range(start + 1, min(start + 3, len(text.lines))):
        tokens = text.lines[number].split()
        if tokens and tokens[0] == first:
            return "X" in tokens[1:]
    return False


class _Matrix:
    def __init__(self, text: Lines, start: int, codes: frozenset[str]) -> None:
        self.text = text
        self.start = start
        self.codes = codes
        self.names = [token for token in text.lines[start].split() if _GPU.match(token)]
        self.seen = Seen(KIND)
        self.cells: dict[tuple[int, int], tuple[str, int]] = {}

    def read(self) -> Seen | None:
        size = len(self.names)
        numbers = [int(name[3:]) for name in self.names]
        rows: set[int] = set()
        blank = 0
        for line in range(self.start + 1, len(self.text.lines)):
            tokens = self.text.lines[line].split()
            blank = blank + 1 if not tokens else 0
            if blank > 1 or len(rows) == size:
                break
            if not tokens:  # some pastes have an empty line between any two
                continue
            if not _GPU.match(tokens[0]):
                continue
            number = int(tokens[0][3:])
            cells = tokens[1 : size + 1]
            if set(cells) <= _PEER_CELLS and "X" in cells and not _is_topology(cells, size):
                return None
            if len(cells) < size or number not in numbers or number in rows:
                raise self.text.fault(
                    f"row {tokens[0]} has {len(cells)} cells for {size} devices"
                    if len(cells) < size
                    else f"row {tokens[0]} is not one of the columns, or is listed twice",
                    line,
                    hint=_CUT_OFF,
                )
            rows.add(number)
            self.read_row(number, numbers, cells, line)
            self.read_affinity(number, tokens[size + 1 :], line)
        missing = [number for number in numbers if number not in rows]
        if missing:
            raise self.text.fault(
                f"the matrix has columns for {size} devices and rows for {len(rows)}",
                self.start,
                hint=_CUT_OFF,
            )
        self.add_links()
        return self.seen

    def read_row(self, number: int, numbers: list[int], cells: list[str], line: int) -> None:
        self.seen.device(number, line + 1)
        for other, cell in zip(numbers, cells, strict=True):
            if (cell == "X") is not (other == number):
                raise self.text.fault(
                    f"GPU{number} and GPU{other}: found '{cell}'", line, cell, "X marks the device itself"
                )
            if cell != "X":
                match = _LINK.match(cell)
                if match is None or match["code"] not in self.codes:
                    known = ", ".join(sorted(self.codes))
                    raise self.text.fault(
                        f"unknown link '{cell}'", line, cell, f"known: {known}, and NV with a number"
                    )
            self.cells[number, other] = (cell, line)

    def add_links(self) -> None:
        for (first, second), (cell, line) in self.cells.items():
            back, _ = self.cells[second, first]
            if back != cell:
                message = f"GPU{first} to GPU{second} is {cell}, but {back} in the other direction"
                raise self.text.fault(message, line, cell)
            match = _LINK.match(cell)
            if first < second and match is not None:
                count = None if match["count"] is None else int(match["count"])
                self.seen.links.append(SeenLink(first, second, match["code"], count))

    def read_affinity(self, number: int, rest: list[str], line: int) -> None:
        """Read the CPUs and the NUMA node, which follow the cells of network cards."""
        tail = [token for token in rest if not _JOINED.match(token)]
        cells = " ".join(tail).replace(", ", ",").split()  # spaces inside a list of CPUs
        if not cells or cells[0].casefold() in UNKNOWN:
            return
        device = self.seen.device(number, line + 1)
        device.cpus = cells[0]
        if len(cells) < 2:
            return
        node = cells[1]
        beside = _MEMORY_NODES.match(node)
        if whole(node) is not None:
            device.numa_node = whole(node)
        elif beside is not None:
            device.numa_node = whole(beside["node"])
        elif node.casefold() not in UNKNOWN:
            self.seen.notes.append(f"GPU{number} is near several NUMA nodes ({node}); none is recorded")


def _is_topology(cells: list[str], size: int) -> bool:
    """Test for the matrix of a single device, which is a lone X."""
    return size == 1 and cells == ["X"]


READER = TextReader(
    name="nvidia-smi topo -m",
    sources=SOURCES,
    sign=re.compile(
        r"^[ \t]*GPU\d+[ \t]+(?:(?:(?:NV\d+|PIX|PXB|PHB|NODE|SYS|SOC)[ \t]+){0,64}X\b|GPU\d|CPU|NIC0|mlx)",
        re.MULTILINE,
    ),
    read=read,
    priority=Priority.LINKS,
    hint=_CUT_OFF,
    use=Use.DAILY,
    example="""\
        GPU0    GPU1    GPU2    GPU3    CPU Affinity    NUMA Affinity
GPU0     X      NV6     NV6     NV6     0-31            0
GPU1    NV6      X      NV6     NV6     0-31            0
GPU2    NV6     NV6      X      NV6     32-63           1
GPU3    NV6     NV6     NV6      X      32-63           1
""",
)
