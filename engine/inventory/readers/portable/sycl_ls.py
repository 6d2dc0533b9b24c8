"""List of `sycl-ls`: the GPUs of each back end; Level Zero's are read, OpenCL's where it has none.

A card of several stacks may be listed once or once per stack (ZE_FLAT_DEVICE_HIERARCHY).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from engine.inventory.products import Hardware
from engine.inventory.reader import Priority, TextReader, Use
from engine.inventory.seen import Lines, Seen

_DEVICE = re.compile(
    r"\[(?:ext_\w+_)?(?P<api>level_zero|opencl|cuda|hip):gpu(?::\d+)?\](?:\[\w+:\d+\])?,? *(?P<text>[^\[]+)"
)
_NAME = re.compile(r".*?(?:, |: )(?P<name>[^,]*?)(?: OpenCL \d.*| \d+\.\d+.*)?\s*\Z")
_KINDS = {"level_zero": "IntelOneApi", "opencl": None, "cuda": "CudaGpu", "hip": "RocmGpu"}
_ORDER = ("level_zero", "cuda", "hip", "opencl")


def read(text: Lines, hardware: Hardware) -> Iterator[Seen]:
    """Yield the GPUs of the best back end of each maker."""
    parts: dict[str, Seen] = {}
    for line, content in enumerate(text.narrow().lines):
        match = _DEVICE.match(content.strip())
        named = None if match is None else _NAME.match(match["text"].strip())
        if match is None or named is None:
            continue
        seen = parts.setdefault(match["api"], Seen(_KINDS[match["api"]]))
        device = seen.device(len(seen.devices), line + 1)
        device.name = named["name"].strip()
    yield from (parts[api] for api in _ORDER if api in parts)


READER = TextReader(
    name="sycl-ls",
    sources=("sycl-ls",),
    sign=re.compile(r"^[ \t]*\[(?:ext_\w+_)?(?:level_zero|opencl|cuda|hip):gpu", re.MULTILINE),
    read=read,
    priority=Priority.FALLBACK,
    hint="sycl-ls has names only; xpu-smi discovery -j has the memory",
    use=Use.SELDOM,
    example="""\
[level_zero:gpu][level_zero:0] Intel(R) Level-Zero, Intel(R) Data Center GPU Max 1100 1.3 [1.3.29735]
[opencl:cpu][opencl:3] Intel(R) OpenCL, Intel(R) Xeon(R) Platinum 8360Y CPU @ 2.40GHz OpenCL 3.0
""",
)
