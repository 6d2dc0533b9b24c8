"""What makers' tools print as JSON, recognised by its shape."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from engine.errors import DocumentError
from engine.inventory import amd_smi, rocm_smi
from engine.inventory.amd_smi import mapping, text_of
from engine.inventory.capture import Seen
from engine.quantities import parse_bytes, whole


def printed(text: str, tool: str, hop_weight: int) -> Seen | None:
    """The devices in what a tool printed; None where it lists none.

    Args:
        text: the output. What stands before the JSON, a warning for instance, is not read.
        tool: its name, for messages.
        hop_weight: what AMD's tools weigh one xGMI hop with.

    Raises:
        DocumentError: it is no JSON, or a device is damaged.
    """
    return read(_load(text, tool), hop_weight)


def read(value: Any, hop_weight: int) -> Seen | None:
    """The devices in a decoded document; None where it is none of a tool's.

    Known are `amd-smi static` and `topology`, `rocm-smi`, `neuron-ls`, `xpu-smi` and `system_profiler`.

    Raises:
        DocumentError: a device is damaged.
    """
    entries = _list(value.get("gpu_data") if isinstance(value, dict) else value)
    if entries and all("neuron_device" in each for each in entries):
        return _neuron(entries)
    if entries and all("gpu" in each for each in entries):
        return amd_smi.read(entries, hop_weight)
    if not isinstance(value, dict):
        return None
    if "device_list" in value:
        return _intel(_list(value["device_list"]))
    if "SPHardwareDataType" in value:
        return _apple(_list(value["SPHardwareDataType"]))
    return rocm_smi.cards(value) if any(re.fullmatch(r"card\d+", str(name)) for name in value) else None


def intel_memory(text: str) -> int | None:
    """Bytes of the device of `xpu-smi discovery -d NUMBER -j`.

    Raises:
        DocumentError: it is no such JSON.
    """
    return whole(mapping(_load(text, "xpu-smi")).get("memory_physical_size_byte"))


def _neuron(entries: list[Mapping[str, Any]]) -> Seen:
    """`neuron-ls --json-output`. The instance's type is the only name that it tells."""
    seen = Seen("AwsNeuron")
    for each in entries:
        device = seen.device(_number(each, "neuron_device", "neuron-ls"), 1)
        instance = text_of(each.get("instance_type"))
        device.name = None if instance is None else instance.partition(".")[0]
        device.memory_bytes = whole(each.get("memory_size"))
        device.numa_node = whole(each.get("numa_node"))
        device.core_count = whole(each.get("nc_count"))
    return seen


def _intel(entries: list[Mapping[str, Any]]) -> Seen:
    """`xpu-smi discovery -j`."""
    seen = Seen("IntelOneApi")
    for each in entries:
        seen.device(_number(each, "device_id", "xpu-smi"), 1).name = text_of(each.get("device_name"))
    return seen


def _apple(entries: list[Mapping[str, Any]]) -> Seen:
    """The chip of `system_profiler SPHardwareDataType -json`: its GPU has the machine's memory."""
    seen = Seen("MetalGpu")
    for each in entries[:1]:
        chip = text_of(each.get("chip_type"))
        if chip is None:
            continue
        device = seen.device(0, 1)
        device.name = chip
        try:
            device.memory_bytes = parse_bytes(str(each.get("physical_memory")).replace("GB", "GiB"))
        except ValueError:
            seen.notes.append("system_profiler doesn't say the memory")
    return seen


def _number(entry: Mapping[str, Any], name: str, tool: str) -> int:
    number = entry.get(name)
    if not isinstance(number, int) or isinstance(number, bool) or number < 0:
        raise DocumentError(f"{tool}: a device without a number")
    return number


def _load(text: str, tool: str) -> Any:
    for start in sorted({text.find("["), text.find("{")} - {-1}):
        try:
            return json.loads(text[start:])
        except (ValueError, RecursionError):
            continue
    raise DocumentError(f"{tool}: expected JSON")


def _list(value: Any) -> list[Mapping[str, Any]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []
