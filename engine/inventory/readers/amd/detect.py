"""Detection of AMD's devices: `rocm-smi`, else `amd-smi`; without either, the kernel driver's files."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from engine.inventory.printed import parse_printed
from engine.inventory.products import Hardware
from engine.inventory.reader import Detector, Tools
from engine.inventory.readers.amd import (
    amd_smi_json,
    amd_smi_topology,
    detect_kfd,
    rocm_smi_json,
    rocm_smi_topology,
)
from engine.inventory.seen import Lines, Seen


def find(tools: Tools, hardware: Hardware) -> Seen | None:
    """Return the devices and links; None if there is no device."""
    return _by_rocm_smi(tools, hardware) or _by_amd_smi(tools, hardware)


def _by_rocm_smi(tools: Tools, hardware: Hardware) -> Seen | None:
    command = ("rocm-smi", "--showproductname", "--showmeminfo", "vram", "--json")
    seen = parse_printed(tools, hardware, rocm_smi_json.READER, *command)
    if seen is not None:
        matrix = tools.run("rocm-smi", "--showtopo")
        _add_topology(
            tools, hardware, seen, rocm_smi_topology.read, matrix, ("rocm-smi", "rocm-smi --showtopo")
        )
    return seen


def _by_amd_smi(tools: Tools, hardware: Hardware) -> Seen | None:
    command = ("amd-smi", "static", "--asic", "--vram", "--numa", "--json")
    seen = parse_printed(tools, hardware, amd_smi_json.READER, *command)
    if seen is not None:
        matrix = tools.run("amd-smi", "topology", name="amd-smi topology")
        _add_topology(tools, hardware, seen, amd_smi_topology.read, matrix, ("amd-smi topology",) * 2)
    return seen


def _add_topology(
    tools: Tools,
    hardware: Hardware,
    seen: Seen,
    read: Callable[[Lines, Hardware], Iterable[Seen]],
    printed: str | None,
    names: tuple[str, str],
) -> None:
    if printed is None:
        return
    lines = Lines.of(printed, names[1])
    topology = tools.read(names[0], lambda: next(iter(read(lines, hardware)), None))
    if topology is not None:
        seen.add(topology)


DETECTOR = Detector(
    maker="AMD",
    rank=20,
    tools=("rocm-smi", "amd-smi"),
    asks=("rocm-smi", "amd-smi"),
    find=find,
    kind="RocmGpu",
    states_memory="rocm-smi --showproductname --showmeminfo vram",
    describe=detect_kfd.describe,
)
