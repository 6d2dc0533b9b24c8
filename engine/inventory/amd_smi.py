"""What `amd-smi` prints: `static`, `topology`, and its overview without arguments; as text or as JSON."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from engine.errors import DocumentError
from engine.inventory.capture import Lines, Seen, SeenDevice
from engine.inventory.rocm_smi import KIND, Cells, links
from engine.quantities import whole

# --- topology -----------------------------------------------------------------------------------------------

_TABLE = re.compile(r"\s*(?P<title>[A-Z][A-Z -]*) TABLE:\s*\Z")
_READ = {"WEIGHT": "weight", "HOPS": "hops", "LINK TYPE": "type"}
_LABEL = re.compile(r"(?:[0-9A-Fa-f]{4}:[0-9A-Fa-f]{2}:[0-9A-Fa-f]{2}\.[0-9A-Fa-f]|GPU\d{1,5})\Z")


def topology(text: Lines, hop_weight: int) -> Seen | None:
    """The devices and links of `amd-smi topology`; None where there are none. Devices have its order.

    Raises:
        DocumentError: a table that is cut off; at its line.
    """
    tables: dict[str, Cells] = {}
    seen = Seen(KIND)
    for start, line in enumerate(text.lines):
        match = _TABLE.match(line)
        if match is not None and match["title"] in _READ:
            tables[_READ[match["title"]]] = _table(text, start, seen)
    if not tables:
        return None
    seen.links = list(links(tables, seen, str(hop_weight)))
    return seen


def _table(text: Lines, start: int, seen: Seen) -> Cells:
    end = len(text.lines)
    below = (line for line in range(start + 1, end) if text.lines[line].strip())
    first = next(below, end)
    labels = text.lines[first].split() if first < end else []
    if not labels or not all(map(_LABEL.match, labels)):
        raise text.fault("a table without columns", start, hint="it is cut off: paste all of it")
    cells: Cells = {}
    for row, label in enumerate(labels):
        line = next(below, end)
        tokens = text.lines[line].split() if line < end else []
        if len(tokens) != len(labels) + 1 or tokens[0] != label:
            message = f"the table has columns for {len(labels)} devices; row {label} is missing or cut off"
            raise text.fault(message, min(line, end - 1), hint="paste all of it")
        seen.device(row, line + 1)
        cells |= {(row, column): cell for column, cell in enumerate(tokens[1:])}
    return cells


# --- static -------------------------------------------------------------------------------------------------

_GPU = re.compile(r"GPU: (?P<number>\d{1,5})\s*\Z")
_FIELD = re.compile(r"\s+(?P<name>[A-Z_]+): (?P<value>.*\S)\s*\Z")
_SECTION = re.compile(r"\s+(?P<name>[A-Z_]+):\s*\Z")
_MB = re.compile(r"(\d{1,9}) MB\Z")
"""Of 2^20 bytes, as the tool's library says them."""


def described(text: Lines) -> Seen | None:
    """The devices of `amd-smi static` in a text; None where there are none."""
    seen = Seen(KIND)
    device: SeenDevice | None = None
    section = ""
    for line, content in enumerate(text.lines):
        if match := _GPU.match(content):
            device = seen.device(int(match["number"]), line + 1)
        elif match := _SECTION.match(content):
            section = match["name"]
        elif device is not None and (match := _FIELD.match(content)):
            _describe(device, section, match["name"], match["value"])
        elif content.strip() and not content.startswith(" "):
            device = None
    found = {number: each for number, each in seen.devices.items() if each.name or each.memory_bytes}
    seen.devices = found
    return seen if found else None


def _describe(device: SeenDevice, section: str, name: str, value: str) -> None:
    if name == "MARKET_NAME" and value != "N/A":
        device.name = value
    elif section == "VRAM" and name == "SIZE" and (size := _MB.match(value)):
        device.memory_bytes = int(size[1]) * 2**20
    elif section == "NUMA" and name == "NODE":
        device.numa_node = whole(value)


# --- the overview -------------------------------------------------------------------------------------------

OVERVIEW = "| AMD-SMI "
_NAMED = re.compile(
    r"\|\s*[0-9A-Fa-f]{4}:[0-9A-Fa-f]{2}:[0-9A-Fa-f]{2}\.[0-9A-Fa-f]\s+(?P<name>\S[^|]*?)\s*\|"
)
_NUMBERED = re.compile(r"\|\s*(?P<number>\d{1,5})\s.*\|.*?(?P<used>\d{1,9})/(?P<total>\d{1,9}) MB\s*\|")


def overview(text: Lines) -> Seen | None:
    """The devices of `amd-smi` without arguments; None where there is none.

    Raises:
        DocumentError: one that is cut off; at its line.
    """
    start = next((number for number, line in enumerate(text.lines) if OVERVIEW in line), None)
    if start is None:
        return None
    seen = Seen(KIND)
    for line in range(start + 1, len(text.lines)):
        named = _NAMED.match(text.lines[line].strip())
        if named is None:
            continue
        second = text.lines[line + 1].strip() if line + 1 < len(text.lines) else ""
        numbered = _NUMBERED.match(second)
        if numbered is None:
            raise text.fault("a device without its second line", line, hint="it is cut off: paste all of it")
        device = seen.device(int(numbered["number"]), line + 1)
        device.name = named["name"]
        used, total = int(numbered["used"]), int(numbered["total"])
        device.memory_bytes, device.free_bytes = total * 2**20, max(total - used, 0) * 2**20
    if not seen.devices:
        raise text.fault("amd-smi's overview without a device", start, hint="it is cut off: paste all of it")
    return seen


# --- JSON ---------------------------------------------------------------------------------------------------


def read(entries: list[Mapping[str, Any]], hop_weight: int) -> Seen:
    """The devices of `amd-smi static --json` or `amd-smi topology --json`.

    Raises:
        DocumentError: a device without a number, or links that are no such.
    """
    seen = Seen(KIND)
    tables: dict[str, Cells] = {"type": {}, "weight": {}}
    for each in entries:
        number = each.get("gpu")
        if not isinstance(number, int) or isinstance(number, bool) or number < 0:
            raise DocumentError("amd-smi: a device without a number")
        device = seen.device(number, 1)
        device.name = text_of(mapping(each.get("asic")).get("market_name"))
        size = mapping(mapping(each.get("vram")).get("size"))
        if isinstance(size.get("value"), int) and size.get("unit") == "MB":
            device.memory_bytes = size["value"] * 2**20
        device.numa_node = whole(mapping(each.get("numa")).get("node"))
        for other, kind, weight in _ends(each):
            tables["type"][number, other] = kind
            tables["weight"][number, other] = weight
    numbers = set(seen.devices)
    if any(not {first, second} <= numbers for first, second in tables["type"]):
        raise DocumentError("amd-smi: a link to a device that isn't listed")
    if tables["type"]:
        seen.links = list(links(tables, seen, str(hop_weight)))
    return seen


def _ends(device: Mapping[str, Any]) -> Iterator[tuple[int, str, str]]:
    """The other device, what joins them, and the weight, of each link; in the newer and the older form."""
    listed = device.get("links")
    for each in listed if isinstance(listed, list) else ():
        other = mapping(each).get("gpu")
        if isinstance(other, int) and isinstance(each.get("link_type"), str):
            yield other, each["link_type"], str(each.get("weight", "N/A"))
    weights = mapping(device.get("weight"))
    for name, kind in mapping(device.get("link_type")).items():
        match = re.fullmatch(r"gpu_(\d{1,5})", str(name))
        if match is not None:
            yield int(match[1]), str(kind), str(weights.get(name, "N/A"))


def mapping(value: Any) -> Mapping[str, Any]:
    """A mapping, empty where it is none."""
    return value if isinstance(value, dict) else {}


def text_of(value: Any) -> str | None:
    """A text that says something."""
    return value if isinstance(value, str) and value not in ("", "N/A") else None
