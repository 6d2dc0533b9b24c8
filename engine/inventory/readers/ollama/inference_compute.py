"""Ollama's log line `inference compute`: name, total and available memory of each device."""

from __future__ import annotations

import re
from collections.abc import Iterator

from engine.base.quantities import parse_bytes
from engine.inventory.products import Hardware
from engine.inventory.reader import Excuse, Priority, TextReader
from engine.inventory.seen import Lines, Seen

_MARK = 'msg="inference compute"'
_FIELD = re.compile(r'(?P<name>[\w.]+)=(?:"(?P<quoted>[^"]*)"|(?P<bare>\S+))')
_KINDS = {
    "cuda": "CudaGpu",
    "rocm": "RocmGpu",
    "hip": "RocmGpu",
    "metal": "MetalGpu",
    "oneapi": "IntelOneApi",
    "vulkan": "VulkanGpu",
}
_PORTABLE = "vulkan"
_CPU = "cpu"


def read(text: Lines, hardware: Hardware) -> Iterator[Seen]:
    """Yield the devices of each library of the last start.

    Raises:
        DocumentError: a size cannot be read; at its line.
    """
    parts: dict[str, Seen] = {}
    ids: set[tuple[str, str]] = set()
    for line, content in enumerate(text.narrow().lines):
        if _MARK not in content:
            continue
        fields = {match["name"]: match["quoted"] or match["bare"] or "" for match in _FIELD.finditer(content)}
        library = fields.get("library", "").lower().partition("_")[0]
        if library == _CPU or not fields.get("total"):
            continue
        if (library, fields.get("id", "")) in ids:  # the server was started again
            parts, ids = {}, set()
        ids.add((library, fields.get("id", "")))
        seen = parts.setdefault(
            library,
            Seen(_KINDS.get(library), numbering=_numbering(library), portable=library == _PORTABLE),
        )
        seen.origin = f"Ollama's {library} devices"
        device = seen.device(len(seen.devices), line + 1)
        name = fields.get("description") or fields.get("name", "")
        device.name = (
            None
            if name in ("", "0")
            or re.fullmatch(r"(?:CUDA|ROCm|Metal|Vulkan)\d+|[0-9a-f]{4}:[0-9a-f]{4}", name)
            else name
        )
        try:
            device.memory_bytes = _size(fields["total"])
            device.free_bytes = _size(fields["available"]) if "available" in fields else None
        except ValueError as error:
            raise text.fault(str(error), line) from None
        if fields.get("id", "").startswith("GPU-"):
            device.uuid = fields["id"]
    native = {library: seen for library, seen in parts.items() if library != _PORTABLE}
    for seen in native.values():
        if _PORTABLE in parts:
            seen.notes.append("devices that Ollama reaches by Vulkan alone are left out")
            break
    yield from (native or parts).values()


def _numbering(library: str) -> str | None:
    return "fastest" if library == "cuda" else None


def _size(text: str) -> int:
    """Return bytes of `79.3 GiB`: a rounded number, so never a whole one."""
    number, _, unit = text.partition(" ")
    return int(float(number) * parse_bytes(f"1{unit}"))


READER = TextReader(
    name="ollama serve",
    sources=("ollama",),
    sign=re.compile(r'msg="inference compute"'),
    read=read,
    priority=Priority.REPORT,
    hint="ollama serve logs each device as 'inference compute'; paste those lines",
    example="""\
time=2025-07-17T14:54:16.158+03:00 level=INFO source=types.go:130 msg="inference compute" library=cuda \
variant=v12 compute=8.0 driver=12.8 name="NVIDIA A100-SXM4-80GB" total="79.3 GiB" available="78.8 GiB"
""",
    excuses=(
        Excuse(
            re.compile(
                r"no compatible GPUs were discovered"
                r"|library=cpu\b.*inference compute|inference compute.*library=cpu\b"
            ),
            "Ollama found no accelerator, only the CPU",
            "check the driver; a container needs docker run --gpus all",
        ),
    ),
)
