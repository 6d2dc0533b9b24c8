"""Devices that llama.cpp's back ends print when they start: `ggml_cuda_init: found 2 CUDA devices:`.

Newer versions print the memory; older ones have names only. The back ends are CUDA, ROCm, MUSA, Vulkan, Metal
and SYCL.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from engine.inventory.products import Hardware
from engine.inventory.reader import Excuse, Priority, TextReader, Use
from engine.inventory.readers.llama.common import (
    CUDA_ORDERED,
    FASTEST,
    KINDS,
    PORTABLE,
    SOURCES,
    is_software,
    without_driver,
)
from engine.inventory.seen import Lines, Seen, SeenDevice

_HEADING = re.compile(
    r"(?:ggml_cuda_init|ggml_init_cublas): found (?P<count>\d{1,4}) (?P<backend>CUDA|ROCm|MUSA) devices?"
)
_DEVICE = re.compile(r"\s*Device (?P<number>\d{1,4}): (?P<rest>\S.*?)\s*\Z")
_NAME = re.compile(r"(?P<name>.*?)(?:, (?:compute capability\b|gfx\w).*|, VMM: .*)?\Z")
_VRAM = re.compile(r"VRAM: (\d{1,9}) MiB")
_VULKAN = re.compile(
    r"(?:ggml_vulkan: (?P<number>\d{1,4}) = |\s*Vulkan(?P<older>\d{1,4}): )(?P<name>.*?) \([^()]*\) \| uma: "
)
_METAL = re.compile(
    r"ggml_metal_init: found device: (?P<name>Apple \S.*?)\s*\Z"
    r"|ggml_metal_(?:device_)?init: GPU name: +(?:MTL\d+ \()?(?P<gpu>Apple [^()]+?)\)?\.?\s*\Z"
)
_WORKING_SET = re.compile(r"recommendedMaxWorkingSetSize += +(?P<mb>\d{1,9})(?:\.\d+)? MB")
_SYCL = re.compile(r"\|\s*(?P<number>\d{1,3})\s*\|\s*\[(?P<api>level_zero|opencl):gpu:\d+\]\|(?P<cells>.*\|)")
_CELL_SIZE = re.compile(r"(?P<mb>\d{1,9})M\Z")
_CELL_NAME = re.compile(r"(?:Intel|AMD|NVIDIA)\b.*\Z")


def read(text: Lines, hardware: Hardware) -> Iterator[Seen]:
    """Yield the devices of each back end.

    Raises:
        DocumentError: a back end lists fewer devices than it found; at its heading.
    """
    text = text.narrow()
    found: list[Seen] = []
    for number, line in enumerate(text.lines):
        match = _HEADING.search(line)
        if match is not None:
            found.append(_listed(text, number, match))
    others = [_vulkan(text), _metal(text), _sycl(text)]
    native = [*found, *(seen for seen in others[1:] if seen.devices)]
    yield from native or [seen for seen in others if seen.devices]


def _listed(text: Lines, start: int, heading: re.Match[str]) -> Seen:
    backend, count = heading["backend"], int(heading["count"])
    seen = Seen(
        KINDS[backend], numbering=FASTEST if backend in CUDA_ORDERED else None, origin=f"llama.cpp {backend}"
    )
    for line in range(start + 1, len(text.lines)):
        match = _DEVICE.match(text.lines[line])
        if match is None or len(seen.devices) == count:
            break
        device = seen.device(int(match["number"]), line + 1)
        name, vram = _NAME.match(match["rest"]), _VRAM.search(match["rest"])
        device.name = None if name is None else name["name"]
        device.memory_bytes = None if vram is None else int(vram[1]) * 2**20
    if len(seen.devices) != count:
        message = f"{count} devices are found and {len(seen.devices)} listed"
        raise text.fault(message, start, hint="the log is cut off; paste all of it")
    return seen


def _vulkan(text: Lines) -> Seen:
    seen = Seen(KINDS[PORTABLE], origin="llama.cpp Vulkan", portable=True)
    for line, content in enumerate(text.lines):
        match = _VULKAN.search(content)
        if match is not None and not is_software(match["name"]):
            number = int(match["number"] or match["older"])
            seen.device(number, line + 1).name = without_driver(match["name"])
    return seen


def _metal(text: Lines) -> Seen:
    """Return the chip; the working set is the part of the memory that Metal may use."""
    seen = Seen(KINDS["Metal"], origin="llama.cpp Metal")
    device: SeenDevice | None = None
    for line, content in enumerate(text.lines):
        match = _METAL.search(content)
        if match is not None:
            device = seen.device(0, line + 1)
            device.name = device.name or match["name"] or match["gpu"]
        size = _WORKING_SET.search(content)
        if size is not None and device is not None:
            device.usable_bytes = int(size["mb"]) * 10**6
    return seen


def _sycl(text: Lines) -> Seen:
    """Return the devices of Level Zero, or of OpenCL if it has none: both list the same."""
    parts: dict[str, Seen] = {}
    for line, content in enumerate(text.lines):
        match = _SYCL.search(content)
        if match is None:
            continue
        cells = [cell.strip() for cell in match["cells"].split("|")]
        names = [cell for cell in cells if _CELL_NAME.match(cell)]
        sizes = [size["mb"] for cell in cells if (size := _CELL_SIZE.match(cell))]
        if names and sizes:
            seen = parts.setdefault(match["api"], Seen(KINDS["SYCL"], origin="llama.cpp SYCL"))
            device = seen.device(int(match["number"]), line + 1)
            device.name, device.memory_bytes = names[0], int(sizes[0]) * 10**6
    return parts.get("level_zero") or parts.get("opencl") or Seen(KINDS["SYCL"])


READER = TextReader(
    name="llama.cpp start-up log",
    sources=SOURCES,
    sign=re.compile(
        r"(?:ggml_cuda_init|ggml_init_cublas): found \d|ggml_vulkan: \d+ = |Vulkan\d+: .* \| uma: "
        r"|ggml_metal_(?:device_)?init: "
        r"|\[(?:level_zero|opencl):gpu:\d+\]\|"
    ),
    read=read,
    priority=Priority.LIST,
    hint="llama-server --list-devices",
    use=Use.DAILY,
    example="""\
ggml_cuda_init: found 2 CUDA devices (Total VRAM: 31658 MiB):
  Device 0: NVIDIA GeForce RTX 5070 Ti, compute capability 12.0, VMM: yes, VRAM: 15808 MiB
  Device 1: NVIDIA GeForce RTX 5060 Ti, compute capability 12.0, VMM: yes, VRAM: 15850 MiB
""",
    excuses=(
        Excuse(
            re.compile(r"ggml_cuda_init: failed to initialize|ggml_cuda_init: found 0 |no usable GPU found"),
            "llama.cpp found no device",
            "check the driver, and that llama.cpp is built for it; llama-server --list-devices",
        ),
    ),
)
