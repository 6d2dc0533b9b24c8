"""Overview that `nvidia-smi` prints without arguments: names, used and total memory, MIG partitions.

Older versions cut long names off (`NVIDIA A100-SXM...`); the catalog `products` completes them if the memory
leaves only one product. Rows may be condensed to one line per device, and the title may be missing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from engine.inventory.products import Hardware
from engine.inventory.reader import Excuse, Priority, TextReader, Use
from engine.inventory.readers.nvidia.common import CUT_OFF, KIND, SOURCES
from engine.inventory.seen import Lines, Seen, SeenDevice

_TITLE = re.compile(r"\| NVIDIA-SMI \d")
_DRIVER = re.compile(r"Driver Version\s*: *(?P<version>\S+)")
_STATES = r"On|Off|N/A|WDDM|TCC|MCDM|ERR!"
_DEVICE = re.compile(
    rf"\|\s*(?P<number>\d{{1,5}})\s+(?P<name>\S.*?)\s+(?:{_STATES})\s*\|"
    r"\s*(?:(?P<address>[0-9A-Fa-f]{4,8}:[0-9A-Fa-f]{2}:[0-9A-Fa-f]{2}\.[0-9A-Fa-f])|N/A\s)"
)
_MEMORY = re.compile(r"(?P<used>\d{1,9}) ?MiB\s*/\s*(?P<total>\d{1,9}) ?MiB\s*\|")
_MIG = re.compile(r"\| +Enabled\*? *\|")
"""The device's third line has "Enabled" if MIG divides it."""
_PARTS = re.compile(r"\| MIG devices:")
_PART = re.compile(
    r"\|\s*(?P<number>\d{1,5})\s+(?P<gi>\d+)\s+(?P<ci>\d+)\s+(?P<at>\d+)\s*\|"
    r"\s*(?P<used>\d{1,9}) ?MiB\s*/\s*(?P<total>\d{1,9}) ?MiB"
)
_OTHERS = re.compile(r"\bNVITOP \d|\b(?!NVIDIA)[A-Z]{2,8}-SMI\b|\bCNMON\b")
"""Titles of tools that print rows of the same form."""
_HANDLE = re.compile(
    r"Unable to determine the device handle for gpu *(?P<address>[0-9a-f:]+\.\d)", re.IGNORECASE
)
_LOST = {"ERR!", "Unknown Error"}
_FAILED = re.compile(r"ERR!|GPU is lost|GPU requires reset|Unknown Error")
_UNREPORTED = re.compile(r"Not Supported|N/A *\||N/A */ *N/A|Unknown|Insufficient", re.IGNORECASE)
"""Cells of a device of which the driver does not report the memory."""
_PROHIBITED = re.compile(r"\bProhibited *\|")
_BORDER = re.compile(r"[\s|+=-]*\Z")


def read(text: Lines, hardware: Hardware) -> Iterator[Seen]:
    """Yield the devices of each overview; rows without a title are one overview.

    Raises:
        DocumentError: an overview has no device, or a device no second line; at its line.
    """
    text = text.narrow()
    starts = [number for number, line in enumerate(text.lines) if _TITLE.search(line)]
    if not starts and any(_OTHERS.search(line) for line in text.lines):
        return
    first = next((number for number, line in enumerate(text.lines) if _DEVICE.search(line)), None)
    if first is not None and (not starts or first < starts[0]):
        starts.insert(0, first - 1)
    ends = [*starts, len(text.lines)][1:]
    lost = [match["address"].casefold() for line in text.lines if (match := _HANDLE.search(line))]
    for start, end in zip(starts, ends, strict=True):
        seen = _overview(text, start, end)
        for device in seen.devices.values():
            if any((device.address or "").casefold().endswith(address) for address in lost):
                device.available = False
                seen.notes.append(f"GPU {device.number} does not answer; it is not available")
        yield seen


def _overview(text: Lines, start: int, end: int) -> Seen:
    seen = Seen(KIND)
    driver = _DRIVER.search(text.lines[max(start, 0)])
    in_parts = False
    for number in range(start + 1, end):
        line = text.lines[number]
        if "Processes:" in line:
            break
        in_parts = in_parts or _PARTS.search(line) is not None
        match = _DEVICE.search(line)
        if in_parts:
            _add_partition(seen, line, number)
        elif match is not None:
            if int(match["number"]) in seen.devices:
                raise text.fault(f"device {match['number']} is listed twice", number, match["number"])
            device = seen.device(int(match["number"]), number + 1)
            device.driver_version = None if driver is None else driver["version"]
            device.address = match["address"]
            if match["name"] in _LOST:
                device.available = False
                seen.notes.append(f"GPU {device.number} does not answer; it is not available")
            else:
                device.name = match["name"]
                _describe(text, number, end, device, seen)
    if not seen.devices and any("vGPU ID" in line for line in text.lines[max(start, 0) : end]):
        hint = "paste the output of nvidia-smi, of the host or of a virtual machine"
        raise text.fault("nvidia-smi vgpu lists the virtual machines of a host", max(start, 0), hint=hint)
    if not seen.devices:
        raise text.fault("nvidia-smi's overview without a device", max(start, 0), hint=CUT_OFF)
    return seen


def _describe(text: Lines, number: int, end: int, device: SeenDevice, seen: Seen) -> None:
    """Read the memory, which follows on the same line or the next, and whether MIG divides the device."""
    below = [text.lines[at] for at in range(number + 1, end) if not _BORDER.match(text.lines[at])][:2]
    memory = _MEMORY.search(text.lines[number])
    if memory is None:
        if not below or "|" not in below[0] or _DEVICE.search(below[0]) or "Processes:" in below[0]:
            raise text.fault("a device without its second line", number, hint=CUT_OFF)
        memory = _MEMORY.search(below[0])
    if memory is None and below and _FAILED.search(below[0]):
        device.available = False
        seen.notes.append(f"GPU {device.number} does not answer; it is not available")
    elif memory is None and not _UNREPORTED.search(" ".join([text.lines[number], *below[:1]])):
        raise text.fault("a device without its memory", number, hint=CUT_OFF)
    if memory is not None:
        device.memory_bytes = int(memory["total"]) * 2**20
        device.free_bytes = max(int(memory["total"]) - int(memory["used"]), 0) * 2**20
    if any(_PROHIBITED.search(line) for line in (text.lines[number], *below[:1])):
        device.available = False
        seen.notes.append(f"GPU {device.number} is in compute mode Prohibited; it is not available")
    if below[1:] and _MIG.search(below[1]):
        seen.divide(device.number)


def _add_partition(seen: Seen, line: str, number: int) -> None:
    match = _PART.search(line)
    if match is None or int(match["number"]) not in seen.devices:
        return
    total, used = int(match["total"]) * 2**20, int(match["used"]) * 2**20
    part = SeenDevice(
        int(match["number"]), memory_bytes=total, free_bytes=max(total - used, 0), line=number + 1
    )
    part.partition = f"GI {match['gi']} CI {match['ci']}"
    seen.partitions.append(part)
    if seen.devices[part.number].available is None:
        seen.divide(part.number)


READER = TextReader(
    name="nvidia-smi",
    sources=SOURCES,
    sign=re.compile(rf"{_TITLE.pattern}|^{_DEVICE.pattern}", re.MULTILINE),
    read=read,
    priority=Priority.OVERVIEW,
    hint=CUT_OFF,
    use=Use.DAILY,
    example="""\
+-----------------------------------------------------------------------------------------+
| NVIDIA-SMI 550.54.15              Driver Version: 550.54.15      CUDA Version: 12.4     |
|-----------------------------------------+------------------------+----------------------+
| GPU  Name                 Persistence-M | Bus-Id          Disp.A | Volatile Uncorr. ECC |
| Fan  Temp   Perf          Pwr:Usage/Cap |           Memory-Usage | GPU-Util  Compute M. |
|=========================================+========================+======================|
|   0  NVIDIA L40S                    On  |   00000000:01:00.0 Off |                    0 |
| N/A   31C    P8             33W /  350W |       0MiB /  46068MiB |      0%      Default |
+-----------------------------------------+------------------------+----------------------+
""",
    excuses=(
        Excuse(
            re.compile(r"NVIDIA-SMI has failed|No devices were found|Failed to initialize NVML"),
            "nvidia-smi found no device",
            "check that the driver is loaded; a container needs docker run --gpus all",
        ),
        Excuse(
            re.compile(r"Unable to determine the device handle for GPU\S*"),
            "nvidia-smi lost a GPU and lists none",
            "restart the machine, then paste nvidia-smi again",
        ),
        Excuse(
            re.compile(r"could not select device driver \S* with capabilities: \[\[gpu"),
            "Docker has no driver for GPUs, and the container did not start",
            "install the NVIDIA Container Toolkit, or paste nvidia-smi of the host",
        ),
        Excuse(
            re.compile(r"\| *(?!NVIDIA-|AMD-|HL-|MX-)[A-Z]{2,8}-SMI\b"),
            "this table is of another maker's tool, which is not read",
            "describe the machine in words: 8xH100-SXM",
        ),
    ),
)
