"""Report of `rocminfo`: GPU agents of the ROCm runtime with their names and memory."""

from __future__ import annotations

import re
from collections.abc import Iterator

from engine.inventory.products import Hardware
from engine.inventory.reader import Priority, TextReader, Use
from engine.inventory.readers.amd.common import KIND, SOURCES
from engine.inventory.seen import Lines, Seen, SeenDevice

_AGENT = re.compile(r"Agent \d{1,4}\s*\Z")
_FIELD = re.compile(r"\s*(?P<name>Marketing Name|Device Type|Segment|Size|Uuid):\s+(?P<value>\S.*?)\s*\Z")
_SIZE = re.compile(r"(?P<kib>\d{1,12})\(0x[0-9a-f]+\) KB")


def read(text: Lines, hardware: Hardware) -> Iterator[Seen]:
    """Yield the GPUs; a device's memory is its largest global segment."""
    agents: list[dict[str, str]] = []
    sizes: list[int] = []
    lines: list[int] = []
    for line, content in enumerate(text.narrow().lines):
        field = _FIELD.match(content)
        # The heading of an agent may be cut out: each agent has one marketing name.
        named = field is not None and field["name"] == "Marketing Name"
        if _AGENT.match(content) or (named and (not agents or "Marketing Name" in agents[-1])):
            agents.append({})
            sizes.append(0)
            lines.append(line + 1)
        if field is not None and agents:
            name, value = field["name"], field["value"]
            agents[-1][name] = value
            size = _SIZE.match(value) if name == "Size" else None
            if size is not None and agents[-1].get("Segment", "").startswith("GLOBAL"):
                sizes[-1] = max(sizes[-1], int(size["kib"]) * 2**10)
    seen = Seen(KIND)
    for agent, size_bytes, line in zip(agents, sizes, lines, strict=True):
        if agent.get("Device Type") == "GPU":
            number = len(seen.devices)
            seen.devices[number] = SeenDevice(number, name=agent.get("Marketing Name"), line=line)
            seen.devices[number].memory_bytes = size_bytes or None
    if seen.devices:
        yield seen


READER = TextReader(
    name="rocminfo",
    sources=SOURCES,
    sign=re.compile(r"^[ \t]*Marketing Name:", re.MULTILINE),
    read=read,
    priority=Priority.REPORT,
    hint="rocminfo lists no GPU; rocm-smi --showproductname --showmeminfo vram",
    use=Use.SELDOM,
    example="""\
*******
Agent 2
*******
  Name:                    gfx942
  Uuid:                    GPU-0000000000000000
  Marketing Name:          AMD Instinct MI300X
  Device Type:             GPU
  Pool Info:
    Pool 1
      Segment:                 GLOBAL; FLAGS: COARSE GRAINED
      Size:                    201310208(0xbffc000) KB
""",
)
