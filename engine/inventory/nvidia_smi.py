"""What `nvidia-smi` prints: the matrix of `topo -m`, the table of `--query-gpu` as CSV, the list of `-L`."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator

from engine.inventory.capture import Lines, Seen, SeenLink
from engine.quantities import parse_bytes, whole

KIND = "CudaGpu"

_GPU = re.compile(r"GPU\d+\Z")
_LINK = re.compile(r"(?P<code>[A-Z]+?)(?P<count>\d+)?\Z")
_JOINED = re.compile(r"(?:X|NV\d+|PIX|PXB|PHB|NODE|SYS|SOC)+\Z")
"""A cell between a device and a card, or two that a lost tab has made one."""
_PEER_CELLS = {"X", "OK", "NS", "CNS", "GNS", "TNS", "CS", "U", "DR"}
"""Of `topo -p2p`, which tells what may be done, not what joins."""
UNKNOWN = {"", "n/a", "[n/a]", "[not supported]", "not supported", "unknown error", "[unknown error]"}
_LISTED = re.compile(r"[-*\s]*GPU (?P<number>\d+):\**\s*(?P<name>[^|(]+?)\s*(?:\(UUID|\||$)(?P<rest>.*)")


# --- topo -m ------------------------------------------------------------------------------------------------


def matrices(text: Lines, codes: frozenset[str]) -> Iterator[Seen]:
    """The matrices of `topo -m` in a text; those of `topo -p2p` are passed over.

    Raises:
        DocumentError: a matrix that is cut off, or with a link that nobody knows; at its line.
    """
    for start, line in enumerate(text.lines):
        tokens = line.split()
        if tokens and tokens[0] == "GPU0" and not _is_row(tokens) and _first_row(text, start) is not None:
            found = _Matrix(text, start, codes).read()
            if found is not None:
                yield found


def _is_row(tokens: list[str]) -> bool:
    """Whether a line is a row: its label stands before cells, of which one is the device itself."""
    return "X" in tokens[1:]


def _first_row(text: Lines, start: int) -> int | None:
    """The line of the matrix's first row; None where numbers stand in it, as in ROCm's tables."""
    for number in range(start + 1, min(start + 3, len(text.lines))):
        tokens = text.lines[number].split()
        if tokens and tokens[0] == "GPU0":
            return number if "X" in tokens[1:] else None
    return None


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
        for line in range(self.start + 1, len(self.text.lines)):
            tokens = self.text.lines[line].split()
            if not tokens or len(rows) == size:
                break
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
        """The NUMA node, from the right: behind the cells of network cards, after the CPUs."""
        tail = [token for token in rest if not _JOINED.match(token)]
        if len(tail) < 2 or tail[0].casefold() in UNKNOWN:
            return
        node = tail[1]
        if whole(node) is not None:
            self.seen.device(number, line + 1).numa_node = whole(node)
        elif node.casefold() not in UNKNOWN:
            self.seen.notes.append(f"GPU{number} is near several NUMA nodes ({node}): none is taken")


def _is_topology(cells: list[str], size: int) -> bool:
    """A single device's matrix is nothing but X."""
    return size == 1 and cells == ["X"]


# --- --query-gpu --format=csv -------------------------------------------------------------------------------

_HEAD = re.compile(r"[a-z_.\d]+(?: \[[^\]]+\])?\Z")
"""The head of a column: `memory.total [MiB]`."""
_COLUMNS = {
    "index": "number",
    "name": "name",
    "gpu_name": "name",
    "memory.total": "memory_bytes",
    "memory.free": "free_bytes",
    "driver_version": "driver_version",
}


def tables(text: Lines) -> Iterator[Seen]:
    """The tables of `--query-gpu` in a text.

    Raises:
        DocumentError: a row that is cut off, or a size that can't be read; at its line.
    """
    for start, line in enumerate(text.lines):
        header = [cell.strip() for cell in line.split(",")]
        names = [cell.split(" ")[0].strip() for cell in header]
        if len(names) > 1 and {"name", "gpu_name"} & set(names) and all(map(_HEAD.match, header)):
            yield _table(text, start, names, [cell.partition("[")[2].rstrip("] ") for cell in header])


def _table(text: Lines, start: int, names: list[str], units: list[str]) -> Seen:
    seen = Seen(KIND)
    for line in range(start + 1, len(text.lines)):
        if not text.lines[line].strip() or "," not in text.lines[line]:
            break
        cells = _cells(text, line)
        if len(cells) != len(names):
            raise text.fault(
                f"{len(cells)} cells for {len(names)} columns", line, hint="the table is cut off"
            )
        row = dict(zip(names, zip(cells, units, strict=True), strict=True))
        number = row.get("index", (str(len(seen.devices)), ""))[0]
        if whole(number) is None:
            raise text.fault(f"index: expected a whole number, found '{number}'", line, number)
        if int(number) in seen.devices:
            raise text.fault(f"device {number} stands twice", line, number)
        device = seen.device(int(number), line + 1)
        for column, field in _COLUMNS.items():
            value, unit = row.get(column, ("", ""))
            if field == "number" or value.casefold() in UNKNOWN:
                continue
            setattr(device, field, size(text, line, value, unit) if field.endswith("bytes") else value)
    if not seen.devices:
        raise text.fault("a table without rows", start, hint="no device, or the table is cut off")
    return seen


def _cells(text: Lines, line: int) -> list[str]:
    try:
        return [cell.strip() for cell in next(csv.reader([text.lines[line]], skipinitialspace=True))]
    except csv.Error:
        raise text.fault(
            "a row that is damaged", line, hint="paste what the tool printed once more"
        ) from None


def size(text: Lines, line: int, value: str, unit: str) -> int:
    """Bytes of `81559 MiB`, or of a bare number with its column's unit."""
    try:
        return parse_bytes(value if not value.replace(".", "").isdecimal() else f"{value} {unit or 'MiB'}")
    except ValueError as error:
        raise text.fault(str(error), line, value, "sizes are written like 81559 MiB") from None


def refuse_table_for_eyes(text: Lines) -> None:
    """What nvidia-smi prints without arguments, in which long names are cut.

    Raises:
        DocumentError: it is there.
    """
    for line, content in enumerate(text.lines):
        if "| NVIDIA-SMI " in content:
            raise text.fault(
                "this is nvidia-smi's table for people, in which names are cut",
                line,
                hint="paste nvidia-smi --query-gpu=index,name,memory.total,memory.free --format=csv instead",
            )


# --- -L, and reports that list devices the same way --------------------------------------------------


def listed(text: Lines) -> Seen | None:
    """The devices of `nvidia-smi -L`, of collect_env, and of lists like `GPU 0: name | 24564 MiB`."""
    seen = Seen(None)
    for line, content in enumerate(text.lines):
        match = _LISTED.match(content)
        if match is None:
            continue
        number = int(match["number"])
        if number in seen.devices:
            continue
        device = seen.device(number, line + 1)
        device.name = match["name"]
        size = re.search(r"(\d+) MiB", match["rest"])
        device.memory_bytes = None if size is None else int(size[1]) * 2**20
        if "NVIDIA" in device.name or "UUID" in content:
            seen.kind = KIND
    return seen if seen.devices else None
