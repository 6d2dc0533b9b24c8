"""PyTorch's `_CudaDeviceProperties(…)`, as `torch.cuda.get_device_properties` prints it; also ROCm's.

Programs print it for each device, with or without its number. YOLO's start-up line is of the same form.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from engine.inventory.products import Hardware
from engine.inventory.reader import Priority, TextReader
from engine.inventory.seen import Lines, Seen

_DEVICE = re.compile(
    r"_(?P<api>Cuda|Xpu)DeviceProperties\(name='(?P<name>[^']{1,200})'(?P<rest>(?:[^()']|'[^']*')*)\)?"
)
_SHORT = re.compile(r"CUDA:(?P<number>\d{1,4}) \((?P<name>[^,()]{2,99}), (?P<mib>\d{3,7})MiB\)")
_NUMBER = re.compile(r"(?:device ?|cuda:|xpu:|GPU ?|\[)(?P<number>\d{1,4})\]?[^\w]*\Z", re.IGNORECASE)
_MEMORY = re.compile(r"total_memory=(?P<size>\d{1,12}) ?(?P<unit>MB)?")
"""PyTorch calls 2^20 bytes a MB."""
_UUID = re.compile(r"uuid=(?P<uuid>[0-9a-f-]{36})")
_ROCM = re.compile(r"gcnArchName='gfx")


def read(text: Lines, hardware: Hardware) -> Iterator[Seen]:
    """Yield the devices; lines without numbers that are apart from each other are several snapshots."""
    seen = Seen(None, numbering="fastest")
    last: int | None = None
    for line, content in enumerate(text.narrow().lines):
        before = 0
        for match in (*_DEVICE.finditer(content), *_SHORT.finditer(content)):
            numbered = match.groupdict().get("number")
            if numbered is None:
                mark = _NUMBER.search(content[before : match.start()])
                numbered = None if mark is None else mark["number"]
            before = match.end()
            if numbered is None and last is not None and line > last + 1:
                yield seen
                seen = Seen(None, numbering="fastest")
            last = line
            number = len(seen.devices) if numbered is None else int(numbered)
            device = seen.device(number, line + 1)
            device.name = match["name"]
            rest = match.groupdict().get("rest") or ""
            memory, uuid = _MEMORY.search(rest), _UUID.search(rest)
            if memory is not None:
                device.memory_bytes = int(memory["size"]) * (2**20 if memory["unit"] else 1)
            elif match.groupdict().get("mib"):
                device.memory_bytes = int(match["mib"]) * 2**20
            device.uuid = None if uuid is None else f"GPU-{uuid['uuid']}"
            if match.groupdict().get("api") == "Xpu":
                seen.kind, seen.numbering = "IntelOneApi", None
            else:
                seen.kind = "RocmGpu" if _ROCM.search(rest) or match["name"].startswith("AMD") else "CudaGpu"
                seen.numbering = seen.numbering if seen.kind == "CudaGpu" else None
    if seen.devices:
        yield seen


READER = TextReader(
    name="torch.cuda.get_device_properties",
    sources=("torch",),
    sign=re.compile(r"_CudaDeviceProperties\(|CUDA:\d+ \([^,()]{2,99}, \d+MiB\)"),
    read=read,
    priority=Priority.REPORT,
    hint="print torch.cuda.get_device_properties(i) for each device",
    example="""\
_CudaDeviceProperties(name='NVIDIA A10G', major=8, minor=6, total_memory=22723MB, multi_processor_count=80)
_CudaDeviceProperties(name='NVIDIA A10G', major=8, minor=6, total_memory=22723MB, multi_processor_count=80)
""",
)
