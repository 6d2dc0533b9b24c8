"""Inventory of this machine: what the makers' tools report, else /sys and /dev, and the CPU's memory.

Nothing is installed and nothing leaves the machine; serial numbers and the host name are not queried.
A missing tool is a note; a tool that hangs is killed.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from engine.base.errors import EngineError
from engine.inventory import sysfs
from engine.inventory.assemble import assemble, shifted_links
from engine.inventory.discovery import detectors
from engine.inventory.inventory import HOST, Device, Imported, Inventory
from engine.inventory.kernel_files import text_of
from engine.inventory.products import Hardware
from engine.inventory.reader import Detector
from engine.inventory.seen import Seen
from engine.inventory.tools import find_tool, run_tool

PATIENCE = 20.0
"""Seconds that a tool may take."""

_ERROR_BYTES = 65536
"""Bytes of a failed tool's output that are looked at."""

_MEMORY_LIMITS = ("sys/fs/cgroup/memory.max", "sys/fs/cgroup/memory/memory.limit_in_bytes")
"""Memory limit of a container, in versions 2 and 1 of control groups."""


def detect(hardware: Hardware, patience: float = PATIENCE, root: Path = Path("/")) -> Imported:
    """Return the inventory of this machine: its accelerators, then its CPU with the memory it may use.

    Args:
        hardware: the catalogs of products, links and PCI ids.
        patience: seconds that each tool may take.
        root: of the file system whose /sys and /dev are read.

    Raises:
        EngineError: a catalog is faulty.
    """
    makers = detectors()
    notes: list[str] = []
    missing = [tool for detector in makers for tool in detector.tools if find_tool(tool) is None]
    if missing:
        notes.append(f"{', '.join(missing)} not found; devices only they can report are missing")
    found = _ask_all(makers, hardware, patience, notes)
    reported = {seen.kind for seen in found if seen.kind is not None}
    found += sysfs.find_devices(root, hardware, makers, reported, notes)
    parts = [assemble(seen, hardware) for seen in found]
    devices = [device for part in parts for device in part.inventory.devices]
    interconnects = [link for part in parts for link in part.inventory.interconnects]
    notes += [note for part in parts for note in part.notes]
    inventory = Inventory((*devices, _cpu(root)), tuple(interconnects), links=shifted_links(parts))
    return Imported(inventory, tuple(dict.fromkeys(notes)))


def _ask_all(makers: Sequence[Detector], hardware: Hardware, patience: float, notes: list[str]) -> list[Seen]:
    """Run the tools of all makers at the same time; devices and notes are in the makers' order."""
    asked = [detector for detector in makers if any(map(_is_there, detector.asks))]
    stopped = threading.Event()
    tools = [_Tools([], patience, stopped) for _ in asked]
    _load(hardware)
    with ThreadPoolExecutor(max_workers=max(len(asked), 1)) as pool:
        try:
            pairs = zip(asked, tools, strict=True)
            answers = list(pool.map(lambda pair: pair[0].find(pair[1], hardware), pairs))
        finally:
            # Ctrl-C ends the tools too: the pool waits for its threads.
            stopped.set()
    for tool in tools:
        notes += tool.notes
    return [seen for seen in answers if seen is not None and seen.devices]


def _is_there(tool: str) -> bool:
    """Test for a tool in PATH; names that are no program's, such as NVML, are always asked."""
    return not _PROGRAM.fullmatch(tool) or find_tool(tool) is not None


_PROGRAM = re.compile(r"[a-z][a-z0-9_-]*")


def _load(hardware: Hardware) -> None:
    """Load the catalogs before several threads read them."""
    for catalog in (hardware.products, hardware.links, hardware.launch, hardware.pci):
        assert catalog.rows is not None


def tool_names() -> str:
    """Return the tools that detection runs, as a help text lists them."""
    *names, last = [name for detector in detectors() for name in detector.asks]
    return f"{', '.join(names)} and {last}"


class _Tools:
    """Runs tools; their problems become notes (see reader.Tools)."""

    def __init__(self, notes: list[str], patience: float, stopped: threading.Event) -> None:
        self.notes = notes
        self.patience = patience
        self.stopped = stopped

    def run(self, *command: str, name: str = "") -> str | None:
        tool = name or command[0]
        path = command[0] if os.path.isabs(command[0]) else find_tool(command[0])
        if path is None or self.stopped.is_set():
            return None
        try:
            finished = run_tool([path, *command[1:]], self.patience, stopped=self.stopped)
        except OSError as error:
            self.notes.append(f"{tool}: {(error.strerror or str(error)).lower()}")
            return None
        if finished.trouble is not None:
            self.notes.append(f"{tool} {finished.trouble}")
            return None
        if finished.code:
            output = (finished.err or finished.out)[:_ERROR_BYTES].decode(errors="replace")
            lines = output.strip().split("\n")
            message = lines[-1 if lines[0].startswith("Traceback") else 0][:200]
            self.notes.append(f"{tool} exited with {finished.code}: {message}")
            return None
        return finished.out.decode(errors="replace")

    def read(self, tool: str, read: Callable[[], Seen | None]) -> Seen | None:
        try:
            return read()
        except EngineError as error:
            self.notes.append(f"{tool}: {error.message}")
            return None


def _cpu(root: Path) -> Device:
    """Return the CPU with the memory that this process may use."""
    import psutil

    total = int(psutil.virtual_memory().total)
    free = int(psutil.virtual_memory().available)
    for path in _MEMORY_LIMITS:
        text = text_of(root / path)
        if text is not None and text.isdecimal():
            total = min(total, int(text))
    return Device(HOST, total, free_bytes=min(free, total))
