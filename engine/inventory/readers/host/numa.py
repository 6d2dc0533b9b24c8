"""NUMA nodes of `lscpu` or `numactl --hardware`, by the CPUs of each; memory of `free` and `/proc/meminfo`.

They complete matrices that list the CPUs near a device without its NUMA node. Alone, they describe a machine
without accelerators: its CPU.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from engine.base.quantities import parse_bytes
from engine.inventory.products import Hardware
from engine.inventory.reader import Priority, TextReader
from engine.inventory.seen import Lines, Seen

_LSCPU = re.compile(
    r"\s*NUMA[ -](?:node|Knoten|节点)(?P<node>\d+) CPU(?:\(s\))?[:：][ \t]*(?P<cpus>\S*)\s*\Z"
)
_NUMACTL = re.compile(r"\s*node (?P<node>\d+) cpus:(?P<cpus>[\d ]*)\Z")
_FREE = re.compile(r"\s*(?:Mem|Speicher|内存)[:：] *(?P<size>\d\S*)(?: +\S+){4} +(?P<free>\d\S*)\s*\Z")
_MEMINFO = re.compile(r"\s*Mem(?P<what>Total|Available): +(?P<kib>\d{1,12}) kB\s*\Z")
_READABLE = re.compile(r"\d+(?:\.\d+)?[MGT]i?\Z")
_FEWEST_KIB = 2_000_000
"""A bare number above this is in KiB: `free -m` and `-g` print smaller ones."""
_SIZE = re.compile(r"\s*node \d+ (?P<what>size|free): (?P<mib>\d{1,9}) MB\s*\Z")


def read(text: Lines, hardware: Hardware) -> Iterator[Seen]:
    """Yield the NUMA nodes if one has CPUs; nodes of memory alone are counted only."""
    seen = Seen()
    for line in text.lines:
        match = _LSCPU.match(line) or _NUMACTL.match(line)
        if match is not None:
            seen.numa_nodes += 1
            if match["cpus"].strip():
                seen.numa_cpus[int(match["node"])] = ",".join(match["cpus"].split())
        elif match := _SIZE.match(line):
            size = int(match["mib"]) * 2**20
            seen.numa_memory[match["what"]] = seen.numa_memory.get(match["what"], 0) + size
    if "size" not in seen.numa_memory:
        seen.numa_memory = _memory(text)
    if seen.numa_cpus or seen.numa_memory:
        yield seen


def _memory(text: Lines) -> dict[str, int]:
    """Return the size of the machine's memory and what of it is free, as far as they are reported."""
    found: dict[str, int] = {}
    for line in text.narrow().lines:
        match = _FREE.match(line)
        if match is not None:
            sizes = {"size": _amount(match["size"]), "free": _amount(match["free"])}
            found |= {what: size for what, size in sizes.items() if size is not None}
        elif match := _MEMINFO.match(line):
            found["size" if match["what"] == "Total" else "free"] = int(match["kib"]) * 2**10
    return found if "size" in found else {}


def _amount(text: str) -> int | None:
    if _READABLE.match(text):
        return parse_bytes(f"{text.removesuffix('i')}iB")
    return int(text) * 2**10 if text.isdecimal() and int(text) >= _FEWEST_KIB else None


READER = TextReader(
    name="lscpu",
    sources=(),
    sign=re.compile(
        r"^[ \t]*NUMA(?: node\(s\)|-Knoten| 节点)[:：]|^[ \t]*node \d+ cpus:|^[ \t]*Mem(?:Total)?: +\d",
        re.MULTILINE,
    ),
    read=read,
    priority=Priority.HOST,
    hint="lscpu lists the CPUs of each NUMA node; the accelerators need their own tool",
    example="""\
CPU(s):                  64
NUMA node(s):            2
NUMA node0 CPU(s):       0-31
NUMA node1 CPU(s):       32-63
""",
)
