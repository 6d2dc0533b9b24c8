"""A policy as data and code: what decides on a request without a look at YAML or CEL.

A program is made of a compiled policy (engine.policy.image), kept as plain data that `marshal` can write, and
linked here. It is the quick way and only ever says yes: whatever it doesn't take, and whatever ends in an
error, raises `NotQuick`, and is decided by the evaluator, which knows places and words for what is wrong.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from operator import attrgetter
from typing import Any

from engine.cel.budget import Budget, BudgetError
from engine.cel.link import FAULTS, link
from engine.cel.literals import INT_MAX, INT_MIN
from engine.cel.values import ObjectValue, Value, object_class
from engine.inventory.types import Device, Interconnect, Inventory
from engine.model.types import VALUE_FIELDS, Model

Image = Mapping[str, Any]
"""A program as plain data; engine.policy.image says what is in it."""


class NotQuick(Exception):
    """The quick way doesn't take this; the evaluator will."""


Found = tuple[int, str | None, Value]
"""The chosen match by its position, its explanation, and its output or its builder's arguments by name."""


Searched = tuple[Any, list[tuple[str, str, list[Any]]]]
"""A plan or a refusal, and the remedies to try: their ids, what they change, the values."""


class PolicyProgram:
    """A linked program."""

    def __init__(self, image: Image) -> None:
        self.image = image
        classes = {each: object_class(each, fields) for each, fields in image["objects"].items()}
        catalogs = {
            name: {key: classes[type_name](*row) for key, row in rows.items()}
            for name, (type_name, rows) in image["catalogs"].items()
        }
        namespace = link(image["symbols"], classes, catalogs)
        self.namespace = namespace
        """The function's globals, constants that may be changed among them."""
        exec(image["code"], namespace)
        self.function: Callable[..., Any] = namespace["decide"]
        binders = _Binders(image, classes, namespace)
        self.matches: tuple[tuple[str, str | None, Any], ...] = image["matches"]
        self.candidate = partial(_candidate, classes["Candidate"], classes["Stage"])
        self.inputs = [
            (name, binders.for_type(type_name), _LEFT_OUT if optional else _MISSING)
            for name, type_name, optional in image["inputs"]
        ]

    def run(self, inputs: Mapping[str, Any], steps: int) -> tuple[list[Any], Found | None]:
        """The inputs as expressions read them, and the chosen match; None where none holds.

        Raises:
            NotQuick: the inputs are not plainly right, or an expression ended in an error.
        """
        try:
            bound = [
                bind(without if (given := inputs.get(name)) is None else given)
                for name, bind, without in self.inputs
            ]
            found = self.function(*bound, Budget(steps).spend)
        except (*FAULTS, BudgetError, AttributeError, RecursionError) as error:
            raise NotQuick from error
        return bound, found

    def search(self, position: int, value: Value, inventory: Inventory | None) -> Searched:
        """What a match that searches comes to, of the arguments and functions that `run` found.

        Raises:
            NotQuick: an expression ended in an error.
        """
        from engine.plan.search.builder import search
        from engine.plan.search.judging import Judging, Requirement

        arguments, judge, refuse, describe, tries = value
        requirements, scores, remedies = self.matches[position][2]
        judging = Judging(
            tuple(Requirement(each, frozenset(monotone)) for each, monotone in requirements),
            scores,
            self.candidate,
            lambda candidate: judge(candidate, None),
            refuse,
            lambda candidate: describe(candidate, None),
        )
        try:
            found = search(arguments, judging, inventory)
        except (*FAULTS, BudgetError, AttributeError, RecursionError) as error:
            raise NotQuick from error
        return found, [(*remedy, values) for remedy, values in zip(remedies, tries, strict=True)]


_LEFT_OUT: dict[str, Any] = {}
"""What an input that is left out is bound as: a mapping without any field."""
_MISSING = None


def _candidate(make: Any, make_stage: Any, fields: Mapping[str, Any]) -> Any:
    """A candidate as expressions read it; the order of its fields is the schema's."""
    stages = [make_stage(*map(stage.__getitem__, make_stage.__slots__)) for stage in fields["stages"]]
    return make(*[stages if each == "stages" else fields[each] for each in make.__slots__])


_SCALARS: dict[str, type] = {"string": str, "int": int, "double": float, "bool": bool}
_DEVICE_FIELDS = (
    *("kind", "device_id", "name", "memory_bytes", "available", "numa_node", "node"),
    *("compute_capability", "driver_version", "free_bytes", "product", "index", "identity"),
)
_LINK_FIELDS = ("kind", "name", "bandwidth_gbps", "state")


class _Binders:
    """Makes what turns an input into what expressions read, by the input's declared type."""

    def __init__(self, image: Image, classes: Mapping[str, Any], namespace: Mapping[str, Any]) -> None:
        self.objects: Mapping[str, tuple[str, ...]] = image["objects"]
        self.describing: Mapping[str, Any] = image["describing"]
        self.scalars: Mapping[str, tuple[tuple[str, str, bool], ...]] = image["scalars"]
        self.identifying: Mapping[str, Any] = image["identifying"]
        self.classes = classes
        self.namespace = namespace

    def for_type(self, type_name: str) -> Callable[[Any], Any]:
        if type_name == "Inventory" and self.objects.get(type_name) == ("name", "devices", "interconnects"):
            return self.inventory()
        if type_name == "Model" and self.objects.get(type_name) == VALUE_FIELDS:
            return self.model()
        if type_name in self.scalars:
            return self.fields(type_name)
        if type_name in self.describing and type_name not in self.objects:
            return _entry_names(self.describing[type_name])
        if type_name in _SCALARS:
            return _scalar(_SCALARS[type_name])
        return _refuse

    def inventory(self) -> Callable[[Any], Any]:
        make = self.classes["Inventory"]
        devices = _Rows(self, "Device", _DEVICE_FIELDS)
        links = _Rows(self, "Interconnect", _LINK_FIELDS)
        if not devices.usable or not links.usable:
            return _refuse

        def bind(value: Any) -> Any:
            if type(value) is not Inventory:
                raise NotQuick
            return make(
                _text(value.name), _devices(value.devices, devices), _links(value.interconnects, links)
            )

        return bind

    def model(self) -> Callable[[Any], Any]:
        make = self.classes["Model"]
        read = attrgetter(*VALUE_FIELDS)
        kinds: list[Any] = [_SCALARS[kind] for _, kind, _ in self.scalars["Model"]]

        def bind(value: Any) -> Any:
            if type(value) is not Model:
                raise NotQuick
            _whole(value.params)
            fields = read(value)
            for given, kind in zip(fields, kinds, strict=True):
                if given is not None and (type(given) is not kind or (kind is int and given > INT_MAX)):
                    raise NotQuick
            return make(*fields)

        return bind

    def fields(self, type_name: str) -> Callable[[Any], Any]:
        """Of a type whose fields are scalars: plain mappings."""
        make = self.classes[type_name]
        fields = self.scalars[type_name]
        known = {name for name, _, _ in fields}

        def bind(value: Any) -> Any:
            if type(value) is not dict or not value.keys() <= known:
                raise NotQuick
            given = []
            for name, kind, nullable in fields:
                element = value.get(name)
                if element is not None or not nullable:
                    element = _scalar(_SCALARS[kind])(element)
                given.append(element)
            return make(*given)

        return bind


def _refuse(value: Any) -> Any:
    raise NotQuick


def _whole(value: Any) -> int:
    if type(value) is not int or not INT_MIN <= value <= INT_MAX:
        raise NotQuick
    return value


def _text(value: Any) -> str | None:
    if value is not None and type(value) is not str:
        raise NotQuick
    return value


def _scalar(kind: Any) -> Callable[[Any], Any]:
    def bind(value: Any) -> Any:
        if type(value) is not kind:
            raise NotQuick
        if kind is int:
            _whole(value)
        elif kind is float and not math.isfinite(value):
            raise NotQuick
        return value

    return bind


def _entry_names(described: Mapping[str, Any]) -> Callable[[Any], Any]:
    """Of a type that a catalog describes by name: the entry's own name for a name or an alias."""
    aliases = described["aliases"]

    def bind(value: Any) -> Any:
        if type(value) is not str:
            raise NotQuick
        return value if value in described["entries"] else aliases.get(value) or aliases[value.casefold()]

    return bind


def _devices(devices: tuple[Any, ...], rows: _Rows) -> list[ObjectValue]:
    """Devices with their catalog's columns; written in one piece, since fleets have many."""
    made: list[ObjectValue] = []
    make, known, none = rows.make, rows.known, rows.none
    varying, variants = rows.varying, rows.variants
    product = rows.product
    for index, device in enumerate(devices):
        if type(device) is not Device:
            raise NotQuick
        number, memory, available = device.device_id, device.memory_bytes, device.available
        numa, name, node = device.numa_node, device.name, device.node
        capability, driver, free = device.compute_capability, device.driver_version, device.free_bytes
        if (
            type(memory) is not int
            or not INT_MIN <= memory <= INT_MAX
            or (available is not True and available is not False)
            or (number is not None and (type(number) is not int or not INT_MIN <= number <= INT_MAX))
            or (numa is not None and (type(numa) is not int or not INT_MIN <= numa <= INT_MAX))
            or (name is not None and type(name) is not str)
            or (node is not None and type(node) is not str)
            or (capability is not None and type(capability) is not str)
            or (driver is not None and type(driver) is not str)
            or (free is not None and (type(free) is not int or not INT_MIN <= free <= INT_MAX))
        ):
            raise NotQuick
        attributes, kind = device.attributes, device.kind
        row = known.get(kind) or variants.get((kind, attributes.get(varying.get(kind, ""))))
        if row is None:
            row = rows.row(kind, attributes)
        if row.numbered and number is None:
            raise NotQuick
        given = rows.given(row, attributes) if attributes or row.required else none
        own = (
            *(row.name, number, name, memory, available, numa, node),
            *(capability, driver, free, None if name is None or product is None else product(name)),
            *(index, row.identity, *given),
        )
        value = make(*own, *row.columns)
        if row.computed:
            value = make(*own, *rows.computed(row, value))
        made.append(value)
    return made


def _links(links: tuple[Any, ...], rows: _Rows) -> list[ObjectValue]:
    """Interconnects with their catalog's columns."""
    made: list[ObjectValue] = []
    for link_ in links:
        bandwidth = link_.bandwidth_gbps
        if type(link_) is not Interconnect or type(bandwidth) is not float or not math.isfinite(bandwidth):
            raise NotQuick
        row = rows.known.get(link_.kind) or rows.row(link_.kind, {})
        if row.required or row.computed:
            raise NotQuick
        own = (row.name, _text(link_.name), bandwidth, _text(link_.state))
        made.append(rows.make(*own, *rows.none, *row.columns))
    return made


class _Identified(dict[str, "str | None"]):
    """Entries by the names that makers write, each looked for once."""

    def __init__(self, known: Mapping[str, str]) -> None:
        super().__init__()
        self.known = known

    def __missing__(self, name: str) -> str | None:
        from engine.names import find_loosely  # of policies that identify nothing, none needs it

        found = self[name] = find_loosely(self.known, name)
        return found


class _Row:
    """What a catalog adds to a value of one entry, or of one variant of it."""

    __slots__ = ("columns", "computed", "identity", "name", "numbered", "required")

    def __init__(self, name: str, fields: tuple[str, ...], own: Mapping[str, str]) -> None:
        self.name = name
        self.identity = list(fields)
        self.numbered = "device_id" in fields
        self.required = tuple(each for each in fields if each in own)
        self.columns: tuple[Any, ...] = ()
        self.computed: tuple[tuple[int, Callable[..., Any]], ...] = ()


class _Rows:
    """The rows of the catalog that describes a type by its kind; just one, of nothing, where none does."""

    def __init__(self, binders: _Binders, type_name: str, own: tuple[str, ...]) -> None:
        self.type_name = type_name
        self.make: Callable[..., ObjectValue] = binders.classes.get(type_name, _refuse)
        self.functions = binders.namespace
        self.described: Mapping[str, Any] = binders.describing.get(type_name) or _NOTHING
        self.fields: Mapping[str, str] = self.described["fields"]
        self.column_names: tuple[str, ...] = self.described["columns"]
        # A schema with other fields, or a catalog by another field, is the evaluator's to read.
        expected = (*own, *self.fields, *self.column_names)
        self.usable = binders.objects.get(type_name) == expected and self.described["by"] == "kind"
        self.none = (None,) * len(self.fields)
        self.known: dict[Any, _Row] = {}
        by, into, names = binders.identifying.get(type_name, (None, None, {}))
        self.usable = self.usable and (by, into) in ((None, None), ("name", "product"))
        self.product = None if by is None else _Identified(names).__getitem__
        # Of kinds whose row depends on a field: which field, and the rows by its value.
        self.varying: dict[Any, str] = {}
        self.variants: dict[tuple[Any, Any], _Row] = {}

    def row(self, kind: Any, attributes: Mapping[str, Any]) -> _Row:
        """The row of a kind, kept for the next value unless it depends on one of its fields."""
        if type(kind) is not str:
            raise NotQuick
        if self.described is _NOTHING:
            return _Row(kind, ("device_id",) if self.type_name == "Device" else (), {})
        entries, aliases = self.described["entries"], self.described["aliases"]
        name = kind if kind in entries else aliases.get(kind) or aliases[kind.casefold()]
        fields, cells, variants = entries[name]
        if variants is not None:
            by, rows = variants
            cells = {**cells, **rows[str(attributes[by])]}
        row = _Row(name, fields, self.fields)
        found = [cells.get(column, (True, None)) for column in self.column_names]
        row.columns = tuple(cell if constant else None for constant, cell in found)
        row.computed = tuple(
            (position, self.functions[cell])
            for position, (constant, cell) in enumerate(found)
            if not constant
        )
        if variants is None:
            self.known[kind] = row
        else:
            self.varying[kind] = by
            self.variants[kind, attributes[by]] = row
        return row

    def given(self, row: _Row, attributes: Mapping[str, Any]) -> tuple[Any, ...]:
        """The catalog's fields of a value: just those that its entry has, of their types."""
        if len(attributes) != len(row.required):
            raise NotQuick
        minimums = self.described["minimums"]
        for name in row.required:
            value = attributes[name]
            if type(value) is not _SCALARS[self.fields[name]]:
                raise NotQuick
            if name in minimums and value < minimums[name]:
                raise NotQuick
            if type(value) is int:
                _whole(value)
            elif type(value) is float and not math.isfinite(value):
                raise NotQuick
        return tuple(map(attributes.get, self.fields))

    def computed(self, row: _Row, value: ObjectValue) -> list[Any]:
        """The columns with those that are computed of the value as it is without them."""
        columns = list(row.columns)
        for column, function in row.computed:
            columns[column] = function(value, Budget().spend)
        return columns


_NOTHING: Mapping[str, Any] = {"by": "kind", "fields": {}, "columns": (), "entries": {}, "aliases": {}}
