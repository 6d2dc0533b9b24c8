"""The matrix that `nvidia-smi topo -m` prints: what joins each two devices, and which CPUs they are near."""

from __future__ import annotations

import re
from collections.abc import Iterator

from engine.inventory.capture import Lines, Seen, SeenLink
from engine.inventory.nvidia_smi import KIND, UNKNOWN
from engine.quantities import whole

_GPU = re.compile(r"GPU\d+\Z")
_LINK = re.compile(r"(?P<code>[A-Z]+?)(?P<count>\d+)?\Z")
_JOINED = re.compile(r"(?:X|NV\d+|PIX|PXB|PHB|NODE|SYS|SOC)+\Z")
"""A cell between a device and a card, or two that a lost tab has made one."""
_PEER_CELLS = {"X", "OK", "NS", "CNS", "GNS", "TNS", "CS", "U", "DR"}
"""Of `topo -p2p`, which tells what may be done, not what joins."""


def matrices(text: Lines, codes: frozenset[str]) -> Iterator[Seen]:
    """The matrices of `topo -m` in a text; those of `topo -p2p` are passed over.

    Raises:
        DocumentError: a matrix that is cut off, or with a link that nobody knows; at its line.
    """
    for start, line in enumerate(text.lines):
        tokens = line.split()
        if tokens and _GPU.match(tokens[0]) and not _is_row(tokens) and _has_first_row(text, start):
            found = _Matrix(text, start, codes).read()
            if found is not None:
                yield found


def _is_row(tokens: list[str]) -> bool:
    """Whether a line is a row: its label stands before cells, of which one is the device itself."""
    return "X" in tokens[1:]


def _has_first_row(text: Lines, start: int) -> bool:
    """Whether the matrix's first row follows; in ROCm's tables numbers stand in it."""
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
                    else f"row {tokens[0]} is not one of the columns, or stands twice",
                    line,
                    hint="the matrix is cut off: paste all of it",
                )
            rows.add(number)
            self.row(number, numbers, cells, line)
            self.affinity(number, tokens[size + 1 :], line)
        missing = [number for number in numbers if number not in rows]
        if missing:
            raise self.text.fault(
                f"the matrix has columns for {size} devices and rows for {len(rows)}",
                self.start,
                hint="the matrix is cut off: paste all of it",
            )
        self.symmetric()
        return self.seen

    def row(self, number: int, numbers: list[int], cells: list[str], line: int) -> None:
        self.seen.device(number, line + 1)
        for other, cell in zip(numbers, cells, strict=True):
            if (cell == "X") is not (other == number):
                raise self.text.fault(
                    f"GPU{number} and GPU{other}: found '{cell}'", line, cell, "X is a device itself"
                )
            if cell != "X":
                match = _LINK.match(cell)
                if match is None or match["code"] not in self.codes:
                    known = ", ".join(sorted(self.codes))
                    raise self.text.fault(
                        f"unknown link '{cell}'", line, cell, f"known: {known}, and NV with a number"
                    )
            self.cells[number, other] = (cell, line)

    def symmetric(self) -> None:
        for (first, second), (cell, line) in self.cells.items():
            back, _ = self.cells[second, first]
            if back != cell:
                message = f"GPU{first} to GPU{second} is {cell}, and {back} the other way round"
                raise self.text.fault(message, line, cell)
            match = _LINK.match(cell)
            if first < second and match is not None:
                count = None if match["count"] is None else int(match["count"])
                self.seen.links.append(SeenLink(first, second, match["code"], count))

    def affinity(self, number: int, rest: list[str], line: int) -> None:
        """The CPUs and the NUMA node, from the right: behind the cells of network cards."""
        tail = [token for token in rest if not _JOINED.match(token)]
        cells = " ".join(tail).replace(", ", ",").split()  # a list of CPUs may have been given spaces
        if not cells or cells[0].casefold() in UNKNOWN:
            return
        device = self.seen.device(number, line + 1)
        device.cpus = cells[0]
        if len(cells) < 2:
            return
        node = cells[1]
        if whole(node) is not None:
            device.numa_node = whole(node)
        elif node.casefold() not in UNKNOWN:
            self.seen.notes.append(f"GPU{number} is near several NUMA nodes ({node}): none is taken")


def _is_topology(cells: list[str], size: int) -> bool:
    """A single device's matrix is nothing but X."""
    return size == 1 and cells == ["X"]
