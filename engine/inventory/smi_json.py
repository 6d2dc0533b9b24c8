"""What tools print as JSON: `amd-smi static`, `xpu-smi discovery`, `system_profiler`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from engine.errors import DocumentError
from engine.inventory.capture import Seen
from engine.quantities import parse_bytes, whole


def amd(text: str) -> Seen:
    """The devices of `amd-smi static --asic --vram --json`; those of ROCm 7 stand under `gpu_data`.

    Raises:
        DocumentError: it is no such JSON.
    """
    value = _load(text, "amd-smi")
    seen = Seen("RocmGpu")
    for each in _list(value.get("gpu_data") if isinstance(value, dict) else value):
        if not isinstance(each.get("gpu"), int):
            raise DocumentError("amd-smi: a device without a number")
        device = seen.device(each["gpu"], 1)
        device.name = _text(_mapping(each.get("asic")).get("market_name"))
        size = _mapping(_mapping(each.get("vram")).get("size"))
        # The tool's MB are of 2^20 bytes, as its library says them.
        if isinstance(size.get("value"), int) and size.get("unit") == "MB":
            device.memory_bytes = size["value"] * 2**20
    return seen


def intel(text: str) -> Seen:
    """The devices of `xpu-smi discovery -j`.

    Raises:
        DocumentError: it is no such JSON.
    """
    seen = Seen("IntelOneApi")
    for each in _list(_mapping(_load(text, "xpu-smi")).get("device_list")):
        if not isinstance(each.get("device_id"), int):
            raise DocumentError("xpu-smi: a device without a number")
        seen.device(each["device_id"], 1).name = _text(each.get("device_name"))
    return seen


def intel_memory(text: str) -> int | None:
    """Bytes of the device of `xpu-smi discovery -d NUMBER -j`.

    Raises:
        DocumentError: it is no such JSON.
    """
    return whole(_mapping(_load(text, "xpu-smi")).get("memory_physical_size_byte"))


def apple(text: str) -> Seen:
    """The chip of `system_profiler SPHardwareDataType -json`: its GPU has the machine's memory.

    Raises:
        DocumentError: it is no such JSON.
    """
    seen = Seen("MetalGpu")
    for each in _list(_mapping(_load(text, "system_profiler")).get("SPHardwareDataType"))[:1]:
        chip = _text(each.get("chip_type"))
        if chip is None:
            continue
        device = seen.device(0, 1)
        device.name = chip
        try:
            device.memory_bytes = parse_bytes(str(each.get("physical_memory")).replace("GB", "GiB"))
        except ValueError:
            seen.notes.append("system_profiler doesn't say the memory")
    return seen


def _load(text: str, tool: str) -> Any:
    start = min((text.find(each) for each in "[{" if each in text), default=0)
    try:
        return json.loads(text[start:])
    except (ValueError, RecursionError):
        raise DocumentError(f"{tool}: expected JSON") from None


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Mapping[str, Any]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value not in ("", "N/A") else None
