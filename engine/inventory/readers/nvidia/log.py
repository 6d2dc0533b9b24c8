"""Log of `nvidia-smi -q`: one field per line, everything about every device."""

from __future__ import annotations

import re
from collections.abc import Iterator

from engine.inventory.products import Hardware
from engine.inventory.reader import Priority, TextReader
from engine.inventory.readers.nvidia.common import CUT_OFF, KIND, SOURCES, UNKNOWN, size
from engine.inventory.seen import Lines, Seen, SeenDevice

_TITLE = re.compile(r"=+NVSMI LOG=+")
_ADDRESS = re.compile(r"GPU [0-9A-Fa-f]{4,8}:[0-9A-Fa-f]{2}:[0-9A-Fa-f]{2}\.[0-9A-Fa-f]\s*\Z")
_FIELD = re.compile(r"(?P<name>[^:]*\S)\s*: (?P<value>.*\S)\s*\Z")
_PART = "MIG Device"
_INSTANCES = {"GPU Instance ID": "GI", "Compute Instance ID": "CI"}
_SIZES = {"Total": "memory_bytes", "Free": "free_bytes"}


def read(text: Lines, hardware: Hardware) -> Iterator[Seen]:
    """Yield the devices of each log.

    Raises:
        DocumentError: a log has no device, or a size cannot be read; at its line.
    """
    text = text.narrow()
    for start, line in enumerate(text.lines):
        if _TITLE.search(line):
            yield _log(text, start)


def _log(text: Lines, start: int) -> Seen:
    seen = Seen(KIND)
    driver = section = ""
    device = part = None
    part_indent = 0
    for number in range(start + 1, len(text.lines)):
        line = text.lines[number].strip()
        indent = len(text.lines[number]) - len(text.lines[number].lstrip())
        if line == _PART and device is not None:
            part, part_indent = SeenDevice(device.number, line=number + 1), indent
            seen.partitions.append(part)
        elif line and indent <= part_indent:
            part = None
        field = _FIELD.match(line)
        if _TITLE.search(line):
            break
        if _ADDRESS.match(line):
            device = seen.device(len(seen.devices), number + 1)
            device.driver_version, device.address = driver or None, line.split()[-1]
        elif field is None:
            section = line
        elif field["value"].casefold() in UNKNOWN:
            continue
        elif field["name"] == "Driver Version":
            driver = field["value"]
        elif part is not None:
            _describe_part(part, section, field, text, number)
        elif device is not None and field["name"] == "Product Name":
            device.name = field["value"]
        elif device is not None and field["name"] == "GPU UUID":
            device.uuid = field["value"]
        elif device is not None and section == "FB Memory Usage" and field["name"] in _SIZES:
            setattr(device, _SIZES[field["name"]], size(text, number, field["value"], ""))
        elif section == "MIG Mode" and field["name"] == "Current" and field["value"] == "Enabled":
            seen.divide(len(seen.devices) - 1)
    if not seen.devices:
        raise text.fault("the log has no device", start, hint=CUT_OFF)
    return seen


def _describe_part(part: SeenDevice, section: str, field: re.Match[str], text: Lines, number: int) -> None:
    name, value = field["name"], field["value"]
    if name in _INSTANCES:
        part.partition = f"{part.partition} {_INSTANCES[name]} {value}".removeprefix("None ")
    elif section == "FB Memory Usage" and name in _SIZES:
        setattr(part, _SIZES[name], size(text, number, value, ""))


READER = TextReader(
    name="nvidia-smi -q",
    sources=SOURCES,
    sign=re.compile(r"=NVSMI LOG="),
    read=read,
    priority=Priority.REPORT,
    hint=CUT_OFF,
    example="""\
==============NVSMI LOG==============

Driver Version                            : 550.54.15
Attached GPUs                             : 1
GPU 00000000:19:00.0
    Product Name                          : NVIDIA H100 80GB HBM3
    FB Memory Usage
        Total                             : 81559 MiB
        Free                              : 81008 MiB
""",
)
