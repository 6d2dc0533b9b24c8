"""Table of `nvidia-smi --query-gpu=… --format=csv`: the best source of names, sizes and free memory.

Columns may be in any order; `index`, `name`, `memory.total`, `memory.free`, `memory.used`, `driver_version`,
`uuid`, `pci.bus_id` and `mig.mode.current` are read. Rows without a header (`noheader`) are read if one cell
is the name of a product and another a size; the largest size is then taken as the device's memory.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator

from engine.base.quantities import whole
from engine.inventory.products import Hardware
from engine.inventory.reader import Priority, TextReader, Use
from engine.inventory.readers.nvidia.common import KIND, SOURCES, UNKNOWN, size
from engine.inventory.seen import Lines, Seen

_HEAD = re.compile(r"[a-z_.\d]+(?: \[[^\]]+\])?\Z")
"""Header of a column: `memory.total [MiB]`."""
_COLUMNS = {
    "index": "number",
    "name": "name",
    "gpu_name": "name",
    "memory.total": "memory_bytes",
    "memory.free": "free_bytes",
    "driver_version": "driver_version",
    "memory.used": "used_bytes",
    "uuid": "uuid",
    "gpu_uuid": "uuid",
    "pci.bus_id": "address",
    "gpu_bus_id": "address",
}
_GAUDI = ("HL-", "Gaudi")
_DELIMITERS = (",", ";", "\t")
"""Marks between cells: the tool's own, and those of spreadsheets."""
_LOST = {"[gpu is lost]", "[unknown error]", "err!", "[gpu requires reset]"}
"""Cells of a device that does not answer."""
_PROMPT = re.compile(r"\[?[\w.-]+@\S+.*[$#%>](?: |\Z)|[$#%>] |PS [A-Z]:")


def read(text: Lines, hardware: Hardware) -> Iterator[Seen]:
    """Yield the devices of each table; rows without a header are looked for if no table has one.

    Raises:
        DocumentError: a row is cut off or listed twice, or a size cannot be read; at its line.
    """
    tables = list(tables_in(text, KIND))
    for table in tables:
        if any((device.name or "").startswith(_GAUDI) for device in table.devices.values()):
            table.kind = "Gaudi"  # hl-smi prints tables of the same form
    yield from tables
    if not tables:
        headless = _headless(text.narrow(), hardware)
        if headless is not None:
            yield headless


def tables_in(text: Lines, kind: str) -> Iterator[Seen]:
    """Yield the devices of each table with a header.

    Args:
        text: what was printed.
        kind: of the devices; other makers' tools print tables of the same form.

    Raises:
        DocumentError: a row is cut off or listed twice, or a size cannot be read; at its line.
    """
    for start, line in enumerate(text.lines):
        delimiter = next((mark for mark in _DELIMITERS if mark in line), ",")
        header = [cell.strip() for cell in line.split(delimiter)]
        names = [cell.split(" ")[0].strip() for cell in header]
        if len(names) > 1 and {"name", "gpu_name"} & set(names) and all(map(_HEAD.match, header)):
            units = [cell.partition("[")[2].rstrip("] ") for cell in header]
            yield _table(text, start, names, units, kind, delimiter)


def _table(text: Lines, start: int, names: list[str], units: list[str], kind: str, delimiter: str) -> Seen:
    seen = Seen(kind)
    used: dict[int, int] = {}
    for line in range(start + 1, len(text.lines)):
        content = text.lines[line]
        if not content.strip() or delimiter not in content or _PROMPT.match(content):
            break
        cells = _cells(text, line, delimiter)
        if len(cells) != len(names):
            if not _is_row(cells, names):
                break
            message = f"{len(cells)} cells for {len(names)} columns"
            raise text.fault(message, line, hint="the table is cut off; paste all of it")
        row = dict(zip(names, zip(cells, units, strict=True), strict=True))
        number = row.get("index", (str(len(seen.devices)), ""))[0]
        if whole(number) is None:
            raise text.fault(f"index: expected a whole number, found '{number}'", line, number)
        if int(number) in seen.devices:
            raise text.fault(f"device {number} is listed twice", line, number)
        device = seen.device(int(number), line + 1)
        if any(cell.casefold() in _LOST for cell in cells):
            device.available = False
            seen.notes.append(f"GPU {number} does not answer; it is not available")
            continue
        for column, field in _COLUMNS.items():
            value, unit = row.get(column, ("", ""))
            if field == "number" or value.casefold() in UNKNOWN:
                continue
            amount = size(text, line, value, unit) if field.endswith("bytes") else value
            if field == "used_bytes":
                used[int(number)] = int(amount)
            else:
                setattr(device, field, amount)
        if row.get("mig.mode.current", ("", ""))[0] == "Enabled":
            seen.divide(int(number))
    if not seen.devices:
        raise text.fault("a table without rows", start, hint="no device, or the table is cut off")
    for device in seen.devices.values():
        if device.free_bytes is None and device.memory_bytes is not None and device.number in used:
            device.free_bytes = max(device.memory_bytes - used[device.number], 0)
    return seen


def _is_row(cells: list[str], names: list[str]) -> bool:
    """Test whether a line of another length is a row that was cut off, not prose after the table."""
    if "index" in names and names.index("index") < len(cells):
        return whole(cells[names.index("index")]) is not None
    return any(_SIZE.match(cell) for cell in cells)


def _cells(text: Lines, line: int, delimiter: str) -> list[str]:
    rows = csv.reader([text.lines[line]], skipinitialspace=True, delimiter=delimiter)
    try:
        return [cell.strip() for cell in next(rows)]
    except csv.Error:
        raise text.fault("damaged row", line, hint="paste the tool's output again") from None


_SIZE = re.compile(r"\d{1,9} MiB\Z")
_BARE = re.compile(r"\d{4,7}\Z")
_UUID = re.compile(r"GPU-[\w-]{4,60}\Z")
_ADDRESS = re.compile(r"[0-9A-Fa-f]{4,8}:[0-9A-Fa-f]{2}:[0-9A-Fa-f]{2}\.[0-9A-Fa-f]\Z")
_BRAND = re.compile(r"(?:NVIDIA|Tesla|GeForce|Quadro|GRID|RTX|GTX|TITAN)\b")
_LABEL = re.compile(r"[-*\s]{0,9}[A-Za-z][\w ()?]{0,40}: +(?=\S)")
"""What a report puts before the first row: `- Accelerator: NVIDIA L4, 23034 MiB`."""
_MOST_CELLS = 40


def _headless(text: Lines, hardware: Hardware) -> Seen | None:
    """Return the devices of rows without a header: a name and sizes; None if there are none.

    Rows beside such a row that have as many cells and a size name a device, too, if an unknown one.
    """
    rows = {line: cells for line, content in enumerate(text.lines) if (cells := _row_cells(content))}
    named = {line: at for line, cells in rows.items() if (at := _name_at(cells, hardware)) is not None}
    for line, at in list(named.items()):
        for step in (-1, 1):
            beside = line + step
            while beside in rows and beside not in named and len(rows[beside]) == len(rows[line]):
                named[beside] = at
                beside += step
    seen = Seen(KIND)
    for line, at in sorted(named.items()):
        cells = rows[line]
        sizes = _sizes(cells)
        first = whole(cells[0])
        number = len(seen.devices) if first is None else first
        if number in seen.devices:
            raise text.fault(f"device {number} is listed twice", line)
        device = seen.device(number, line + 1)
        device.name, device.memory_bytes = _LABEL.sub("", cells[at]), max(sizes) * 2**20
        device.uuid = next((cell for cell in cells if _UUID.match(cell)), None)
        device.address = next((cell for cell in cells if _ADDRESS.match(cell)), None)
        if len(sizes) > 1:
            seen.notes.append("the table has no header; the largest size is taken as the device's memory")
    return seen if seen.devices else None


def _row_cells(content: str) -> list[str] | None:
    """Return the cells of a line that may be a row; None if it has no size or is a prompt."""
    if "," not in content or _PROMPT.match(content):
        return None
    cells = [cell.strip() for cell in content.split(",")][:_MOST_CELLS]
    return cells if _sizes(cells) else None


def _sizes(cells: list[str]) -> list[int]:
    sizes = [int(cell.split()[0]) for cell in cells if _SIZE.match(cell)]
    return sizes or [int(cell) for cell in cells if _BARE.match(cell)]


def _name_at(cells: list[str], hardware: Hardware) -> int | None:
    """Return the position of the only cell that names a product; None if there is none, or several."""
    names = [
        at
        for at, cell in enumerate(cells)
        if cell and (_BRAND.match(_LABEL.sub("", cell)) or hardware.product(cell) is not None)
    ]
    return names[0] if len(names) == 1 else None


READER = TextReader(
    name="nvidia-smi --query-gpu=… --format=csv",
    sources=SOURCES,
    sign=re.compile(
        r"^(?:[a-z_.]+(?: \[\w+\])?(?:, |;|\t))*(?:gpu_)?name(?:, |;|\t|[ \t]*$)"
        r"|^[ \t]*(?:\d{1,5} *, *)?(?:GPU-[\w-]{4,60} *, *)?[A-Za-z][^,\n|]{1,60}"
        r"(?:, *[\d.]{3,12})? *, *\d{3,9}(?: MiB)?(?: *,|[ \t]*$)",
        re.MULTILINE,
    ),
    read=read,
    priority=Priority.TABLE,
    hint="query at least two columns: nvidia-smi --query-gpu=index,name,memory.total --format=csv",
    use=Use.DAILY,
    example="""\
index, name, memory.total [MiB], memory.free [MiB], driver_version
0, NVIDIA H100 80GB HBM3, 81559 MiB, 81008 MiB, 550.54.15
1, NVIDIA H100 80GB HBM3, 81559 MiB, 81008 MiB, 550.54.15
""",
)
