"""Environment variables that make a server use the planned devices, and no others, by the same numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from engine.base.aliases import Row
from engine.base.errors import RenderError
from engine.inventory import Device, Inventory
from engine.plan import Shard

_FASTEST = "fastest"
"""Value of an inventory's `numbering` that stands for the runtime's own order."""


def device_variables(
    facts: Row, shards: Sequence[Shard], numbers: Sequence[int], inventory: Inventory | None
) -> dict[str, str]:
    """Return the variables that select devices.

    Args:
        facts: the device kind's row in the catalog `launch`.
        shards: of the plan.
        numbers: of the devices on their node, in the plan's order.
        inventory: of the request.

    Raises:
        RenderError: a partition's identifier, or the number of a device's parts, is unknown.
    """
    if facts["visible"] is None or not numbers:
        return {}
    devices = list(dict.fromkeys(_planned(shards, inventory)))
    values = [str(number) for number in numbers]
    if any(device.partition is not None for device in devices):
        return {facts["visible"]: ",".join(map(_identifier, devices))}
    if facts.get("visible_parts"):
        parts = [
            part for device, number in zip(devices, numbers, strict=False) for part in _parts(device, number)
        ]
        values = list(_ranges(parts)) or values
    return {**_order(facts, devices, inventory), facts["visible"]: ",".join(values)}


def _planned(shards: Sequence[Shard], inventory: Inventory | None) -> Iterator[_ById]:
    for shard in shards:
        if inventory is not None and shard.device.index is not None:
            yield _ById(inventory.devices[shard.device.index])


class _ById:
    """A device that equals itself alone: two devices may have equal fields."""

    def __init__(self, device: Device) -> None:
        self.device = device
        self.partition = device.partition

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _ById) and self.device is other.device

    def __hash__(self) -> int:
        return id(self.device)


def _identifier(planned: _ById) -> str:
    if planned.device.uuid is None:
        raise RenderError(
            f"'{planned.device.name}' is a partition, which a runtime selects by its UUID",
            hint="paste nvidia-smi -L, which prints the UUIDs of partitions",
        )
    return planned.device.uuid


def _parts(planned: _ById, number: int) -> range:
    """Return the numbers of a device's parts: 8 to 15 are the cores of device 1 with 8 of them."""
    count = planned.device.attributes.get("core_count")
    if not isinstance(count, int) or isinstance(count, bool) or count < 1:
        raise RenderError(
            f"the number of cores of device {number} is unknown, and cores are what the runtime numbers",
            hint="paste neuron-ls --json-output",
        )
    return range(number * count, (number + 1) * count)


def _ranges(numbers: Sequence[int]) -> Iterator[str]:
    """Yield `0-7` for consecutive numbers, in their order."""
    start = 0
    for at in range(1, len(numbers) + 1):
        if at == len(numbers) or numbers[at] != numbers[at - 1] + 1:
            first, last = numbers[start], numbers[at - 1]
            yield str(first) if first == last else f"{first}-{last}"
            start = at


def _order(facts: Row, devices: Sequence[_ById], inventory: Inventory | None) -> dict[str, str]:
    """Return the variable for the order of unequal devices; equal ones are the same in any order."""
    if facts.get("order") is None or inventory is None or not devices:
        return {}
    kind, node = devices[0].device.kind, devices[0].device.node
    beside = [device for device in inventory.devices if device.kind == kind and device.node == node]
    if len({(device.name, device.memory_bytes) for device in beside}) < 2:
        return {}
    return {facts["order"]: facts["order_fastest" if inventory.numbering == _FASTEST else "order_driver"]}
