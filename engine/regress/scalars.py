"""Scalars of a request, each with a function that returns the request with another value.

Equal devices form one group: their count and their shared attributes are scalars. A list is one, too: an
element is left out, or one that the policy names is added.
"""

from __future__ import annotations

import base64
import datetime
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from engine.base.errors import Path, path_text
from engine.base.records import record, replace
from engine.cel import celtypes as t
from engine.cel.celtypes import Bounds, Kind, ObjectType, Type
from engine.cel.times import (
    FIRST_TIMESTAMP,
    LAST_TIMESTAMP,
    LONGEST_DURATION,
    SECOND,
    Duration,
    Timestamp,
)
from engine.cel.values import Value
from engine.decide.request import Request
from engine.inventory import Device, Inventory
from engine.inventory.inventory import Attribute
from engine.model import Model
from engine.policy.compiled import CompiledPolicy
from engine.regress.paths import get, replaced
from engine.regress.vocabulary import Shape, Vocabulary, duration_of, timestamp_of, vocabulary

MOST_DEVICES = 1_000
"""Largest group of devices to try, unless 16 × the current count is larger."""


@record(eq=False)
class Scalar:
    """One number, time, bool, text or list of a request.

    `unit` is "byte" for a size, "device" for a number of devices. `others` are the values to try if the
    scalar has no order. Of `time`, a timestamp or a duration, `value` is its number of nanoseconds.
    """

    path: str
    value: Value
    with_value: Callable[[Any], Request]
    unit: str = ""
    least: float | None = None
    most: float | None = None
    others: tuple[object, ...] = ()
    time: type[Timestamp] | type[Duration] | None = None
    few: bool = False
    """One flip for each answer is enough: `others` are samples."""
    coarse: bool = False
    """Try a few distances, and narrow a flip to 1 % of the value: a decision takes long."""

    def shown(self, value: Any) -> object:
        """Return a value as documents write it."""
        return value if self.time is None else str(self.time(value))


def scalars(request: Request, policy: CompiledPolicy) -> Iterator[Scalar]:
    """Yield the scalars of a request in the order of the policy's inputs."""
    names = {
        catalog.describes: tuple(sorted(catalog.entries))
        for catalog in policy.catalogs.values()
        if catalog.describes and catalog.by is None
    }
    words = vocabulary([policy])
    for name, declared in policy.inputs.items():
        value = request.inputs.get(name)
        if isinstance(value, Inventory):
            yield from _of_inventory(request, name, value)
        elif isinstance(value, Model):
            yield _of_model(request, name, value)
        elif isinstance(value, str) and declared.type_name in names:
            others = tuple(entry for entry in names[declared.type_name] if entry != value)
            yield Scalar(name, value, _setter(request, name, ()), others=others)
        elif value is not None:
            plain = _Plain(request, name, words, policy.objects)
            yield from plain.scalars(value, (), declared.type, words.shape(name))


def _of_model(request: Request, name: str, model: Model) -> Scalar:
    return Scalar(
        f"{name}.params",
        model.params,
        lambda params: request.with_inputs(**{name: replace(model, params=params)}),
        least=0,
    )


_SAMPLES: tuple[object, ...] = ("x", True, 1, {}, [])
"""Values of a key that is added, of any type."""
_MOST_OTHERS = 60
"""Texts to try instead of one."""
_FURTHEST = 100 * 365 * 86_400 * SECOND
"""Time by which a timestamp or a duration is moved at most."""


@record(eq=False)
class _Plain:
    """The scalars of plain data: numbers, texts, times, bools, lists, and what is in lists and mappings."""

    request: Request
    name: str
    words: Vocabulary
    objects: Mapping[str, ObjectType]

    def scalars(self, value: object, path: Path, type_: Type, shape: Shape) -> Iterator[Scalar]:
        """Yield the scalars of a value and of its parts."""
        type_ = type_.exact
        if isinstance(value, (Timestamp, Duration, datetime.datetime, datetime.timedelta)):
            value = _text_of(value)
        if isinstance(value, Mapping):
            yield from self.keys(value, path, type_, shape)
            for key, inner in value.items():
                part = shape.fields.get(str(key)) or shape.element or Shape()
                yield from self.scalars(inner, (*path, key), self.inner(type_, key), part)
        elif isinstance(value, list):
            yield from self.list(value, path, shape)
            for position, element in enumerate(value):
                part = shape.element or Shape()
                yield from self.scalars(element, (*path, position), self.inner(type_, None), part)
        elif isinstance(value, bool):
            yield self.scalar(path, value, others=(not value,))
        elif isinstance(value, (int, float)):
            yield self.number(value, path, type_)
        elif isinstance(value, str):
            yield self.text(value, path, type_, shape)

    def scalar(self, path: Path, value: object, **more: Any) -> Scalar:
        return Scalar(path_text((self.name, *path)), value, _setter(self.request, self.name, path), **more)

    def inner(self, type_: Type, key: object) -> Type:
        """Return the type of a value in a list, a map or a record."""
        if type_.kind is Kind.LIST:
            return type_.element
        if type_.kind is Kind.OBJECT:
            declared = self.objects[type_.name].fields.get(str(key))
            return t.DYN if declared is None else declared.type.exact
        return type_.value if type_.kind is Kind.MAP else t.DYN

    def number(self, value: int | float, path: Path, type_: Type) -> Scalar:
        """Return the scalar of a number; its type says how far it can move."""
        bounds = type_.bounds
        if bounds is None:
            return self.scalar(path, value)
        if bounds.enum:
            return self.scalar(path, value, others=tuple(other for other in bounds.enum if other != value))
        return self.scalar(path, value, least=bounds.minimum, most=bounds.maximum)

    def text(self, value: str, path: Path, type_: Type, shape: Shape) -> Scalar:
        """Return the scalar of a text: a time if the policy reads it as one."""
        for time, parse, wanted in (
            (Timestamp, timestamp_of, t.TIMESTAMP),
            (Duration, duration_of, t.DURATION),
        ):
            moment = parse(value) if type_ == wanted or wanted.name in shape.kinds else None
            if moment is not None:
                return self.time(moment.nanoseconds, path, time, type_.bounds)
        if type_.bounds is not None and type_.bounds.enum:
            allowed = tuple(other for other in type_.bounds.enum if other != value)
            return self.scalar(path, value, others=allowed)
        known = [word for word in shape.values if isinstance(word, str)] or list(self.words.texts)
        if type_ == t.BYTES:
            coded = [base64.b64encode(data).decode() for data in (*self.words.bytes, b"~")]
            return self.scalar(path, value, others=tuple(data for data in coded if data != value), few=True)
        others = [*known, f"{value}~", ""]
        others += [
            text for word in known for text in (f"{word}{value}", f"{value}{word}", f"{word}~", f"~{word}")
        ]
        different = dict.fromkeys(other for other in others if other != value)
        return self.scalar(path, value, others=tuple(different)[:_MOST_OTHERS], few=True)

    def keys(self, value: Mapping[str, Any], path: Path, type_: Type, shape: Shape) -> Iterator[Scalar]:
        """Yield the keys that the policy asks for: left out where they are there, added where they are not.

        A key that is not there has the value None.
        """
        for name, part in shape.fields.items():
            if not part.tested:
                continue
            key = (*path, name)
            if name not in value:
                bounds = self.inner(type_, name).bounds
                others = bounds.enum if bounds is not None and bounds.enum else part.values or _SAMPLES
                yield self.scalar(key, None, others=tuple(others), few=True)
            elif value[name] is not None:
                setter = _remover(self.request, self.name, key)
                yield Scalar(path_text((self.name, *key)), value[name], setter, others=(None,))

    def time(
        self, nanoseconds: int, path: Path, kind: type[Timestamp] | type[Duration], bounds: Bounds | None
    ) -> Scalar:
        setter = _setter(self.request, self.name, path)
        first, last = (
            (FIRST_TIMESTAMP, LAST_TIMESTAMP) if kind is Timestamp else (-LONGEST_DURATION, LONGEST_DURATION)
        )
        if bounds is not None and bounds.minimum is not None:
            first = bounds.minimum.nanoseconds
        if bounds is not None and bounds.maximum is not None:
            last = bounds.maximum.nanoseconds
        return Scalar(
            path_text((self.name, *path)),
            nanoseconds,
            lambda new: setter(str(kind(new))),
            least=max(first, nanoseconds - _FURTHEST),
            most=min(last, nanoseconds + _FURTHEST),
            time=kind,
        )

    def list(self, value: list[object], path: Path, shape: Shape) -> Iterator[Scalar]:
        """Yield the list without each of its elements, and with each value that they are compared with."""
        shorter = [[*value[:position], *value[position + 1 :]] for position in range(len(value))]
        more = [] if shape.element is None else [new for new in shape.element.values if new not in value]
        others = [*shorter[:_MOST_OTHERS], *([*value, new] for new in more[:_MOST_OTHERS])]
        if others:
            yield self.scalar(path, value, others=tuple(others), few=True)


def _text_of(value: object) -> str:
    if isinstance(value, datetime.datetime):
        value = Timestamp.of(value)
    elif isinstance(value, datetime.timedelta):
        value = Duration.of(value)
    return str(value)


def _remover(request: Request, name: str, path: Path) -> Callable[[object], Request]:
    """Return a function that leaves out a key, whatever the value."""
    parent, key = path[:-1], path[-1]

    def without(_: object) -> Request:
        mapping: Any = get(request.inputs[name], parent)
        rest = {other: value for other, value in mapping.items() if other != key}
        return request.with_inputs(**{name: replaced(request.inputs[name], parent, rest)})

    return without


def _setter(request: Request, name: str, path: Path) -> Callable[[object], Request]:
    return lambda new: request.with_inputs(**{name: replaced(request.inputs[name], path, new)})


# --- inventories --------------------------------------------------------------------------------------------


def _of_inventory(request: Request, name: str, inventory: Inventory) -> Iterator[Scalar]:
    change = _InventoryChange(request, name, inventory)
    for group in _groups(inventory):
        first = inventory.devices[group[0]]
        path = f"{name}.{path_text(tuple(first.source[-2:])) or f'devices[{group[0]}]'}"
        yield Scalar(
            f"{path}.count",
            len(group),
            partial(change.with_count, group),
            unit="device",
            least=0,
            most=max(MOST_DEVICES, 16 * len(group)),
        )
        memory = partial(change.with_memory, group)
        yield Scalar(f"{path}.memory", first.memory_bytes, memory, unit="byte", least=0)
        for field, value in first.attributes.items():
            if isinstance(value, (int, float)) and not isinstance(value, bool):
                yield Scalar(f"{path}.{field}", value, partial(change.with_attribute, group, field), least=0)
    for position, link in enumerate(inventory.interconnects):
        yield Scalar(
            f"{name}.interconnects[{position}].bandwidth_gbps",
            link.bandwidth_gbps,
            partial(change.with_bandwidth, position),
            least=0.0,
        )


@record(eq=False)
class _InventoryChange:
    """Build requests with a changed inventory."""

    request: Request
    name: str
    inventory: Inventory

    def with_inventory(self, inventory: Inventory) -> Request:
        return self.request.with_inputs(**{self.name: inventory})

    def with_count(self, group: list[int], count: int) -> Request:
        return self.with_inventory(
            replace(self.inventory, devices=tuple(_counted(self.inventory, group, count)))
        )

    def with_memory(self, group: list[int], size: int) -> Request:
        return self.change_devices(group, lambda device: replace(device, memory_bytes=size))

    def with_attribute(self, group: list[int], field: str, value: Attribute) -> Request:
        return self.change_devices(
            group, lambda device: replace(device, attributes={**device.attributes, field: value})
        )

    def change_devices(self, group: list[int], change: Callable[[Device], Device]) -> Request:
        devices = list(self.inventory.devices)
        for position in group:
            devices[position] = change(devices[position])
        return self.with_inventory(replace(self.inventory, devices=tuple(devices)))

    def with_bandwidth(self, position: int, bandwidth: float) -> Request:
        links = list(self.inventory.interconnects)
        links[position] = replace(links[position], bandwidth_gbps=bandwidth)
        return self.with_inventory(replace(self.inventory, interconnects=tuple(links)))


def _groups(inventory: Inventory) -> list[list[int]]:
    """Group indices of devices that are equal except for ids and sources."""
    groups: dict[tuple[object, ...], list[int]] = {}
    for position, device in enumerate(inventory.devices):
        template = replace(device, device_id=None, source=(), attributes={})
        key = (template.to_value().items(), tuple(sorted(device.attributes.items(), key=str)))
        groups.setdefault((tuple(key[0]), key[1]), []).append(position)
    return list(groups.values())


def _counted(inventory: Inventory, group: list[int], count: int) -> list[Device]:
    """Return the devices with `count` in a group: drop the last ones, or add copies after the last."""
    dropped = set(group[count:])
    devices = [device for position, device in enumerate(inventory.devices) if position not in dropped]
    last = inventory.devices[group[-1]]
    numbers = [
        device.device_id
        for device in inventory.devices
        if device.kind == last.kind and device.device_id is not None
    ]
    free = max(numbers, default=-1) + 1
    copies = [
        replace(last, device_id=None if last.device_id is None else free + number)
        for number in range(count - len(group))
    ]
    end = group[-1] + 1
    return [*devices[:end], *copies, *devices[end:]] if copies else devices
