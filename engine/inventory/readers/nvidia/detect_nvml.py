"""NVML, the library under nvidia-smi, by NVIDIA's Python binding (extra `nvidia`).

`python -m engine.inventory.readers.nvidia.detect_nvml` prints the devices and links as JSON. Detection runs
it in a separate process: a driver that hangs or crashes takes only that process with it.
"""

from __future__ import annotations

import importlib
import itertools
import json
from collections import Counter
from typing import Any

from engine.base.jsontypes import JsonObject
from engine.inventory.readers.nvidia.common import KIND
from engine.inventory.seen import Seen, SeenLink

MODULE = "pynvml"


def read(printed: str) -> Seen | None:
    """Return the devices and links that `main` printed; None if there is no device.

    Raises:
        ValueError, LookupError, TypeError: it is something else.
    """
    document = json.loads(printed)
    seen = Seen(KIND)
    for number, entry in enumerate(document["devices"]):
        device = seen.device(number, 1)
        device.name, device.driver_version = entry["name"], document["driver"]
        device.memory_bytes, device.free_bytes = entry["memory_bytes"], entry["free_bytes"]
        device.numa_node = entry["numa_node"]
        if entry["mig"]:
            seen.divide(number)
    seen.links = [SeenLink(*link) for link in document["links"]]
    return seen if seen.devices else None


Handle = object
"""A device's handle, which only the library reads."""


class _Nvml:
    """The library; a value that it cannot report is None."""

    def __init__(self, binding: Any) -> None:
        self.binding = binding

    def ask(self, function: str, *arguments: object) -> Any:
        try:
            return getattr(self.binding, function)(*arguments)
        except (self.binding.NVMLError, AttributeError):
            return None

    def describe(self) -> JsonObject:
        count = self.ask("nvmlDeviceGetCount") or 0
        handles = [self.binding.nvmlDeviceGetHandleByIndex(number) for number in range(count)]
        ports = [_Ports(self, handle) for handle in handles]
        return {
            "driver": _text(self.ask("nvmlSystemGetDriverVersion")),
            "devices": [self.device(handle) for handle in handles],
            "links": [
                [first, second, *self.link(handles[first], handles[second], ports[first], ports[second])]
                for first, second in itertools.combinations(range(count), 2)
            ],
        }

    def device(self, handle: Handle) -> JsonObject:
        memory = self.ask("nvmlDeviceGetMemoryInfo", handle)
        mig = self.ask("nvmlDeviceGetMigMode", handle)
        return {
            "name": _text(self.ask("nvmlDeviceGetName", handle)),
            "memory_bytes": None if memory is None else memory.total,
            "free_bytes": None if memory is None else memory.free,
            "numa_node": self.numa_node(handle),
            "mig": mig is not None and mig[0] == self.binding.NVML_DEVICE_MIG_ENABLE,
        }

    def numa_node(self, handle: Handle) -> int | None:
        """Return the NUMA node whose memory is near; None if there are several."""
        words = self.ask("nvmlDeviceGetMemoryAffinity", handle, 1, self.binding.NVML_AFFINITY_SCOPE_NODE)
        mask = int(words[0]) if words else 0
        return mask.bit_length() - 1 if mask.bit_count() == 1 else None

    def link(
        self, first: Handle, second: Handle, first_ports: _Ports, second_ports: _Ports
    ) -> tuple[str, int | None]:
        """Return the code and count that `nvidia-smi topo -m` prints: NVLinks, else the PCIe path."""
        direct = first_ports.peers[second_ports.address]
        switched = min(first_ports.switched, second_ports.switched)
        if direct or switched:
            return "NV", direct or switched
        ancestor = self.ask("nvmlDeviceGetTopologyCommonAncestor", first, second)
        binding = self.binding
        codes = {
            binding.NVML_TOPOLOGY_INTERNAL: "PIX",
            binding.NVML_TOPOLOGY_SINGLE: "PIX",
            binding.NVML_TOPOLOGY_MULTIPLE: "PXB",
            binding.NVML_TOPOLOGY_HOSTBRIDGE: "PHB",
            binding.NVML_TOPOLOGY_NODE: "NODE",
        }
        return codes.get(ancestor, "SYS"), None


class _Ports:
    """Far ends of a device's NVLinks: other devices, by PCI address, or switches."""

    def __init__(self, nvml: _Nvml, handle: Handle) -> None:
        self.address = _address(nvml.ask("nvmlDeviceGetPciInfo", handle))
        self.peers: Counter[str] = Counter()
        self.switched = 0
        for port in range(nvml.binding.NVML_NVLINK_MAX_LINKS):
            if nvml.ask("nvmlDeviceGetNvLinkState", handle, port) != nvml.binding.NVML_FEATURE_ENABLED:
                continue
            kind = nvml.ask("nvmlDeviceGetNvLinkRemoteDeviceType", handle, port)
            if kind == nvml.binding.NVML_NVLINK_DEVICE_TYPE_SWITCH:
                self.switched += 1
            elif kind == nvml.binding.NVML_NVLINK_DEVICE_TYPE_GPU:
                self.peers[_address(nvml.ask("nvmlDeviceGetNvLinkRemotePciInfo", handle, port))] += 1


def _address(place: Any) -> str:
    return "" if place is None else _text(place.busId) or ""


def _text(value: str | bytes | None) -> str | None:
    """Return text; older bindings return bytes."""
    return value.decode(errors="replace") if isinstance(value, bytes) else value


def main() -> None:
    """Print the devices and links as JSON; none without a driver."""
    binding = importlib.import_module(MODULE)
    try:
        binding.nvmlInit()
    except binding.NVMLError:
        print(json.dumps({"driver": None, "devices": [], "links": []}))
        return
    print(json.dumps(_Nvml(binding).describe()))


if __name__ == "__main__":
    main()
