"""List of `nvidia-smi -L`, with MIG partitions, and reports that list devices the same way.

PyTorch's and vLLM's collect_env print the list below "GPU models and configuration"; SGLang's check_env and
OpenMMLab's put equal devices on one line, `GPU 0,1: name`; people write lists like `GPU 0: name | 24564 MiB`.
Lines that name no product (`GPU 0: 1234 MiB used`) are none of this list.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from engine.base.quantities import parse_bytes
from engine.inventory.products import Hardware
from engine.inventory.reader import Priority, TextReader, Use
from engine.inventory.readers.nvidia.common import KIND, SOURCES
from engine.inventory.seen import Lines, Seen, SeenDevice

_NUMBERS = r"\d{1,5}(?:, ?\d{1,5}|-\d{1,5})*"
_LISTED = re.compile(rf"[-*\s]*GPU ?#?(?P<numbers>{_NUMBERS}):\**\s*(?P<rest>\S.*)\Z")
_MOST_IN_RANGE = 1_024
_KINDS = {"Intel": "IntelOneApi", "AMD ": "RocmGpu", "Radeon": "RocmGpu", "GeForce": KIND}
"""Kinds of devices by a word of their names, for products that the catalog lacks."""
_LOST = re.compile(
    r"Unable to determine the device handle for gpu *(?P<address>[0-9A-Fa-f:.]+\d)", re.IGNORECASE
)
_UUID = re.compile(r"\(UUID: (?P<uuid>[\w-]+)\)?")
_REPORTED, _DRIVER = "GPU models and configuration", "Nvidia driver version"
_PART = re.compile(r"\s*MIG (?P<profile>\S+)\s+Device\s+\d+:\s*(?:\(UUID: (?P<uuid>[\w/-]+)\)?)?")
_BETWEEN = re.compile(r"[|,;]|\((?!R\)|TM\)|Pascal\))")
"""Marks between what a line says of a device; `(TM)` is part of a name."""
_UNMATCHED = re.compile(r"(?<=^)([^()]*)\)\Z")
_BRAND = re.compile(
    r"(?:NVIDIA|AMD|Intel|Tesla|Quadro|GeForce|Radeon|GRID|RTX|GTX|TITAN|Instinct)\b", re.IGNORECASE
)
_SIZE = re.compile(
    r"(?P<word>used|free|total)?:?\s*(?P<size>\d{1,9}(?:\.\d{1,3})? ?[MG]i?B)"
    r"\s*(?P<after>used|free|total)?\Z",
    re.IGNORECASE,
)


def read(text: Lines, hardware: Hardware) -> Iterator[Seen]:
    """Yield the devices of each list of a text."""
    seen = Seen(None)
    number = 0
    for line, content in _listed_lines(text.narrow()):
        match = _LISTED.match(content)
        if match is None:
            part = _PART.match(content)
            if part is not None and number in seen.devices:
                _add_partition(seen, number, part, hardware, line)
            continue
        rest = match["rest"]
        for number in _numbers(match["numbers"]):
            device = _device(number, rest, hardware, line)
            if device is None:
                break
            if number in seen.devices and device.uuid != seen.devices[number].uuid:
                yield seen
                seen = Seen(None)
            seen.devices.setdefault(number, device)
            if "NVIDIA" in (device.name or "") or device.uuid is not None:
                seen.kind = KIND
            seen.kind = seen.kind or next((kind for word, kind in _KINDS.items() if word in rest), None)
    if seen.devices:
        for content in text.narrow().lines:
            lost = _LOST.search(content)
            if lost is not None:
                seen.notes.append(f"nvidia-smi lost the GPU at {lost['address']}, which may be one of these")
        yield seen


def _numbers(text: str) -> Iterator[int]:
    """Yield the numbers of devices in `0`, `0,1,2` or `0-7`."""
    for part in text.split(","):
        first, _, last = part.strip().partition("-")
        yield from range(int(first), min(int(last or first), int(first) + _MOST_IN_RANGE) + 1)


def _device(number: int, rest: str, hardware: Hardware, line: int) -> SeenDevice | None:
    """Return the device of a line; None if the line names no product."""
    uuid = _UUID.search(rest)
    listed = rest if uuid is None else rest[: uuid.start()]
    pieces = [_UNMATCHED.sub(r"\1", piece.strip(" *")) for piece in _BETWEEN.split(listed)]
    name = pieces[0]
    if uuid is None and not _BRAND.match(name) and hardware.product(name) is None:
        return None
    device = SeenDevice(number, name=name, line=line + 1)
    device.uuid = None if uuid is None else uuid["uuid"]
    sizes: dict[str, int] = {}
    for piece in pieces[1:]:
        size = _SIZE.match(piece)
        if size is not None:
            amount = parse_bytes(size["size"].replace("iB", "B").replace("B", "iB"))
            sizes[(size["word"] or size["after"] or "total").lower()] = amount
    device.memory_bytes, device.free_bytes = sizes.get("total"), sizes.get("free")
    if "total" in sizes and "used" in sizes:
        device.free_bytes = max(sizes["total"] - sizes["used"], 0)
    return device


def _add_partition(seen: Seen, number: int, match: re.Match[str], hardware: Hardware, line: int) -> None:
    part = SeenDevice(number, partition=match["profile"], uuid=match["uuid"], line=line + 1)
    part.memory_bytes = hardware.partition_bytes(match["profile"])
    seen.partitions.append(part)
    seen.divide(number)


def _listed_lines(text: Lines) -> Iterator[tuple[int, str]]:
    """Yield lines with their numbers; a report's single line is split at its devices."""
    for line, content in enumerate(text.lines):
        _, heading, rest = content.partition(_REPORTED)
        if not heading:
            yield line, content
            continue
        for listed in re.split(r"(?=\bGPU \d{1,5}(?:,\d{1,5})*: )", rest.partition(_DRIVER)[0]):
            yield line, listed.strip()


READER = TextReader(
    name="nvidia-smi -L",
    sources=(*SOURCES, "collect-env"),
    sign=re.compile(
        rf"GPU ?#?{_NUMBERS}:.*(?:UUID|NVIDIA|AMD|Tesla|Radeon|Intel|GeForce|[RG]TX|MiB)"
        r"|GPU models and configuration"
    ),
    read=read,
    priority=Priority.LIST,
    hint="the list has names only; add nvidia-smi --query-gpu=index,name,memory.total --format=csv",
    use=Use.DAILY,
    example="""\
GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-00000000-0000-0000-0000-000000000000)
GPU 1: NVIDIA H100 80GB HBM3 (UUID: GPU-00000000-0000-0000-0000-000000000001)
""",
)
