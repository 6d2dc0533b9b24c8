"""NUMA nodes of devices, by the CPUs near each device and the CPUs of each node."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice

from engine.inventory.inventory import HOST
from engine.inventory.seen import Seen

_MOST = 2**16
"""CPUs are numbered below this; a longer list is no list of CPUs."""


def place_devices(seen: Seen) -> None:
    """Set the NUMA node of devices whose CPUs are all of one node, unless a tool reported it."""
    nodes = {node: _numbers(cpus) for node, cpus in seen.numa_cpus.items()}
    for device in seen.devices.values():
        if device.numa_node is None and device.cpus is not None:
            near = _numbers(device.cpus)
            matching = [node for node, cpus in nodes.items() if near and near <= cpus]
            device.numa_node = matching[0] if len(matching) == 1 else None


def add_host(seen: Seen) -> None:
    """Add the CPU as a device, with the memory of all NUMA nodes."""
    seen.kind = HOST
    device = seen.device(0, 1)
    device.memory_bytes, device.free_bytes = seen.numa_memory.get("size"), seen.numa_memory.get("free")
    seen.notes.append(f"{len(seen.numa_cpus)} of {seen.numa_nodes} NUMA nodes have CPUs")


def _numbers(cpus: str) -> set[int]:
    """Return {0, 1, 2, 3, 8} for `0-3,8`; nothing for other text."""
    return set(islice(_listed(cpus), _MOST))


def _listed(cpus: str) -> Iterator[int]:
    for part in cpus.split(","):
        match = re.fullmatch(r"(\d{1,6})(?:-(\d{1,6}))?", part)
        if match is not None:
            first, last = int(match[1]), int(match[2] or match[1])
            yield from range(first, min(last, _MOST) + 1)
