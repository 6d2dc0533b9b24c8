"""What `nvidia-smi` prints for people: its overview without arguments, and the log of `-q`."""

from __future__ import annotations

import re
from collections.abc import Iterator

from engine.inventory.capture import Lines, Seen
from engine.inventory.nvidia_smi import KIND, UNKNOWN, size

OVERVIEW = "| NVIDIA-SMI "
_CUT = "it is cut off: paste all of it"
_DRIVER = re.compile(r"Driver Version\s*: *(?P<version>\S+)")
_DEVICE = re.compile(
    r"\|\s+(?P<number>\d{1,5})\s+(?P<name>\S.*?)\s+(?:On|Off|N/A|WDDM|TCC|MCDM|ERR!)\s*\|\s*[0-9A-Fa-f]{4,8}:[0-9A-Fa-f]{2}:"
)
_MEMORY = re.compile(r"\|\s*(?P<used>\d{1,9}) ?MiB\s*/\s*(?P<total>\d{1,9}) ?MiB\s*\|")
_DIVIDED = re.compile(r"\| +Enabled\*? *\|")
"""The device's third line says "Enabled" where it is divided by MIG."""


def overviews(text: Lines) -> Iterator[Seen]:
    """The overviews in a text. Older versions cut long names: those end with dots.

    Raises:
        DocumentError: one without devices, or a device without its second line; at its line.
    """
    for start, line in enumerate(text.lines):
        if OVERVIEW in line:
            yield _overview(text, start)


def _overview(text: Lines, start: int) -> Seen:
    seen = Seen(KIND)
    driver = _DRIVER.search(text.lines[start])
    for number in range(start + 1, len(text.lines)):
        line = text.lines[number]
        if "Processes:" in line or OVERVIEW in line:
            break
        match = _DEVICE.search(line)
        if match is None:
            continue
        if int(match["number"]) in seen.devices:
            raise text.fault(f"device {match['number']} stands twice", number, match["number"])
        device = seen.device(int(match["number"]), number + 1)
        device.name = match["name"]
        device.driver_version = None if driver is None else driver["version"]
        if number + 1 >= len(text.lines) or "|" not in text.lines[number + 1]:
            raise text.fault("a device without its second line", number, hint=_CUT)
        memory = _MEMORY.search(text.lines[number + 1])
        if memory is not None:
            device.memory_bytes = int(memory["total"]) * 2**20
            device.free_bytes = max(int(memory["total"]) - int(memory["used"]), 0) * 2**20
        if number + 2 < len(text.lines) and _DIVIDED.search(text.lines[number + 2]):
            seen.divided(int(match["number"]))
    if not seen.devices:
        raise text.fault("nvidia-smi's overview without a device", start, hint=_CUT)
    return seen


_TITLE = re.compile(r"=+NVSMI LOG=+")
_ADDRESS = re.compile(r"GPU [0-9A-Fa-f]{4,8}:[0-9A-Fa-f]{2}:[0-9A-Fa-f]{2}\.[0-9A-Fa-f]\s*\Z")
_FIELD = re.compile(r"(?P<name>[^:]*\S)\s*: (?P<value>.*\S)\s*\Z")
_SIZES = {"Total": "memory_bytes", "Free": "free_bytes"}


def logs(text: Lines) -> Iterator[Seen]:
    """The logs of `-q` in a text.

    Raises:
        DocumentError: a log without devices, or a size that can't be read; at its line.
    """
    for start, line in enumerate(text.lines):
        if _TITLE.search(line):
            yield _log(text, start)


def _log(text: Lines, start: int) -> Seen:
    seen = Seen(KIND)
    driver = section = ""
    device = None
    for number in range(start + 1, len(text.lines)):
        line = text.lines[number].strip()
        field = _FIELD.match(line)
        if _TITLE.search(line):
            break
        if _ADDRESS.match(line):
            device = seen.device(len(seen.devices), number + 1)
            device.driver_version = driver or None
        elif field is None:
            section = line
        elif field["value"].casefold() in UNKNOWN:
            continue
        elif field["name"] == "Driver Version":
            driver = field["value"]
        elif device is not None and field["name"] == "Product Name":
            device.name = field["value"]
        elif device is not None and section == "FB Memory Usage" and field["name"] in _SIZES:
            setattr(device, _SIZES[field["name"]], size(text, number, field["value"], ""))
        elif section == "MIG Mode" and field["name"] == "Current" and field["value"] == "Enabled":
            seen.divided(len(seen.devices) - 1)
    if not seen.devices:
        raise text.fault("the log has no device", start, hint=_CUT)
    return seen
