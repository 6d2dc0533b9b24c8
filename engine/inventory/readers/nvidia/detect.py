"""Detection of NVIDIA's devices: NVML if its binding is installed, else `nvidia-smi`."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

from engine.inventory.products import Hardware
from engine.inventory.reader import Detector, Tools
from engine.inventory.readers.nvidia import detect_nvml as nvml
from engine.inventory.readers.nvidia import device_list, query_gpu, topo_matrix
from engine.inventory.readers.nvidia.common import KIND
from engine.inventory.seen import Lines, Seen

_QUERY = "index,name,memory.total,memory.free,driver_version"
_MIG = "mig.mode.current"
"""A column that drivers before 450 do not have."""


def find(tools: Tools, hardware: Hardware) -> Seen | None:
    """Return the devices and links; None if there is no device."""
    return _by_nvml(tools) or _by_nvidia_smi(tools, hardware)


def _by_nvml(tools: Tools) -> Seen | None:
    if importlib.util.find_spec(nvml.MODULE) is None:
        return None
    # -P: ignore a file named pynvml.py in the current folder.
    printed = tools.run(sys.executable, "-P", "-m", nvml.__name__, name="NVML")
    if printed is None:
        return None
    try:
        return nvml.read(printed)
    except (ValueError, LookupError, TypeError):
        tools.notes.append("NVML: unreadable answer")
        return None


def _by_nvidia_smi(tools: Tools, hardware: Hardware) -> Seen | None:
    with ThreadPoolExecutor(max_workers=1) as pool:
        topology = pool.submit(tools.run, "nvidia-smi", "topo", "-m")
        table = _table(tools)
        matrix = topology.result()
    if table is None:
        return None
    lines = Lines.of(table, "nvidia-smi")
    seen = tools.read(lines.name, lambda: next(query_gpu.tables_in(lines, KIND), None))
    if seen is not None and any(device.available is False for device in seen.devices.values()):
        listed = tools.run("nvidia-smi", "-L")
        if listed is not None:
            _add(seen, tools, "nvidia-smi -L", listed, device_list.read, hardware)
    if seen is not None and matrix is not None:
        _add(seen, tools, "nvidia-smi topo", matrix, topo_matrix.read, hardware)
    return seen


def _table(tools: Tools) -> str | None:
    """Return the table of devices; whether MIG divides them is left out where the driver does not know it."""
    before = len(tools.notes)
    table = tools.run("nvidia-smi", f"--query-gpu={_QUERY},{_MIG}", "--format=csv")
    if table is None and any("exited" in note for note in tools.notes[before:]):
        del tools.notes[before:]
        table = tools.run("nvidia-smi", f"--query-gpu={_QUERY}", "--format=csv")
    return table


def _add(
    seen: Seen,
    tools: Tools,
    name: str,
    printed: str,
    read: Callable[[Lines, Hardware], Iterator[Seen]],
    hardware: Hardware,
) -> None:
    lines = Lines.of(printed, name)
    section = tools.read(name, lambda: next(read(lines, hardware), None))
    if section is not None:
        seen.add(section)


DETECTOR = Detector(
    maker="NVIDIA",
    rank=10,
    tools=("nvidia-smi",),
    asks=("NVML", "nvidia-smi"),
    find=find,
    kind="CudaGpu",
    states_memory="nvidia-smi --query-gpu=index,name,memory.total --format=csv",
)
