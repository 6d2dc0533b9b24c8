"""Table that people write in Markdown or HTML: one device a row, with its number, name and memory.

A table without a column of numbers, such as a comparison of products, describes no machine.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from engine.base.quantities import parse_bytes, whole
from engine.inventory.products import Hardware
from engine.inventory.reader import Priority, TextReader, Use
from engine.inventory.seen import Lines, Seen

_RULE = re.compile(r"\|?(?:\s*:?-{3,}:?\s*\|)+(?:\s*:?-{3,}:?\s*)?\Z")
_HEADINGS = {
    "number": re.compile(r"(?:gpu|device|card|npu)? ?(?:#|id|index|idx|no\.?|number)?"),
    "name": re.compile(
        r"(?:gpu|device|card|accelerator|product)? ?(?:name|model|product|type)?|graphics card|accelerator"
    ),
    "memory": re.compile(
        r"(?:(?:total|gpu|device|memory) )?(?:memory|vram|hbm|total)(?: \(?total\)?| size)?"
    ),
    "free": re.compile(r"(?:(?:memory|vram) )?free(?: (?:memory|vram))?"),
}
_UNIT = re.compile(r"[\[(](?P<unit>[MG]i?B)[\])]\s*\Z", re.IGNORECASE)
_SIZE = re.compile(r"(?P<number>\d{1,7}(?:\.\d+)?) ?(?P<unit>[MG]i?B?)?\Z", re.IGNORECASE)


def read(text: Lines, hardware: Hardware) -> Iterator[Seen]:
    """Yield the devices of each table whose rows have numbers and names of products."""
    lines = text.narrow().lines
    for start, line in enumerate(lines):
        if not line.strip().startswith("|") or _RULE.match(line.strip()):
            continue
        if start and lines[start - 1].strip().startswith("|"):
            continue
        seen = _table(lines, start, hardware)
        if seen is not None:
            yield seen


def _table(lines: Sequence[str], start: int, hardware: Hardware) -> Seen | None:
    header = _cells(lines[start])
    units = [match["unit"] if (match := _UNIT.search(cell)) else "MiB" for cell in header]
    names = [_UNIT.sub("", cell).strip().casefold() for cell in header]
    rows: list[tuple[int, list[str]]] = []
    for number in range(start + 1, len(lines)):
        line = lines[number].strip()
        if not line.startswith("|"):
            break
        if not _RULE.match(line):
            rows.append((number, _cells(line)))
    if not rows or any(len(cells) != len(header) for _, cells in rows):
        return None
    columns = _columns(names, [cells for _, cells in rows], hardware)
    if not {"number", "name"} <= columns.keys():
        return None
    seen = Seen(None)
    for line_number, cells in rows:
        number = int(cells[columns["number"]])
        if number in seen.devices:
            return None
        device = seen.device(number, line_number + 1)
        device.name = cells[columns["name"]]
        for field, at in columns.items():
            size = _SIZE.match(cells[at]) if field in ("memory", "free") else None
            if size is not None:
                setattr(device, f"{field}_bytes", _bytes(size, units[at]))
    return seen


def _cells(line: str) -> list[str]:
    return [cell.strip().strip("*`").strip() for cell in line.strip().strip("|").split("|")]


def _columns(names: Sequence[str], rows: Sequence[Sequence[str]], hardware: Hardware) -> dict[str, int]:
    """Return the positions of the columns that are known, by their headings and what they hold."""
    found: dict[str, int] = {}
    for at, name in enumerate(names):
        cells = [row[at] for row in rows]
        for field, heading in _HEADINGS.items():
            holds = {
                "number": all(whole(cell) is not None for cell in cells),
                "name": all(hardware.product(cell) is not None for cell in cells),
            }.get(field, any(_SIZE.match(cell) for cell in cells))
            if name and holds and heading.fullmatch(name):
                found.setdefault(field, at)
                break
    return found


def _bytes(size: re.Match[str], unit: str) -> int:
    """Return the bytes of a size; people write GB for GiB."""
    letter = (size["unit"] or unit)[0].upper()
    return parse_bytes(f"{size['number']}{letter}iB")


READER = TextReader(
    name="table in Markdown or HTML",
    sources=("table",),
    sign=re.compile(r"^[ \t]*\|?(?:[ \t]*:?-{3,}:?[ \t]*\|){2,20}(?:[ \t]*:?-{3,}:?)?[ \t]*$", re.MULTILINE),
    read=read,
    priority=Priority.LIST,
    hint="the table needs a column of numbers (GPU or index), one of names, and one of memory",
    use=Use.SELDOM,
    example="""\
| GPU | Name                  | Memory    |
|-----|-----------------------|-----------|
| 0   | NVIDIA H100 80GB HBM3 | 81559 MiB |
| 1   | NVIDIA H100 80GB HBM3 | 81559 MiB |
""",
)
