"""Devices of `llama-server --list-devices`, and of "using device CUDA0 (…)": names, total and free memory."""

from __future__ import annotations

import re
from collections.abc import Iterator

from engine.inventory.products import Hardware
from engine.inventory.reader import Priority, TextReader
from engine.inventory.readers.llama.common import (
    CUDA_ORDERED,
    FASTEST,
    KINDS,
    METAL,
    PORTABLE,
    SOURCES,
    is_software,
    without_driver,
)
from engine.inventory.seen import Lines, Seen

_BACKENDS = "|".join(KINDS)
_LISTED = re.compile(
    rf"\s*(?:\S.*\busing device )?(?P<backend>{_BACKENDS})(?P<number>\d{{1,4}})?:? *"
    r"(?:: *|\()(?P<name>[^()]*(?:\((?:TM|R|[A-Z][A-Z0-9 ]*)\)[^()]*)*?) *"
    r"\((?P<mib>\d{1,9}) MiB, (?P<free>\d{1,9}) MiB free\)"
)
_REMOTE = re.compile(r"\s*RPC\d{1,4}: \S")
_USING = re.compile(
    rf".*\busing device (?P<backend>{_BACKENDS})(?P<number>\d{{1,4}})? \((?P<name>.*?)\)"
    r"(?: \([0-9a-f:.]+\))? - (?P<free>\d{1,9}) MiB free"
)


def read(text: Lines, hardware: Hardware) -> Iterator[Seen]:
    """Yield the devices of each back end."""
    parts: dict[str, Seen] = {}
    notes: list[str] = []
    for line, content in enumerate(text.narrow().lines):
        if _REMOTE.match(content) and not notes:
            notes.append("devices of other machines (RPC) are left out; join the machines instead")
        match = _LISTED.match(content) or _USING.match(content)
        if match is None or is_software(match["name"]):
            continue
        backend = match["backend"]
        seen = parts.setdefault(
            backend, Seen(KINDS[backend], origin=f"llama.cpp {backend}", portable=backend == PORTABLE)
        )
        seen.numbering = FASTEST if backend in CUDA_ORDERED else None
        device = seen.device(int(match["number"] or 0), line + 1)
        device.name = without_driver(match["name"])
        device.free_bytes = int(match["free"]) * 2**20
        total = match.groupdict().get("mib")
        if total is not None and KINDS[backend] == METAL:
            device.usable_bytes = int(total) * 2**20
        elif total is not None:
            device.memory_bytes = int(total) * 2**20
    for seen in parts.values():
        seen.notes += notes
    named = [seen for backend, seen in parts.items() if backend != PORTABLE]
    yield from named or list(parts.values())


READER = TextReader(
    name="llama-server --list-devices",
    sources=SOURCES,
    sign=re.compile(
        rf"^[ \t]*(?:{_BACKENDS})\d*: .*\(\d+ MiB, \d+ MiB free\)|using device (?:{_BACKENDS})\d* \(",
        re.MULTILINE,
    ),
    read=read,
    priority=Priority.REPORT,
    hint="llama-server --list-devices",
    example="""\
Available devices:
  CUDA0: NVIDIA GeForce RTX 3090 (24154 MiB, 23892 MiB free)
  CUDA1: Tesla P40 (24438 MiB, 24290 MiB free)
""",
)
