"""NUMA nodes of devices by the CPUs that they are near: `lscpu` and `numactl --hardware` list each node's."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice

from engine.inventory.capture import Lines, Seen
from engine.inventory.types import HOST

_LSCPU = re.compile(r"\s*NUMA node(?P<node>\d+) CPU\(s\):[ \t]*(?P<cpus>\S*)\s*\Z")
_NUMACTL = re.compile(r"\s*node (?P<node>\d+) cpus:(?P<cpus>[\d ]*)\Z")
_SIZE = re.compile(r"\s*node \d+ (?P<what>size|free): (?P<mib>\d{1,9}) MB\s*\Z")
_MOST = 2**16
"""Numbers of CPUs are below it; more is no list of CPUs."""


def nodes(text: Lines) -> Seen | None:
    """The NUMA nodes that have CPUs, None where a text lists none. Nodes of memory alone are left out."""
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
    return seen if seen.numa_cpus else None


def host(seen: Seen) -> None:
    """Make a device of the CPUs, with the memory of all nodes, where a text describes nothing else."""
    seen.kind = HOST
    device = seen.device(0, 1)
    device.memory_bytes, device.free_bytes = seen.numa_memory.get("size"), seen.numa_memory.get("free")
    seen.notes.append(f"{len(seen.numa_cpus)} of {seen.numa_nodes} NUMA nodes have CPUs")


def place(seen: Seen) -> None:
    """Give devices whose CPUs are all of one node that node, where nothing else has told it."""
    known = {node: _numbers(cpus) for node, cpus in seen.numa_cpus.items()}
    for device in seen.devices.values():
        if device.numa_node is None and device.cpus is not None:
            own = _numbers(device.cpus)
            near = [node for node, cpus in known.items() if own and own <= cpus]
            device.numa_node = near[0] if len(near) == 1 else None


def _numbers(cpus: str) -> set[int]:
    """0, 1, 2, 3 and 8 of `0-3,8`; nothing of what is no such list, and no more than there can be."""
    return set(islice(_listed(cpus), _MOST))


def _listed(cpus: str) -> Iterator[int]:
    for part in cpus.split(","):
        match = re.fullmatch(r"(\d{1,6})(?:-(\d{1,6}))?", part)
        if match is not None:
            first, last = int(match[1]), int(match[2] or match[1])
            yield from range(first, min(last, _MOST) + 1)
