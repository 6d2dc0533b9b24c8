"""Hypothesis strategies for valid requests of any policy.

Values near the policy's constants are drawn often, because decisions change there.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

from engine.catalogs.catalog import Catalog, CatalogEntry
from engine.cel import celtypes as t
from engine.cel.celtypes import Bounds, Kind, Type
from engine.cel.times import (
    FIRST_TIMESTAMP,
    LAST_TIMESTAMP,
    LONGEST_DURATION,
    SECOND,
    Duration,
    Timestamp,
)
from engine.decide.policy import Policy
from engine.decide.request import Request
from engine.documents.quick import load_schema
from engine.policy.compiled import CompiledPolicy
from engine.regress.vocabulary import Shape, vocabulary

if TYPE_CHECKING:
    from engine.cel.values import Value
    from engine.documents.json_schema import Schema

Drawn = dict[str, Any]
Strategy = st.SearchStrategy[Any]

_MOST = 2**42
"""Largest number of parameters."""

_LONGEST, _LONGEST_LIST = 300, 24
"""Longest text and list that are drawn to reach a size that the policy reads."""

_HOUR = 3600 * SECOND
_SOME_TIME = Timestamp.parse("2026-01-01T00:00:00Z").nanoseconds
_TYPE_OF: dict[type, str] = {bool: "bool", int: "int", float: "double", str: "string"}
_MOSTLY = st.sampled_from([True, True, True, False])
_SELDOM = st.sampled_from([False] * 59 + [True])
_RARELY = st.sampled_from([False] * 29 + [True])


def requests(*policies: Policy, max_devices: int = 8) -> st.SearchStrategy[Request]:
    """Return a strategy for requests that all of these policies accept.

    Args:
        policies: inputs are drawn for the first one, values near the constants of all.
        max_devices: maximum number of devices in an inventory.
    """
    return st.builds(Request, inputs(*policies, max_devices=max_devices))


def inputs(*policies: Policy, max_devices: int = 8) -> Strategy:
    """Return a strategy for inputs as plain data, as in a suite or a file."""
    drawer = _Drawer(policies[0].compiled, [policy.compiled for policy in policies], max_devices)
    return drawer.inputs(policies[0].compiled)


class _Drawer:
    def __init__(self, policy: CompiledPolicy, others: Sequence[CompiledPolicy], max_devices: int) -> None:
        self.policy = policy
        self.describing = {each.describes: each for each in policy.catalogs.values() if each.describes}
        self.max_devices = max_devices
        self.words = vocabulary(others)
        numbers = [*self.words.integers, *self.words.doubles]
        # Decisions change next to thresholds.
        self.ints = sorted(
            {int(n) + d for n in numbers if abs(n) < 2**62 for d in (-1, 0, 1) if 0 <= int(n) + d < 2**62}
            | {0, 1}
        )
        self.doubles = sorted(
            {abs(float(n)) + d for n in numbers for d in (-0.5, 0.0, 0.5) if abs(n) > 1} | {0.0}
        )
        self.sizes = [n for n in self.ints if 1 < n <= _LONGEST]

    def inputs(self, policy: CompiledPolicy) -> Strategy:
        """Draw all inputs; most models are about as large as the memory of all devices."""
        of_name = {
            name: self.size(_MOST)
            if each.type_name == "Model"
            else self.value(each.type_name, each.type, self.words.shape(name))
            for name, each in policy.inputs.items()
        }
        optional = [name for name, each in policy.inputs.items() if each.optional or each.default is not None]
        part, bits = st.integers(1, 200), st.sampled_from([None, 4, 8, 16, 32])

        @st.composite
        def drawn(draw: st.DrawFn) -> dict[str, object]:
            left_out = {name for name in optional if draw(_MOSTLY)}
            values = {name: draw(strategy) for name, strategy in of_name.items() if name not in left_out}
            memory = sum(device["memory"] * device.get("count", 1) for device in _devices(values))
            for name, each in policy.inputs.items():
                if each.type_name == "Model":
                    width = draw(bits)
                    params = values[name] if width is None else memory * draw(part) // 100 * 8 // width
                    values[name] = {"params": params}
            return values

        return drawn()

    def value(self, type_name: str, type_: Type, shape: Shape) -> Strategy:
        if type_name == "Inventory":
            return self.inventory()
        if type_name in self.describing and type_.kind is not Kind.OBJECT:
            return st.sampled_from(sorted(self.describing[type_name].entries))
        return self.plain(type_, shape)

    def plain(self, type_: Type, shape: Shape) -> Strategy:
        """Draw a value of a type, of which the policy reads the parts in `shape`."""
        if type_.kind is Kind.LIST:
            return self.list_of(self.plain(type_.element, shape.elements()), shape)
        if type_.kind is Kind.MAP:
            return self.mapping(type_, shape)
        if type_.kind is Kind.WRAPPER:
            return st.none() | self.plain(type_.element, shape)
        if type_.kind is Kind.OBJECT:
            return self.object(type_, shape)
        if type_.kind is Kind.DYN:
            return self.dyn(shape)
        draw = self.scalars.get(type_)
        if draw is None:
            return st.none()
        return draw(shape) if type_.bounds is None else self.bounded(type_, type_.bounds, draw(shape))

    def bounded(self, type_: Type, bounds: Bounds, values: Strategy) -> Strategy:
        """Draw values that are allowed, those next to a limit often."""
        if bounds.enum:
            return st.sampled_from([_written(value) for value in bounds.enum if _is_allowed(value, bounds)])
        least, most = bounds.minimum, bounds.maximum
        ends = [_written(end) for end in (least, most) if end is not None]
        if type_ in (t.TIMESTAMP, t.DURATION):
            first, last = _RANGES[type_]
            nanoseconds = st.integers(
                first if least is None else least.nanoseconds, last if most is None else most.nanoseconds
            )
            return st.sampled_from(ends) | nanoseconds.map(_length if type_ == t.DURATION else _moment)
        fitting = values.filter(lambda value: _is_allowed(value, bounds))
        if type_ == t.DOUBLE:
            spread: Strategy = st.floats(least, most, allow_nan=False, allow_infinity=False)
        else:
            first = least if least is not None else min(-(2**40), most)
            spread = st.integers(first, most if most is not None else max(2**40, first))
        return st.one_of(st.sampled_from(ends), spread, self.near(type_, bounds), fitting)

    def near(self, type_: Type, bounds: Bounds) -> Strategy:
        """Draw numbers next to the policy's own that are allowed."""
        numbers = self.doubles if type_ == t.DOUBLE else self.ints
        allowed = [number for number in numbers if _is_allowed(number, bounds)]
        return st.sampled_from(allowed) if allowed else st.nothing()

    @property
    def scalars(self) -> dict[Type, Callable[[Shape], Strategy]]:
        """Return the functions that draw scalars, by type."""
        return {
            t.INT: self.int_,
            t.UINT: lambda shape: self.size(2**40),
            t.DOUBLE: self.double,
            t.BOOL: lambda shape: st.booleans(),
            t.STRING: self.text,
            t.BYTES: self.bytes_,
            t.TIMESTAMP: lambda shape: self.timestamp(),
            t.DURATION: lambda shape: self.duration(),
        }

    def int_(self, shape: Shape) -> Strategy:
        near = _near(shape.values)
        common = st.sampled_from(self.ints) | st.integers(-100, 100) | st.integers(-(2**40), 2**40)
        return st.sampled_from(near) | common if near else common

    def double(self, shape: Shape | None = None) -> Strategy:
        near = [float(n) for n in _near(shape.values)] if shape is not None else []
        common = st.sampled_from(self.doubles) | st.floats(0, 2000, allow_nan=False)
        return st.sampled_from(near) | common if near else common

    def size(self, most: int) -> Strategy:
        """Draw non-negative ints, small and large ones equally often."""
        spread = st.builds(
            lambda bits, low: low % 2**bits, st.integers(0, most.bit_length()), st.integers(0, most)
        )
        return st.sampled_from([n for n in self.ints if n <= most]) | spread

    def text(self, shape: Shape) -> Strategy:
        """Draw short texts, the policy's own, these in other texts, and texts that its patterns match."""
        short = st.text("abc-", max_size=4)
        known = [value for value in shape.values if isinstance(value, str)]
        words = known or list(self.words.texts)
        options = [short]
        if words:
            word = st.sampled_from(words)
            joined = st.lists(word | short, min_size=2, max_size=3).map("".join)
            almost = st.builds(lambda text, cut: text[:-1] if cut else text.upper(), word, st.booleans())
            options += [word, word, joined, joined, joined, almost]
        options += [pattern for text in shape.patterns for pattern in _matching(text)]
        if shape.sized and self.sizes:
            options.append(st.sampled_from(self.sizes).map(lambda length: "a" * length))
        if "timestamp" in shape.kinds:
            options += [self.timestamp()] * 5
        if "duration" in shape.kinds:
            options += [self.duration()] * 5
        return st.one_of(options)

    def bytes_(self, shape: Shape) -> Strategy:
        """Draw bytes as base64, which is how documents hold them."""
        drawn: Strategy = st.binary(max_size=4)
        if self.words.bytes:
            drawn = st.sampled_from(list(self.words.bytes)) | drawn
        return drawn.map(lambda data: base64.b64encode(data).decode())

    def timestamp(self) -> Strategy:
        """Draw times around the policy's own, some of its durations apart, and any hour of a year."""
        bases = sorted({value.nanoseconds for value in self.words.timestamps} | {_SOME_TIME})
        apart = sorted({value.nanoseconds for value in self.words.durations} | {0})
        offset = st.builds(
            lambda length, times, more: length * times + more,
            st.sampled_from(apart),
            st.integers(-1, 1),
            st.sampled_from([0, 1, -1, SECOND, -SECOND]) | st.integers(-8760, 8760).map(lambda n: n * _HOUR),
        )
        return st.builds(_time, st.sampled_from(bases), offset)

    def duration(self) -> Strategy:
        """Draw durations around the policy's own, and its numbers as hours, minutes and seconds."""
        known = sorted({value.nanoseconds for value in self.words.durations} | {0})
        near = st.builds(int.__add__, st.sampled_from(known), st.sampled_from([0, 1, -1, SECOND, -SECOND]))
        numbers = st.sampled_from([n for n in self.ints if n < 10**6]) | st.integers(-100, 100)
        units = st.sampled_from([SECOND, 60 * SECOND, _HOUR, SECOND // 1000, 1])
        return (near | st.builds(int.__mul__, numbers, units)).map(_length)

    def list_of(self, elements: Strategy, shape: Shape) -> Strategy:
        lists = st.lists(elements, max_size=4)
        sizes = [size for size in self.sizes if size <= _LONGEST_LIST]
        if not (shape.sized and sizes):
            return lists
        exact = st.sampled_from(sizes).flatmap(lambda n: st.lists(elements, min_size=n, max_size=n))
        return lists | exact

    def mapping(self, type_: Type, shape: Shape) -> Strategy:
        """Draw maps with the keys that the policy reads, and some others."""
        value = shape.elements()
        known = {
            name: self.plain(type_.value, part)
            for name, part in shape.fields.items()
            if type_.key == t.STRING
        }
        keys = self.plain(type_.key, Shape())
        return st.builds(
            lambda more, own: {**more, **own},
            st.dictionaries(keys, self.plain(type_.value, value), max_size=3),
            _present(known, shape.fields),
        )

    def object(self, type_: Type, shape: Shape) -> Strategy:
        """Draw an object of a declared type, without the columns that a catalog adds to it."""
        if self.policy.objects[type_.name].declared:
            return self.record(type_, shape)
        catalog = self.describing.get(type_.name)
        fields: dict[str, Strategy] = {}
        optional: dict[str, Strategy] = {}
        schema = _schema(type_.name)
        read = set(shape.fields)
        for name, declared in self.policy.objects[type_.name].fields.items():
            inner, part = declared.type, shape.part(name)
            if inner.kind is Kind.WRAPPER and name not in read:
                continue  # nothing depends on it
            if catalog is not None and (name in catalog.columns or name in catalog.fields):
                continue
            if catalog is not None and name == catalog.by:
                fields[name] = st.sampled_from(sorted(catalog.entries))
            elif inner.kind is Kind.WRAPPER:
                optional[name] = self.limited(self.plain(inner.element, part), schema.get(name, {}))
            else:
                fields[name] = self.limited(self.plain(inner, part), schema.get(name, {}))
        return st.fixed_dictionaries(fields, optional=optional)

    def record(self, type_: Type, shape: Shape) -> Strategy:
        """Draw a record: all fields that it needs, and those of the others that the policy reads."""
        fields: dict[str, Strategy] = {}
        optional: dict[str, Strategy] = {}
        read = set(shape.fields)
        for name, declared in self.policy.objects[type_.name].fields.items():
            value = self.plain(declared.type.exact, shape.part(name))
            if declared.type.kind is not Kind.WRAPPER and declared.default is None:
                fields[name] = value
            elif name in read:
                optional[name] = value
        return st.fixed_dictionaries(fields, optional=optional)

    def limited(self, values: Strategy, schema: Schema) -> Strategy:
        """Draw values that the schema of a request allows."""
        if "enum" in schema:
            return st.sampled_from(schema["enum"])
        if schema.get("type") == "integer":
            least, most = schema.get("minimum", 0), schema.get("maximum", 2**40)
            near = [n for n in self.ints if least <= n <= most]
            return st.integers(least, min(most, 64)) | st.sampled_from(near or [least])
        if schema.get("type") == "number" and schema.get("maximum") == 1:
            return st.integers(1, 100).map(lambda percent: percent / 100)
        if schema.get("type") == "number":
            return st.integers(1, 10**6).map(lambda thousandths: thousandths / 1000)
        return values

    def dyn(self, shape: Shape, depth: int = 8) -> Strategy:
        """Draw a value of no declared type: what the policy reads of it, and now and then something else."""
        odd = st.none() | st.booleans() | st.integers(-2, 2) | st.text("abc-", max_size=3)
        if depth == 0:
            return odd
        options: list[Strategy] = []
        if shape.fields:
            parts = {name: self.dyn(part, depth - 1) for name, part in shape.fields.items()}
            options += [_present(parts, shape.fields)] * 3
        if "list" in shape.kinds or (shape.element is not None and not shape.fields):
            options.append(self.list_of(self.dyn(shape.elements(), depth - 1), shape))
        if "map" in shape.kinds and not shape.fields:
            options.append(
                st.dictionaries(self.text(Shape()), self.dyn(shape.elements(), depth - 1), max_size=3)
            )
        kinds = shape.kinds | {_TYPE_OF[type(value)] for value in shape.values if type(value) in _TYPE_OF}
        scalars = {
            "bool": st.booleans,
            "int": lambda: self.int_(shape),
            "uint": lambda: self.size(2**40),
            "double": lambda: self.double(shape),
            "string": lambda: self.text(shape),
            "timestamp": self.timestamp,
            "duration": self.duration,
        }
        options += [draw() for kind, draw in scalars.items() if kind in kinds]
        if not options:
            return odd | self.text(shape)
        expected = st.one_of(options)
        return _SELDOM.flatmap(lambda seldom: odd if seldom else expected)

    def inventory(self) -> Strategy:
        """Draw groups of equal devices, with a limited total."""
        groups = st.lists(self.device(), max_size=3).map(self.few)
        return st.fixed_dictionaries({"devices": groups}, optional={"interconnects": self.links()})

    def few(self, groups: list[Drawn]) -> list[Drawn]:
        """Cut groups to the maximum number of devices."""
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
        # Created once: creating strategies while drawing is slower than drawing.
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
        return self.plain(type_, Shape())


def _near(values: Iterable[object]) -> list[int | float]:
    """Return numbers and their neighbours."""
    numbers = [n for n in values if isinstance(n, (int, float)) and not isinstance(n, bool)]
    return sorted({n + d for n in numbers for d in (-1, 0, 1)})


def _matching(pattern: str) -> Iterator[Strategy]:
    """Yield a strategy of texts that a pattern matches; none if Python reads it otherwise than RE2."""
    try:
        yield st.from_regex(re.compile(pattern))
    except (re.error, OverflowError, ValueError):
        return


def _present(parts: Mapping[str, Strategy], shapes: Mapping[str, Shape]) -> Strategy:
    """Draw a mapping with most of the parts; those that `has()` asks for are left out more often."""

    @st.composite
    def drawn(draw: st.DrawFn) -> dict[str, object]:
        return {
            name: draw(part)
            for name, part in parts.items()
            if not draw(st.booleans() if shapes[name].tested else _RARELY)
        }

    return drawn()


def _time(base: int, offset: int) -> str:
    return str(Timestamp(max(FIRST_TIMESTAMP, min(LAST_TIMESTAMP, base + offset))))


def _moment(nanoseconds: int) -> str:
    return str(Timestamp(nanoseconds))


_RANGES = {t.TIMESTAMP: (FIRST_TIMESTAMP, LAST_TIMESTAMP), t.DURATION: (-LONGEST_DURATION, LONGEST_DURATION)}


def _written(value: Value) -> Value:
    """Return a value as documents have it."""
    return str(value) if isinstance(value, (Timestamp, Duration)) else value


def _is_allowed(value: Value, bounds: Bounds) -> bool:
    return (bounds.minimum is None or value >= bounds.minimum) and (
        bounds.maximum is None or value <= bounds.maximum
    )


def _length(nanoseconds: int) -> str:
    return str(Duration(max(-LONGEST_DURATION, min(LONGEST_DURATION, nanoseconds))))


def _schema(type_name: str) -> Mapping[str, Schema]:
    """Return the schemas of a request's fields, for the types that requests have."""
    for schema in load_schema("request")["properties"].values():
        if schema.get("title") == type_name:
            return schema.get("properties", {})
    return {}


def _devices(values: Drawn) -> Iterator[Drawn]:
    """Yield the devices of all inventories among the inputs."""
    for value in values.values():
        if isinstance(value, dict) and isinstance(value.get("devices"), list):
            yield from value["devices"]
