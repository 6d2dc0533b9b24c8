"""This machine: what the makers' tools say of its accelerators, and its CPU's memory.

Nothing is installed and nothing leaves the machine; serial numbers and the host's name are not asked for.
A tool that isn't there is a note, one that hangs is cut off.
"""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from engine.errors import EngineError
from engine.inventory import amd_smi, nvidia_smi, nvidia_topo, nvml, rocm_smi, smi_json, sysfs
from engine.inventory.assemble import assemble
from engine.inventory.capture import Lines, Seen
from engine.inventory.captures import hop_weight, link_codes
from engine.inventory.products import Hardware
from engine.inventory.types import HOST, Device, Imported, Inventory
from engine.records import replace

PATIENCE = 20.0
"""Seconds for a tool's answer."""

_TOOLS = ("nvidia-smi", "rocm-smi", "amd-smi", "hl-smi", "xpu-smi", "neuron-ls")
_QUERY = "index,name,memory.total,memory.free,driver_version"
_LIMITS = ("sys/fs/cgroup/memory.max", "sys/fs/cgroup/memory/memory.limit_in_bytes")
"""Where a container's limit stands, in the second and in the first version of control groups."""


def detect(hardware: Hardware, patience: float = PATIENCE, root: Path = Path("/")) -> Imported:
    """The inventory of this machine: its accelerators, then its CPU with the memory that may be used.

    Args:
        hardware: what is known of products, links and PCI numbers.
        patience: seconds for each tool's answer.
        root: of the file system in which /sys and /dev are looked at.

    Raises:
        EngineError: a tool printed what can't be read.
    """
    notes: list[str] = []
    missing = [tool for tool in _TOOLS if shutil.which(tool) is None]
    if missing:
        notes.append(f"{_and(missing)} here: what only they tell of is not listed")
    seen = [each for find in _FINDERS if (each := find(_Tools(notes, patience), hardware)) and each.devices]
    told = {each.kind for each in seen if each.kind is not None}
    seen += sysfs.devices(root, hardware, hop_weight(hardware), told, notes)
    found = [assemble(each, hardware) for each in seen]
    devices = [device for each in found for device in each.inventory.devices]
    links = _moved(found)
    interconnects = [link for each in found for link in each.inventory.interconnects]
    notes += [note for each in found for note in each.notes]
    inventory = Inventory((*devices, _cpu(root)), tuple(interconnects), links=links)
    return Imported(inventory, tuple(dict.fromkeys(notes)))


def _and(tools: Sequence[str]) -> str:
    *first, last = tools
    return f"{', '.join(first)} and {last} are not" if first else f"{last} is not"


def _moved(found: Sequence[Imported]) -> tuple[Any, ...]:
    """The links of all, by positions among all devices."""
    links = []
    first = 0
    for each in found:
        links += [replace(link, a=link.a + first, b=link.b + first) for link in each.inventory.links]
        first += len(each.inventory.devices)
    return tuple(links)


class _Tools:
    """Runs tools; what is wrong with them is a note."""

    def __init__(self, notes: list[str], patience: float) -> None:
        self.notes = notes
        self.patience = patience

    def run(self, *command: str, name: str = "") -> str | None:
        """What a tool printed; None where it isn't there, hangs or fails."""
        tool = name or command[0]
        path = shutil.which(command[0])
        if path is None:
            return None
        try:
            done = subprocess.run(
                [path, *command[1:]],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=self.patience,
                check=False,
            )
        except subprocess.TimeoutExpired:
            self.notes.append(f"{tool} gave no answer in {self.patience:g} s, and was ended")
            return None
        except OSError as error:
            self.notes.append(f"{tool}: {(error.strerror or str(error)).lower()}")
            return None
        if done.returncode:
            lines = (done.stderr or done.stdout).decode(errors="replace").strip().split("\n")
            said = lines[-1 if lines[0].startswith("Traceback") else 0][:200]
            self.notes.append(f"{tool} ended with {done.returncode}: {said}")
            return None
        return done.stdout.decode(errors="replace")

    def read(self, tool: str, read: Callable[[], Seen | None]) -> Seen | None:
        """What is read of a tool's output; what can't be is a note."""
        try:
            return read()
        except EngineError as error:
            self.notes.append(f"{tool}: {error.message}")
            return None


def _nvidia(tools: _Tools, hardware: Hardware) -> Seen | None:
    return _nvml(tools) or _nvidia_smi(tools, hardware)


def _nvml(tools: _Tools) -> Seen | None:
    if importlib.util.find_spec(nvml.MODULE) is None:
        return None
    # -P: a file of that name in the folder that one happens to be in is not meant.
    printed = tools.run(sys.executable, "-P", "-m", nvml.__name__, name="NVML")
    if printed is None:
        return None
    try:
        return nvml.read(printed)
    except (ValueError, LookupError, TypeError):
        tools.notes.append("NVML: what it said can't be read")
        return None


def _nvidia_smi(tools: _Tools, hardware: Hardware) -> Seen | None:
    table = tools.run("nvidia-smi", f"--query-gpu={_QUERY}", "--format=csv")
    if table is None:
        return None
    seen = tools.read("nvidia-smi", lambda: next(nvidia_smi.tables(Lines.of(table, "nvidia-smi")), None))
    matrix = tools.run("nvidia-smi", "topo", "-m")
    if seen is not None and matrix is not None:
        codes = link_codes(hardware)
        lines = Lines.of(matrix, "nvidia-smi topo")
        topology = tools.read(lines.name, lambda: next(nvidia_topo.matrices(lines, codes), None))
        if topology is not None:
            seen.add(topology)
    return seen


def _amd(tools: _Tools, hardware: Hardware) -> Seen | None:
    return _rocm_smi(tools, hardware) or _amd_smi(tools, hardware)


def _amd_smi(tools: _Tools, hardware: Hardware) -> Seen | None:
    seen = _printed(tools, hardware, "amd-smi", "static", "--asic", "--vram", "--numa", "--json")
    matrix = None if seen is None else tools.run("amd-smi", "topology", name="amd-smi topology")
    if seen is not None and matrix is not None:
        lines, weight = Lines.of(matrix, "amd-smi topology"), hop_weight(hardware)
        topology = tools.read(lines.name, lambda: amd_smi.topology(lines, weight))
        if topology is not None:
            seen.add(topology)
    return seen


def _printed(tools: _Tools, hardware: Hardware, tool: str, *arguments: str) -> Seen | None:
    """What a tool printed as JSON."""
    text = tools.run(tool, *arguments)
    if text is None:
        return None
    return tools.read(tool, lambda: smi_json.printed(text, tool, hop_weight(hardware)))


def _rocm_smi(tools: _Tools, hardware: Hardware) -> Seen | None:
    seen = _printed(tools, hardware, "rocm-smi", "--showproductname", "--showmeminfo", "vram", "--json")
    matrix = None if seen is None else tools.run("rocm-smi", "--showtopo")
    if seen is not None and matrix is not None:
        lines, weight = Lines.of(matrix, "rocm-smi --showtopo"), hop_weight(hardware)
        topology = tools.read("rocm-smi", lambda: rocm_smi.topology(lines, weight))
        if topology is not None:
            seen.add(topology)
    return seen


def _gaudi(tools: _Tools, hardware: Hardware) -> Seen | None:
    table = tools.run("hl-smi", "--query-aip=index,name,memory.total,memory.free", "--format=csv")
    if table is None:
        return None
    seen = tools.read("hl-smi", lambda: next(nvidia_smi.tables(Lines.of(table, "hl-smi")), None))
    if seen is not None:
        seen.kind = "Gaudi"
    return seen


def _intel(tools: _Tools, hardware: Hardware) -> Seen | None:
    seen = _printed(tools, hardware, "xpu-smi", "discovery", "-j")
    for device in [] if seen is None else seen.devices.values():
        described = tools.run("xpu-smi", "discovery", "-d", str(device.number), "-j")
        try:
            device.memory_bytes = None if described is None else smi_json.intel_memory(described)
        except EngineError as error:
            tools.notes.append(f"xpu-smi: {error.message}")
    return seen


def _apple(tools: _Tools, hardware: Hardware) -> Seen | None:
    return _printed(tools, hardware, "system_profiler", "SPHardwareDataType", "-json")


def _neuron(tools: _Tools, hardware: Hardware) -> Seen | None:
    return _printed(tools, hardware, "neuron-ls", "--json-output")


_FINDERS = (_nvidia, _amd, _gaudi, _intel, _neuron, _apple)


def _cpu(root: Path) -> Device:
    """The CPU with the memory that this process may use."""
    import psutil

    total = int(psutil.virtual_memory().total)
    free = int(psutil.virtual_memory().available)
    for path in _LIMITS:
        try:
            text = (root / path).read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError):
            continue
        if text.isdecimal():
            total = min(total, int(text))
    return Device(HOST, total, free_bytes=min(free, total))
