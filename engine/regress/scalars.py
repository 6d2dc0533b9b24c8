"""The scalars of a request, each with the means to ask the same with another value.

Equal devices count as one group: what is changed is how many there are, and what each of them has.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from engine.errors import Path, path_text
from engine.inventory import Device, Inventory
from engine.model import Model
from engine.policy.compiled import CompiledPolicy
from engine.records import record, replace
from engine.regress.paths import replaced
from engine.request import Request

MOST_DEVICES = 1_000
"""Of one group, that are tried, or sixteen times as many as there are."""


@record(eq=False)
class Scalar:
    """One number, bool or name of a request.

    `unit` is "byte" where it is a size. `others` are the values to try where it is no number.
    """

    path: str
    value: Any
    with_value: Callable[[Any], Request]
    unit: str = ""
    least: float | None = None
    most: float | None = None
    others: tuple[Any, ...] = ()


def scalars(request: Request, policy: CompiledPolicy) -> Iterator[Scalar]:
    """All scalars of a request that a policy reads, in the order of its inputs."""
    names = {
        catalog.describes: tuple(sorted(catalog.entries))
        for catalog in policy.catalogs.values()
        if catalog.describes and catalog.by is None
    }
    for name, declared in policy.inputs.items():
        value = request.inputs.get(name)
        if isinstance(value, Inventory):
            yield from _of_inventory(request, name, value)
        elif isinstance(value, Model):
            yield _of_model(request, name, value)
        elif isinstance(value, str):
            others = tuple(each for each in names.get(declared.type_name, ()) if each != value)
            yield Scalar(name, value, _setter(request, name, ()), others=others)
        else:
            yield from _of_plain(request, name, value, ())


def _of_model(request: Request, name: str, model: Model) -> Scalar:
    return Scalar(
        f"{name}.params",
        model.params,
        lambda params: request.with_inputs(**{name: replace(model, params=params)}),
        least=0,
    )


def _of_plain(request: Request, name: str, value: Any, path: Path) -> Iterator[Scalar]:
    if isinstance(value, Mapping):
        for key, each in value.items():
            yield from _of_plain(request, name, each, (*path, key))
    elif isinstance(value, list):
        for position, each in enumerate(value):
            yield from _of_plain(request, name, each, (*path, position))
    elif isinstance(value, bool):
        yield Scalar(path_text((name, *path)), value, _setter(request, name, path), others=(not value,))
    elif isinstance(value, (int, float)):
        yield Scalar(path_text((name, *path)), value, _setter(request, name, path))


def _setter(request: Request, name: str, path: Path) -> Callable[[Any], Request]:
    return lambda new: request.with_inputs(**{name: replaced(request.inputs[name], path, new)})


# --- inventories --------------------------------------------------------------------------------------------


def _of_inventory(request: Request, name: str, inventory: Inventory) -> Iterator[Scalar]:
    asking = _Asking(request, name, inventory)
    for group in _groups(inventory):
        first = inventory.devices[group[0]]
        path = f"{name}.{path_text(tuple(first.source[-2:])) or f'devices[{group[0]}]'}"
        yield Scalar(
            f"{path}.count",
            len(group),
            partial(asking.with_count, group),
            least=0,
            most=max(MOST_DEVICES, 16 * len(group)),
        )
        memory = partial(asking.with_memory, group)
        yield Scalar(f"{path}.memory", first.memory_bytes, memory, unit="byte", least=0)
        for field, value in first.attributes.items():
            if isinstance(value, (int, float)) and not isinstance(value, bool):
                yield Scalar(f"{path}.{field}", value, partial(asking.with_attribute, group, field), least=0)
    for position, link in enumerate(inventory.interconnects):
        yield Scalar(
            f"{name}.interconnects[{position}].bandwidth_gbps",
            link.bandwidth_gbps,
            partial(asking.with_bandwidth, position),
            least=0.0,
        )


@record(eq=False)
class _Asking:
    """The same request with another inventory."""

    request: Request
    name: str
    inventory: Inventory

    def ask(self, inventory: Inventory) -> Request:
        return self.request.with_inputs(**{self.name: inventory})

    def with_count(self, group: list[int], count: int) -> Request:
        return self.ask(replace(self.inventory, devices=tuple(_counted(self.inventory, group, count))))

    def with_memory(self, group: list[int], size: int) -> Request:
        return self.changed(group, lambda device: replace(device, memory_bytes=size))

    def with_attribute(self, group: list[int], field: str, value: Any) -> Request:
        return self.changed(
            group, lambda device: replace(device, attributes={**device.attributes, field: value})
        )

    def changed(self, group: list[int], change: Callable[[Device], Device]) -> Request:
        devices = list(self.inventory.devices)
        for position in group:
            devices[position] = change(devices[position])
        return self.ask(replace(self.inventory, devices=tuple(devices)))

    def with_bandwidth(self, position: int, bandwidth: float) -> Request:
        links = list(self.inventory.interconnects)
        links[position] = replace(links[position], bandwidth_gbps=bandwidth)
        return self.ask(replace(self.inventory, interconnects=tuple(links)))


def _groups(inventory: Inventory) -> list[list[int]]:
    """Positions of devices that are alike but for their numbers."""
    groups: dict[Any, list[int]] = {}
    for position, device in enumerate(inventory.devices):
        alike = replace(device, device_id=None, source=(), attributes={})
        key = (alike.to_value().items(), tuple(sorted(device.attributes.items(), key=str)))
        groups.setdefault((tuple(key[0]), key[1]), []).append(position)
    return list(groups.values())


def _counted(inventory: Inventory, group: list[int], count: int) -> list[Device]:
    """The devices with so many of a group: the last ones go, new ones stand behind the last."""
    dropped = set(group[count:])
    devices = [device for position, device in enumerate(inventory.devices) if position not in dropped]
    last = inventory.devices[group[-1]]
    numbers = [
        each.device_id for each in inventory.devices if each.kind == last.kind and each.device_id is not None
    ]
    free = max(numbers, default=-1) + 1
    more = [
        replace(last, device_id=None if last.device_id is None else free + number)
        for number in range(count - len(group))
    ]
    behind = group[-1] + 1
    return [*devices[:behind], *more, *devices[behind:]] if more else devices
