"""NUMA nodes of `lscpu` or `numactl --hardware`, by the CPUs of each.

They complete matrices that list the CPUs near a device without its NUMA node. Alone, they describe a machine
without accelerators: its CPU.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from engine.inventory.products import Hardware
from engine.inventory.reader import Priority, TextReader
from engine.inventory.seen import Lines, Seen

_LSCPU = re.compile(r"\s*NUMA node(?P<node>\d+) CPU\(s\):[ \t]*(?P<cpus>\S*)\s*\Z")
_NUMACTL = re.compile(r"\s*node (?P<node>\d+) cpus:(?P<cpus>[\d ]*)\Z")
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
    if seen.numa_cpus:
        yield seen


READER = TextReader(
    name="lscpu",
    sources=(),
    sign=re.compile(r"^[ \t]*NUMA node\(s\):|^[ \t]*node \d+ cpus:", re.MULTILINE),
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
