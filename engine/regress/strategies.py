"""Hypothesis strategies that draw valid requests for a policy, whatever its inputs are.

Values near the policy's constants are drawn often, since that is where decisions change.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from hypothesis import strategies as st

from engine.cel import types as t
from engine.cel.types import Kind, Type
from engine.decide import Policy
from engine.policy.catalog import Catalog, CatalogEntry
from engine.policy.compiled import CompiledPolicy
from engine.request import Request

Strategy = st.SearchStrategy[Any]

_MOST = 2**42
"""Parameters of the largest model."""


def requests(*policies: Policy, max_devices: int = 8) -> st.SearchStrategy[Request]:
    """Requests that all of these policies take.

    Args:
        policies: the first one's inputs are drawn; the constants of all are of interest.
        max_devices: devices of an inventory, at most.
    """
    return st.builds(Request, inputs(*policies, max_devices=max_devices))


def inputs(*policies: Policy, max_devices: int = 8) -> Strategy:
    """The inputs of such requests, as plain data: what a suite or a file would hold."""
    drawer = _Drawer(policies[0].compiled, [policy.compiled for policy in policies], max_devices)
    return drawer.inputs(policies[0].compiled)


class _Drawer:
    def __init__(self, policy: CompiledPolicy, others: Iterable[CompiledPolicy], max_devices: int) -> None:
        self.describing = {each.describes: each for each in policy.catalogs.values() if each.describes}
        self.max_devices = max_devices
        numbers = [
            constant.value
            for other in others
            for constant in other.constants.values()
            if isinstance(constant.value, (int, float)) and not isinstance(constant.value, bool)
        ]
        # What lies next to a threshold decides otherwise.
        self.ints = sorted(
            {int(n) + d for n in numbers for d in (-1, 0, 1) if 0 <= int(n) + d < 2**62} | {0, 1}
        )
        self.doubles = sorted(
            {abs(float(n)) + d for n in numbers for d in (-0.5, 0.0, 0.5) if abs(n) > 1} | {0.0}
        )

    def inputs(self, policy: CompiledPolicy) -> Strategy:
        """All inputs; most models are about as large as all devices together."""
        of_name = {
            name: self.size(_MOST) if each.type_name == "Model" else self.value(each.type_name, each.type)
            for name, each in policy.inputs.items()
        }
        part, bits = st.integers(1, 200), st.sampled_from([None, 4, 8, 16, 32])

        @st.composite
        def drawn(draw: st.DrawFn) -> dict[str, Any]:
            values = {name: draw(strategy) for name, strategy in of_name.items()}
            memory = sum(device["memory"] * device.get("count", 1) for device in _devices(values))
            for name, each in policy.inputs.items():
                if each.type_name == "Model":
                    width = draw(bits)
                    params = values[name] if width is None else memory * draw(part) // 100 * 8 // width
                    values[name] = {"params": params}
            return values

        return drawn()

    def value(self, type_name: str, type_: Type) -> Strategy:
        if type_name == "Inventory":
            return self.inventory()
        if type_name in self.describing and type_.kind is not Kind.OBJECT:
            return st.sampled_from(sorted(self.describing[type_name].entries))
        return self.plain(type_)

    def plain(self, type_: Type) -> Strategy:
        if type_.kind is Kind.LIST:
            return st.lists(self.plain(type_.element), max_size=4)
        if type_.kind is Kind.MAP:
            return st.dictionaries(self.plain(type_.key), self.plain(type_.value), max_size=3)
        if type_.kind is Kind.WRAPPER:
            return st.none() | self.plain(type_.element)
        return {
            t.INT: self.int_(),
            t.UINT: self.size(2**40),
            t.DOUBLE: self.double(),
            t.BOOL: st.booleans(),
            t.STRING: st.text("abc-", max_size=4),
        }.get(type_, st.none())

    def int_(self) -> Strategy:
        return st.sampled_from(self.ints) | st.integers(-100, 100) | st.integers(-(2**40), 2**40)

    def double(self) -> Strategy:
        return st.sampled_from(self.doubles) | st.floats(0, 2000, allow_nan=False)

    def size(self, most: int) -> Strategy:
        """Whole numbers from 0, as many of them small as large."""
        spread = st.builds(
            lambda bits, low: low % 2**bits, st.integers(0, most.bit_length()), st.integers(0, most)
        )
        return st.sampled_from([n for n in self.ints if n <= most]) | spread

    def inventory(self) -> Strategy:
        """Some groups of equal devices, at most so many devices together."""
        groups = st.lists(self.device(), max_size=3).map(self.few)
        return st.fixed_dictionaries({"devices": groups}, optional={"interconnects": self.links()})

    def few(self, groups: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Groups without the devices that are too many."""
        kept, left = [], self.max_devices
        for group in groups:
            count = min(group.get("count", 1), left)
            if count:
                kept.append({**group, "count": count} if "count" in group else group)
            left -= count
        return kept

    def links(self) -> Strategy:
        catalog = self.describing.get("Interconnect")
        kinds = st.sampled_from(sorted(catalog.entries)) if catalog else st.sampled_from(["NVLink", "PCIe"])
        return st.lists(st.fixed_dictionaries({"kind": kinds, "bandwidth_gbps": self.double()}), max_size=3)

    def device(self) -> Strategy:
        catalog = self.describing.get("Device")
        if catalog is None:
            return self.device_of(st.just("Cpu"), {})
        # Made once each: to make strategies while drawing takes longer than to draw.
        of_kind = {kind: self.device_of_kind(catalog, kind) for kind in sorted(catalog.entries)}
        return st.sampled_from(sorted(of_kind)).flatmap(of_kind.__getitem__)

    def device_of_kind(self, catalog: Catalog, kind: str) -> Strategy:
        entry = catalog.entries[kind]
        fields = {name: self.field(catalog, entry, name) for name in entry.fields if name in catalog.fields}
        return self.device_of(st.just(kind), fields)

    def device_of(self, kind: Strategy, fields: dict[str, Strategy]) -> Strategy:
        gib = st.sampled_from([8, 16, 24, 32, 48, 64, 80, 96, 141, 192, 512]).map(lambda n: n * 2**30)
        return st.fixed_dictionaries(
            {"kind": kind, "memory": gib | self.size(2**41), **fields},
            optional={
                "count": st.integers(1, self.max_devices),
                "available": st.sampled_from([True, True, True, False]),
                "numa_node": st.integers(0, 3),
            },
        )

    def field(self, catalog: Catalog, entry: CatalogEntry, name: str) -> Strategy:
        if entry.variants is not None and entry.variants.by == name:
            return st.sampled_from(sorted(entry.variants.values))
        type_ = catalog.fields[name].type
        if type_.kind is Kind.WRAPPER:
            type_ = type_.element
        if type_ == t.INT:
            return st.integers(int(catalog.minimums.get(name, 0)), 64)
        return self.plain(type_)


def _devices(values: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The devices of all inventories among some inputs."""
    for value in values.values():
        if isinstance(value, dict) and isinstance(value.get("devices"), list):
            yield from value["devices"]
