"""Gaudi's line in vLLM's collect_env: how many devices, and their product.

HPU devices: 8x HL-205
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from engine.inventory.products import Hardware
from engine.inventory.reader import Priority, TextReader, Use
from engine.inventory.seen import Lines, Seen

_DEVICES = re.compile(r"\s*HPU devices\s*: (?P<count>\d{1,4})x (?P<name>HL-\S+)\s*\Z")


def read(text: Lines, hardware: Hardware) -> Iterator[Seen]:
    """Yield the devices of a report."""
    for line, content in enumerate(text.narrow().lines):
        match = _DEVICES.match(content)
        if match is not None and int(match["count"]):
            seen = Seen("Gaudi")
            for number in range(int(match["count"])):
                seen.device(number, line + 1).name = match["name"]
            yield seen


READER = TextReader(
    name="python -m torch.utils.collect_env",
    sources=("collect-env",),
    sign=re.compile(r"^[ \t]*HPU devices\s*: \d", re.MULTILINE),
    read=read,
    priority=Priority.LIST,
    hint="hl-smi lists the devices and their memory",
    use=Use.SELDOM,
    example="""\
HPU devices: 8x HL-225
HPU driver version: 1.19.1-6f47ddd
""",
)
