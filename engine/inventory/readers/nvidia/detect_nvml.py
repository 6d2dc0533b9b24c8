"""What NVML, the library under nvidia-smi, says of NVIDIA's devices (extra `nvidia`: its own Python binding).

`python -m engine.inventory.nvml` prints it as JSON. `detect` runs it so, in a process of its own, since a
driver that hangs or crashes takes its process with it.
"""

from __future__ import annotations

import importlib
import itertools
import json
from collections import Counter
from typing import Any

from engine.inventory.capture import Seen, SeenLink
from engine.inventory.nvidia_smi import KIND

MODULE = "pynvml"


def read(printed: str) -> Seen | None:
    """What this module printed; None without devices.

    Raises:
        ValueError: it is something else.
    """
    document = json.loads(printed)
    seen = Seen(KIND)
    for number, each in enumerate(document["devices"]):
        device = seen.device(number, 1)
        device.name, device.driver_version = each["name"], document["driver"]
        device.memory_bytes, device.free_bytes = each["memory_bytes"], each["free_bytes"]
        device.numa_node = each["numa_node"]
        if each["mig"]:
            seen.divided(number)
    seen.links = [SeenLink(*each) for each in document["links"]]
    return seen if seen.devices else None


class _Nvml:
    """The library; what it doesn't know of a device is None."""

    def __init__(self, binding: Any) -> None:
        self.binding = binding

    def ask(self, function: str, *arguments: Any) -> Any:
        try:
            return getattr(self.binding, function)(*arguments)
        except (self.binding.NVMLError, AttributeError):
            return None

    def describe(self) -> dict[str, Any]:
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

    def device(self, handle: Any) -> dict[str, Any]:
        memory = self.ask("nvmlDeviceGetMemoryInfo", handle)
        mig = self.ask("nvmlDeviceGetMigMode", handle)
        return {
            "name": _text(self.ask("nvmlDeviceGetName", handle)),
            "memory_bytes": None if memory is None else memory.total,
            "free_bytes": None if memory is None else memory.free,
            "numa_node": self.numa_node(handle),
            "mig": mig is not None and mig[0] == self.binding.NVML_DEVICE_MIG_ENABLE,
        }

    def numa_node(self, handle: Any) -> int | None:
        """The node whose memory is near; None if it is more than one."""
        words = self.ask("nvmlDeviceGetMemoryAffinity", handle, 1, self.binding.NVML_AFFINITY_SCOPE_NODE)
        mask = int(words[0]) if words else 0
        return mask.bit_length() - 1 if mask.bit_count() == 1 else None

    def link(self, first: Any, second: Any, own: _Ports, other: _Ports) -> tuple[str, int | None]:
        """As nvidia-smi's matrix has it: NVLinks, over a switch or not, else the way over PCIe."""
        direct = own.peers[other.address]
        switched = min(own.switched, other.switched)
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
    """What a device's NVLinks end at: other devices, by their PCI addresses, or switches."""

    def __init__(self, nvml: _Nvml, handle: Any) -> None:
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
    """Text; older bindings give bytes."""
    return value.decode(errors="replace") if isinstance(value, bytes) else value


def main() -> None:
    """Print what NVML says, as JSON: no devices where there is no driver."""
    binding = importlib.import_module(MODULE)
    try:
        binding.nvmlInit()
    except binding.NVMLError:
        print(json.dumps({"driver": None, "devices": [], "links": []}))
        return
    print(json.dumps(_Nvml(binding).describe()))


if __name__ == "__main__":
    main()
