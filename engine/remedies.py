"""Changes of a request that may make a plan possible."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from engine.inventory.types import Device, Inventory, Link
from engine.records import record, replace
from engine.request import Request

Tries = Sequence[tuple[str, str, Sequence[Any]]]
"""Ids of remedies, what they change, and the values to try, the smallest change first."""


@record
class Remedied:
    """A change that makes a plan possible: the value that does, and the plan's strategy."""

    id: str
    change: str
    value: Any
    strategy: Any

    def to_dict(self) -> dict[str, Any]:
        """As programs read it."""
        return {
            "id": self.id,
            "change": self.change,
            "value": self.value,
            "strategy": self.strategy.to_dict(),
        }


def remedied(request: Request, tries: Tries, decide: Callable[[Request], Any]) -> tuple[Remedied, ...]:
    """Of each change the first value with which there is a plan, by deciding the changed request."""
    found = []
    for id_, change, values in tries:
        decided: dict[int, Any] = {}

        def helps(position: int, change: str = change, values: Any = values, decided: Any = decided) -> bool:
            if position not in decided:
                decided[position] = decide(_CHANGES[change](request, values[position]))
            return bool(decided[position].outcome == "plan")

        first = _first(len(values), helps, growing=change != "quantization")
        if first is not None:
            found.append(Remedied(id_, change, values[first], decided[first].plan.strategy))
    return tuple(found)


def _first(count: int, helps: Callable[[int], bool], *, growing: bool) -> int | None:
    """The first position that helps. Of `growing` changes a larger one helps where a smaller one does, so not
    all are tried.
    """
    if not growing:
        return next(filter(helps, range(count)), None)
    low, step = 0, 1  # nothing before `low` helps
    while low < count:
        position = min(low + step, count) - 1
        if helps(position):
            while low < position:
                middle = (low + position) // 2
                low, position = (low, middle) if helps(middle) else (middle + 1, position)
            return position
        low, step = position + 1, step * 2
    return None


def _quantized(request: Request, name: str) -> Request:
    return request.with_inputs(quantization=name)


def _serving(field_: str) -> Callable[[Request, int], Request]:
    def changed(request: Request, value: int) -> Request:
        serving: Mapping[str, Any] = request.inputs.get("serving") or {}
        return request.with_inputs(serving={**serving, field_: value})

    return changed


def _more_devices(request: Request, count: int) -> Request:
    """With that many more devices like those of which there are most, joined as they are."""
    inventory = request.inventory
    if inventory is None or not inventory.devices:
        return request
    kinds = Counter(map(_kind, (each for each in inventory.devices if each.available)))
    if not kinds:
        return request
    (kind, _), *_ = kinds.most_common(1)
    like = next(n for n, each in enumerate(inventory.devices) if each.available and _kind(each) == kind)
    for _ in range(count):
        inventory = _with_another(inventory, like)
    return request.with_inputs(inventory=inventory)


def _kind(device: Device) -> tuple[Any, ...]:
    return (device.kind, device.name, device.memory_bytes, tuple(sorted(device.attributes.items())))


def _with_another(inventory: Inventory, like: int) -> Inventory:
    device = inventory.devices[like]
    new = len(inventory.devices)
    number = None
    if device.device_id is not None:
        number = 1 + max(each.device_id or 0 for each in inventory.devices if each.kind == device.kind)
    own = [link for link in inventory.links if like in (link.a, link.b)]
    links = [replace(link, a=link.b if link.a == like else link.a, b=new) for link in own]
    if own:
        fastest = max(own, key=lambda link: link.bandwidth_gbs or 0.0)
        links.append(replace(fastest, a=like, b=new))
    return replace(
        inventory,
        devices=(*inventory.devices, replace(device, device_id=number)),
        links=(*inventory.links, *_once(links)),
    )


def _once(links: Sequence[Link]) -> list[Link]:
    return list({(link.a, link.b): link for link in links}.values())


_CHANGES: dict[str, Callable[[Request, Any], Request]] = {
    "devices": _more_devices,
    "quantization": _quantized,
    "serving.context": _serving("context"),
    "serving.concurrency": _serving("concurrency"),
}
"""By what a policy's remedy changes (schemas/policy.schema.json)."""
