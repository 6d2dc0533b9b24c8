"""What `nvidia-smi` prints: the table of `--query-gpu` as CSV, the list of `-L`."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator

from engine.inventory.capture import Lines, Seen
from engine.quantities import parse_bytes, whole

KIND = "CudaGpu"

UNKNOWN = {"", "n/a", "[n/a]", "[not supported]", "not supported", "unknown error", "[unknown error]"}
_LISTED = re.compile(r"[-*\s]*GPU (?P<number>\d{1,5}):\**\s*(?P<name>[^|(]+?)\s*(?:\(UUID|\||$)(?P<rest>.*)")
_REPORTED, _DRIVER = "GPU models and configuration", "Nvidia driver version"
_PART = re.compile(r"\s*MIG \S+\s+Device\s+\d+:")


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
        if row.get("mig.mode.current", ("", ""))[0] == "Enabled":
            seen.divided(int(number))
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


_HEADLESS = re.compile(
    r"\s*(?:(?P<number>\d{1,5}), *)?(?P<name>(?:NVIDIA|Tesla|GeForce|Quadro|GRID) [^,|]+)"
    r"(?P<sizes>(?:, *\d{1,9} MiB)+|, *\d{4,7})(?:, *[^,]*)?\s*\Z"
)


def headless(text: Lines) -> Seen | None:
    """The devices of `--query-gpu` with `noheader`: a name and sizes in each line; None where there are none.

    Raises:
        DocumentError: a device stands twice; at its line.
    """
    seen = Seen(KIND)
    for line, content in enumerate(text.lines):
        match = _HEADLESS.match(content)
        if match is None:
            continue
        number = int(match["number"] or len(seen.devices))
        if number in seen.devices:
            raise text.fault(f"device {number} stands twice", line)
        sizes = [int(each) for each in re.findall(r"\d+", match["sizes"])]
        device = seen.device(number, line + 1)
        device.name, device.memory_bytes = match["name"].strip(), max(sizes) * 2**20
        if len(sizes) > 1:
            seen.notes.append("a table without its head: the largest size is taken for a device's memory")
    return seen if seen.devices else None


# --- -L, and reports that list devices the same way --------------------------------------------------


def _listed_lines(text: Lines) -> Iterator[tuple[int, str]]:
    """Lines with their numbers; devices that a report names in one line are told apart."""
    for line, content in enumerate(text.lines):
        _, found, rest = content.partition(_REPORTED)
        if not found:
            yield line, content
            continue
        for each in re.split(r"(?=\bGPU \d{1,5}: )", rest.partition(_DRIVER)[0]):
            yield line, each.strip()


def listed(text: Lines) -> Seen | None:
    """The devices of `nvidia-smi -L`, of collect_env, and of lists like `GPU 0: name | 24564 MiB`."""
    seen = Seen(None)
    number = 0
    for line, content in _listed_lines(text):
        match = _LISTED.match(content)
        if match is None:
            if _PART.match(content):
                seen.divided(number)
            continue
        number = int(match["number"])
        if number in seen.devices:
            continue
        device = seen.device(number, line + 1)
        device.name = match["name"]
        size = re.search(r"(\d{1,9}) MiB", match["rest"])
        device.memory_bytes = None if size is None else int(size[1]) * 2**20
        if "NVIDIA" in device.name or "UUID" in content:
            seen.kind = KIND
    return seen if seen.devices else None
