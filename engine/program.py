"""A policy as data and code: what decides on a request without a look at YAML or CEL.

A program is made of a compiled policy (engine.policy.image), kept as plain data that `marshal` can write, and
linked here. It is the quick way and only ever says yes: whatever it doesn't take, and whatever ends in an
error, raises `NotQuick`, and is decided by the evaluator, which knows places and words for what is wrong.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from engine.cel.budget import Budget, BudgetError
from engine.cel.link import FAULTS, link
from engine.cel.literals import INT_MAX, INT_MIN
from engine.cel.values import ObjectValue, Value, object_class
from engine.inventory.types import Device, Interconnect, Inventory
from engine.model.types import Model

Image = Mapping[str, Any]
"""A program as plain data; engine.policy.image says what is in it."""


class NotQuick(Exception):
    """The quick way doesn't take this; the evaluator will."""


Found = tuple[int, str | None, Value]
"""The chosen match by its position, its explanation, and its output or its builder's arguments by name."""


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
        exec(image["code"], namespace)
        self.function: Callable[..., Any] = namespace["decide"]
        binders = _Binders(image, classes, namespace)
        self.matches: tuple[tuple[str, str | None], ...] = image["matches"]
        self.inputs = [(name, binders.for_type(type_name)) for name, type_name in image["inputs"]]

    def run(self, inputs: Mapping[str, Any], steps: int) -> tuple[list[Any], Found | None]:
        """The inputs as expressions read them, and the chosen match; None where none holds.

        Raises:
            NotQuick: the inputs are not plainly right, or an expression ended in an error.
        """
        try:
            bound = [bind(inputs[name]) for name, bind in self.inputs]
            found = self.function(*bound, Budget(steps).spend)
        except (*FAULTS, BudgetError, AttributeError, RecursionError) as error:
            raise NotQuick from error
        return bound, found


_SCALARS: dict[str, type] = {"string": str, "int": int, "double": float, "bool": bool}
_DEVICE_FIELDS = (
    *("kind", "device_id", "name", "memory_bytes", "available", "numa_node", "node"),
    *("compute_capability", "driver_version", "index", "identity"),
)
_LINK_FIELDS = ("kind", "name", "bandwidth_gbps", "state")


class _Binders:
    """Makes what turns an input into what expressions read, by the input's declared type."""

    def __init__(self, image: Image, classes: Mapping[str, Any], namespace: Mapping[str, Any]) -> None:
        self.objects: Mapping[str, tuple[str, ...]] = image["objects"]
        self.describing: Mapping[str, Any] = image["describing"]
        self.classes = classes
        self.namespace = namespace

    def for_type(self, type_name: str) -> Callable[[Any], Any]:
        if type_name == "Inventory" and self.objects.get(type_name) == ("name", "devices", "interconnects"):
            return self.inventory()
        if type_name == "Model" and self.objects.get(type_name) == ("name", "params"):
            return self.model()
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

        def bind(value: Any) -> Any:
            if type(value) is not Model:
                raise NotQuick
            return make(_text(value.name), _whole(value.params))

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
    for index, device in enumerate(devices):
        if type(device) is not Device:
            raise NotQuick
        number, memory, available = device.device_id, device.memory_bytes, device.available
        numa, name, node = device.numa_node, device.name, device.node
        capability, driver = device.compute_capability, device.driver_version
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
            *(capability, driver, index, row.identity, *given),
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
        # Of kinds whose row depends on a field: which field, and the rows by its value.
        self.varying: dict[Any, str] = {}
        self.variants: dict[tuple[Any, Any], _Row] = {}

    def row(self, kind: Any, attributes: Mapping[str, Any]) -> _Row:
        """The row of a kind, kept for the next value unless it depends on one of its fields."""
        if type(kind) is not str:
            raise NotQuick
        if self.described is _NOTHING:
            return _Row(kind, (), {})
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
