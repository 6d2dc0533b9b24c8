"""JSON of `gpustat --json`, and lists of devices that people write from nvidia-smi's columns.

Each device has a name and the column `memory.total`; bare sizes are in MiB.
"""

from __future__ import annotations

from engine.base.errors import DocumentError
from engine.base.jsontypes import Json, JsonObject
from engine.base.quantities import parse_bytes, whole
from engine.inventory.decoded import mappings, text_of
from engine.inventory.products import Hardware
from engine.inventory.reader import JsonReader
from engine.inventory.readers.nvidia.common import KIND, UNKNOWN
from engine.inventory.seen import Seen

_TOTAL, _USED, _FREE = "memory.total", "memory.used", "memory.free"
_UNIT = " [MiB]"


def takes(value: Json) -> bool:
    """Test for devices with names and the column `memory.total`."""
    entries = _entries(value)
    return bool(entries) and all("name" in entry and _has(entry, _TOTAL) for entry in entries)


def _entries(value: Json) -> list[JsonObject]:
    return mappings(value.get("gpus") if isinstance(value, dict) else value)


def _has(entry: JsonObject, column: str) -> bool:
    return column in entry or f"{column}{_UNIT}" in entry


def read(value: Json, hardware: Hardware) -> Seen:
    """Return the devices.

    Raises:
        DocumentError: a number is listed twice, or a size cannot be read.
    """
    seen = Seen(KIND)
    for position, entry in enumerate(_entries(value)):
        number = whole(entry.get("index"))
        number = position if number is None else number
        if number in seen.devices:
            raise DocumentError(f"device {number} is listed twice")
        device = seen.device(number, 1)
        device.name = text_of(entry.get("name"))
        device.uuid = text_of(entry.get("uuid"))
        device.memory_bytes, device.free_bytes = _size(entry, _TOTAL), _size(entry, _FREE)
        used = _size(entry, _USED)
        if device.free_bytes is None and device.memory_bytes is not None and used is not None:
            device.free_bytes = max(device.memory_bytes - used, 0)
    return seen


def _size(entry: JsonObject, column: str) -> int | None:
    value = str(entry.get(column, entry.get(f"{column}{_UNIT}", ""))).strip()
    if value.casefold() in {*UNKNOWN, "none"}:
        return None
    try:
        return parse_bytes(f"{value} MiB" if value.isdecimal() else value)
    except ValueError as error:
        raise DocumentError(f"{column}: {error}") from None


READER = JsonReader(
    name="gpustat --json",
    sources=("gpustat",),
    takes=takes,
    read=read,
    hint="each device needs a name and memory.total",
    example="""\
{"gpus": [{"index": 0, "name": "NVIDIA RTX A6000", "memory.used": 10, "memory.total": 49140}]}
""",
)
