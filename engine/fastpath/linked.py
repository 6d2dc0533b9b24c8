"""Linked, precompiled policy: decides a request without parsing YAML or CEL.

`artifact` turns a compiled policy into an image, plain data that `marshal` can write; this module links it.
The fast path never reports errors: an unusual input and an expression that ends in an error raise `NotQuick`,
and the interpreter decides the request and produces the diagnostics. Every other exception is a bug.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from operator import attrgetter, itemgetter
from typing import TYPE_CHECKING, TypeVar

from engine.cel.budget import Budget, BudgetError, CellBudget
from engine.cel.literals import INT_MAX, INT_MIN
from engine.cel.runtimes.link import FAULTS, link
from engine.cel.values import CelError, ObjectValue, Value, object_class
from engine.inventory.inventory import Device, Interconnect, Inventory
from engine.model.model import VALUE_FIELDS, CacheLayers, Model

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from engine.base.jsontypes import Json
    from engine.fastpath.image import Described, Image, MatchRow, Row
    from engine.plan import Plan
    from engine.plan.search.judging import Judging, Refusal
    from engine.plan.search.survey import Survey
    from engine.plan.search.tries import Tries

    Bind = Callable[[object], Value]
    Chosen = tuple[int, str | None, Value]
    Searched = tuple[Plan | Refusal, Tries | None]
    Tried = tuple[Sequence[tuple[Sequence[Json], Json]], int, int]

_Result = TypeVar("_Result")
_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_CEL = os.path.join(_PACKAGE, "cel", "")


class NotQuick(Exception):
    """The fast path doesn't take this request; the message says why."""


class UnsupportedError(NotQuick):
    """The fast path takes no request for this policy; the message says why."""


class PolicyProgram:
    """A linked program."""

    def __init__(self, image: Image) -> None:
        """Link an image that has code."""
        assert image["code"] is not None
        self.image = image
        declared = image.get("declared", ())
        classes = {
            name: object_class(name, fields, declared=name in declared)
            for name, fields in image["objects"].items()
        }
        catalogs = {
            name: {key: classes[type_name](*row) for key, row in rows.items()}
            for name, (type_name, rows) in image["catalogs"].items()
        }
        namespace = link(image["symbols"], classes, catalogs)
        self.namespace = namespace
        """The function's globals, including constants that can be changed."""
        exec(image["code"], namespace)
        self.function: Callable[..., Chosen | None] = namespace["decide"]
        binders = _Binders(image, classes, namespace)
        self.matches: tuple[MatchRow, ...] = image["matches"]
        self.classes = classes
        self.inputs = [
            (name, *binders.for_input(name, type_name, optional))
            for name, type_name, optional in image["inputs"]
        ]
        self.unsupported = binders.unsupported

    def run(self, inputs: Mapping[str, object], steps: int) -> tuple[list[Value], Chosen | None]:
        """Decide which match is chosen.

        Args:
            inputs: the request's inputs.
            steps: the evaluation budget.

        Returns:
            The inputs as expressions read them; and the position of the chosen match, its explanation, and
            its output or its builder's arguments by name, or None if no match holds.

        Raises:
            NotQuick: an input is unusual, or an expression ended in an error.
        """
        if self.unsupported is not None:
            raise UnsupportedError(self.unsupported)
        try:
            bound = [
                bind(without if (value := inputs.get(name)) is None else value)
                for name, bind, without in self.inputs
            ]
            chosen = self.function(*bound, Budget(steps).spend)
        except (CelError, BudgetError, RecursionError, *FAULTS) as error:
            raise self.not_quick(error) from error
        return bound, chosen

    def search(
        self, position: int, value: Value, inventory: Inventory | None, effort: float = 1.0
    ) -> Searched:
        """Run the search of a match.

        Args:
            position: the position of the match.
            value: the arguments and functions that `run` returned.
            inventory: the request's inventory.
            effort: the fraction of the candidate budget that may be spent.

        Returns:
            A plan or a refusal, and the remedies to try.

        Raises:
            NotQuick: an expression ended in an error.
            BuilderError: the policy's arguments make no search.
        """
        from engine.plan.search.builder import search  # deferred: start-up time
        from engine.plan.search.judging import Refusal  # deferred: start-up time

        result = self._run(
            lambda arguments, judging: search(arguments, judging, inventory, effort), position, value
        )
        return result, self._tries(position, value[4]) if type(result) is Refusal else None

    def _tries(self, position: int, evaluate: Callable[[None, None], Tried]) -> Tries:
        """Return the remedies to try, now that a search is refused."""
        from engine.plan.search.tries import Tries, Try  # deferred: start-up time

        searching = self.matches[position][2]
        assert searching is not None
        try:
            tried, most_candidates, most_combinations = evaluate(None, None)
        except (CelError, BudgetError, RecursionError, *FAULTS) as error:
            raise self.not_quick(error) from error
        remedies = tuple(
            Try(id_, change, values, asked, text, asked_text)
            for (id_, change, text, asked_text), (values, asked) in zip(searching[2], tried, strict=True)
        )
        return Tries(remedies, most_candidates, most_combinations)

    def survey(self, position: int, value: Value, inventory: Inventory | None) -> Survey:
        """Survey the search of a match; arguments and errors as `search`."""
        from engine.plan.search.builder import survey  # deferred: start-up time

        return self._run(lambda arguments, judging: survey(arguments, judging, inventory), position, value)

    def _run(
        self, search: Callable[[Mapping[str, Value], Judging], _Result], position: int, value: Value
    ) -> _Result:
        """Run a search with the functions by which a match judges candidates."""
        from engine.plan.errors import BuilderError  # deferred: start-up time
        from engine.plan.search.judging import Judging, Requirement  # deferred: start-up time

        arguments, judge, refuse, describe, _ = value
        searching = self.matches[position][2]
        assert searching is not None
        requirements, scores, _ = searching
        judging = Judging(
            requirements=tuple(Requirement(name, frozenset(monotone)) for name, monotone in requirements),
            scores=scores,
            candidate=_Candidates(self.classes["Candidate"], self.classes["Stage"]),
            judge=judge,
            refuse=refuse,
            describe=lambda candidate: describe(candidate, None),
        )
        try:
            return search(arguments, judging)
        except BuilderError:
            raise
        except (CelError, BudgetError, RecursionError, *FAULTS) as error:
            raise self.not_quick(error) from error

    def not_quick(self, error: Exception) -> NotQuick:
        """Return the reason to fall back if an expression ended in an error.

        Raises:
            Exception: `error` itself, if it arose outside of CEL: it is a bug.
        """
        reason = f"{type(error).__name__}: {error}"
        if isinstance(error, (CelError, BudgetError, RecursionError)):
            return NotQuick(reason)
        if _arose_in_cel(error.__traceback__, self.function.__code__.co_filename):
            return NotQuick(reason)
        raise error


def _arose_in_cel(traceback: TracebackType | None, generated: str) -> bool:
    """Return True if the innermost frame of the engine is generated code or an implementation of CEL.

    Generated code leaves some errors to Python's operators: a missing key is a KeyError, no such overload a
    TypeError.
    """
    innermost = ""
    while traceback is not None:
        file = traceback.tb_frame.f_code.co_filename
        if file == generated or file.startswith(_PACKAGE):
            innermost = file
        traceback = traceback.tb_next
    return innermost == generated or innermost.startswith(_CEL)


_LEFT_OUT: dict[str, object] = {}
"""The value of an optional input that the request omits."""
_MISSING = None


class _Candidates:
    """Makes candidates as expressions read them; those with one list of stages share it here, too."""

    def __init__(self, make: type[ObjectValue], make_stage: type[ObjectValue]) -> None:
        from engine.plan.search.candidates import FIELDS  # deferred: start-up time

        self.make = make
        self.make_stage = make_stage
        self.order = None
        if make.__fields__ != FIELDS:  # a schema with fewer fields, or in another order
            self.order = itemgetter(*map(FIELDS.index, make.__fields__))
        self.known: dict[int, tuple[object, list[ObjectValue]]] = {}
        """By id, lists of stages and what expressions read."""

    def __call__(self, values: tuple[Value, ...]) -> ObjectValue:
        stages = values[-1]
        known = self.known.get(id(stages))
        if known is None:
            make, names = self.make_stage, self.make_stage.__fields__
            known = stages, [make(*[stage[name] for name in names]) for stage in stages]
            self.known[id(stages)] = known
        made = (*values[:-1], known[1])
        return self.make(*(made if self.order is None else self.order(made)))


_SCALARS: dict[str, type] = {"string": str, "int": int, "double": float, "bool": bool}
_DEVICE_FIELDS = (
    *("kind", "device_id", "name", "memory_bytes", "available", "numa_node", "node"),
    *("compute_capability", "driver_version", "free_bytes", "product", "index", "identity"),
)
_CACHE_FIELDS: tuple[str, ...] = tuple(CacheLayers.__record__)  # type: ignore[attr-defined]
_LINK_FIELDS = ("kind", "name", "bandwidth_gbps", "state")


class _Binders:
    """Functions that turn inputs into the values that expressions read, by declared type."""

    def __init__(
        self,
        image: Image,
        classes: Mapping[str, type[ObjectValue]],
        namespace: Mapping[str, Callable[..., Value]],
    ) -> None:
        self.objects = image["objects"]
        self.describing = image["describing"]
        self.scalars = image["scalars"]
        self.identifying = image["identifying"]
        self.values = image.get("values", {})
        self.classes = classes
        self.namespace = namespace
        self.unsupported: str | None = None

    def for_input(self, name: str, type_name: str, optional: bool) -> tuple[Bind, object]:
        """Return what binds an input, and its value where a request leaves it out."""
        if name not in self.values:
            return self.for_type(type_name), _LEFT_OUT if optional else _MISSING
        form = self.values[name]
        if form is None:
            return self.refuse(f"inputs of type {type_name}"), _MISSING
        from engine.fastpath.declared import bind_form  # deferred: start-up time

        scalars = {kind: _scalar(python, name) for kind, python in _SCALARS.items()}
        without = _LEFT_OUT if optional and form[0] == "record" else _MISSING
        return bind_form(form, scalars, self.classes, NotQuick), without

    def for_type(self, type_name: str) -> Bind:
        """Return the function for a type; it raises NotQuick for values that aren't plainly of that type."""
        if type_name == "Inventory" and self.objects.get(type_name) == ("name", "devices", "interconnects"):
            return self.inventory()
        if type_name == "Model" and self.objects.get(type_name) == VALUE_FIELDS:
            return self.model()
        if type_name in self.scalars:
            return self.fields(type_name)
        if type_name in self.describing and type_name not in self.objects:
            return _entry_names(self.describing[type_name])
        if type_name in _SCALARS:
            return _scalar(_SCALARS[type_name], type_name)
        if type_name.startswith("list(") and type_name[5:-1] in _SCALARS:
            return _list(_scalar(_SCALARS[type_name[5:-1]], type_name))
        return self.refuse(f"inputs of type {type_name}")

    def refuse(self, what: str) -> Bind:
        """Note what the fast path doesn't support, and return a function that takes no value."""
        self.unsupported = what

        def bind(value: object) -> Value:
            raise UnsupportedError(what)

        return bind

    def inventory(self) -> Bind:
        make: Callable[..., ObjectValue] = self.classes["Inventory"]
        devices = _Rows(self, "Device", _DEVICE_FIELDS)
        links = _Rows(self, "Interconnect", _LINK_FIELDS)
        if not devices.usable or not links.usable:
            return self.refuse("a catalog that describes devices or interconnects in an unusual way")

        def bind(value: object) -> Value:
            if type(value) is not Inventory:
                raise NotQuick("inventory: not an Inventory")
            return make(
                _text(value.name), _devices(value.devices, devices), _links(value.interconnects, links)
            )

        return bind

    def model(self) -> Bind:
        make: Callable[..., ObjectValue] = self.classes["Model"]
        layers = self.classes.get("CacheLayers")
        if layers is None or self.objects["CacheLayers"] != tuple(_CACHE_FIELDS):
            return self.refuse("models whose layers have other fields")
        kinds = Model.value_types()
        read = attrgetter(*kinds)

        def bind(value: object) -> Value:
            if type(value) is not Model:
                raise NotQuick("model: not a Model")
            _whole(value.params)
            fields = read(value)
            for field, kind in zip(fields, kinds.values(), strict=True):
                if field is not None and (
                    type(field) is not kind or (isinstance(field, int) and field > INT_MAX)
                ):
                    raise NotQuick("model: a field of another type")
            return make(*fields, _cache(value.cache, layers))

        return bind

    def fields(self, type_name: str) -> Bind:
        """Return the function for a type that has only scalar fields: it takes plain mappings."""
        make: Callable[..., ObjectValue] = self.classes[type_name]
        fields = [
            (name, _scalar(_SCALARS[kind], name), nullable)
            for name, kind, nullable in self.scalars[type_name]
        ]
        known = {name for name, _, _ in fields}

        def bind(value: object) -> Value:
            if type(value) is not dict or not known.issuperset(value):
                raise NotQuick(f"{type_name}: not a mapping of its fields")
            values = []
            for name, scalar, nullable in fields:
                element = value.get(name)
                values.append(element if element is None and nullable else scalar(element))
            return make(*values)

        return bind


def _cache(cache: tuple[CacheLayers, ...], make: Callable[..., ObjectValue]) -> list[ObjectValue]:
    """Bind the layers of a model by what they cache."""
    values = []
    for layers in cache:
        if type(layers) is not CacheLayers:
            raise NotQuick("model: layers of another type")
        fields = [getattr(layers, name) for name in _CACHE_FIELDS]
        for field in fields:
            if type(field) is int:
                _whole(field)
        values.append(make(*fields))
    return values


def _whole(value: object) -> int:
    if type(value) is not int or not INT_MIN <= value <= INT_MAX:
        raise NotQuick("not a 64-bit integer")
    return value


def _text(value: object) -> str | None:
    if value is not None and type(value) is not str:
        raise NotQuick("not a string")
    return value


def _scalar(kind: type, name: str) -> Bind:
    def bind(value: object) -> Value:
        if type(value) is not kind:
            if kind is not float or type(value) is not int or not INT_MIN <= value <= INT_MAX:
                raise NotQuick(f"{name}: not of type {kind.__name__}")
            value = float(value)
        if kind is int:
            _whole(value)
        elif type(value) is float and not math.isfinite(value):
            raise NotQuick(f"{name}: not a finite number")
        return value

    return bind


def _list(element: Bind) -> Bind:
    """Return the function for a list of elements that `element` takes."""

    def bind(value: object) -> Value:
        if type(value) is not list:
            raise NotQuick("not a list")
        return [element(item) for item in value]

    return bind


def _entry_name(value: object, described: Described) -> str:
    """Return the name of the catalog entry that a name or an alias means."""
    if type(value) is not str:
        raise NotQuick("a catalog entry's name that isn't a string")
    if value in described["entries"]:
        return value
    aliases = described["aliases"]
    name = aliases.get(value) or aliases.get(value.casefold())
    if name is None:
        raise NotQuick(f"not in the catalog: {value}")
    return name


def _entry_names(described: Described) -> Bind:
    """Return the function for a type that a catalog describes by name."""
    return lambda value: _entry_name(value, described)


def _devices(devices: tuple[Device, ...], rows: _Rows) -> list[ObjectValue]:
    """Bind devices with the columns of their catalog: one long function, since fleets have many devices."""
    values: list[ObjectValue] = []
    make, known, none, product = rows.make, rows.known, rows.none, rows.product
    varying, variants = rows.varying, rows.variants
    for index, device in enumerate(devices):
        if type(device) is not Device:
            raise NotQuick("device: not a Device")
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
            raise NotQuick("device: a field of another type")
        attributes, kind = device.attributes, device.kind
        if type(kind) is not str:
            raise NotQuick("device: a kind that isn't a string")
        row = known.get(kind)
        if row is None and kind in varying:
            row = variants.get((kind, str(attributes.get(varying[kind]))))
        if row is None:
            row = rows.row(kind, attributes)
        if row.numbered and number is None:
            raise NotQuick("device: no device_id")
        added = rows.added(row, attributes) if attributes or row.required else none
        fields = (
            *(row.name, number, name, memory, available, numa, node),
            *(capability, driver, free, None if name is None or product is None else product(name)),
            *(index, row.identity, *added),
        )
        value = make(*fields, *row.columns)
        if row.computed:
            value = make(*fields, *rows.computed(row, value))
        values.append(value)
    return values


def _links(links: tuple[Interconnect, ...], rows: _Rows) -> list[ObjectValue]:
    """Bind interconnects with the columns of their catalog."""
    values: list[ObjectValue] = []
    for link_ in links:
        if type(link_) is not Interconnect:
            raise NotQuick("interconnect: not an Interconnect")
        bandwidth, kind = link_.bandwidth_gbps, link_.kind
        if type(bandwidth) is not float or not math.isfinite(bandwidth) or type(kind) is not str:
            raise NotQuick("interconnect: a field of another type")
        row = rows.known.get(kind) or rows.row(kind, {})
        if row.required or row.computed:
            raise NotQuick("interconnect: a catalog with fields or computed columns")
        fields = (row.name, _text(link_.name), bandwidth, _text(link_.state))
        values.append(rows.make(*fields, *rows.none, *row.columns))
    return values


class _Identified(dict[str, "str | None"]):
    """Catalog entries by the names that makers write, kept while they are among the last ones."""

    def __init__(self, known: Mapping[str, str]) -> None:
        super().__init__()
        self.known = known

    def __missing__(self, name: str) -> str | None:
        from engine.base.aliases import find_loosely  # deferred: start-up time

        if len(self) >= _MOST_NAMES:
            self.clear()  # several threads may do so at once: a lost name is looked up again
        entry = self[name] = find_loosely(self.known, name)
        return entry


_MOST_NAMES = 4096
"""Names that are kept: a fleet has few, but a service may receive any."""


class _AddedRow:
    """The columns that a catalog adds to a value of one entry, or of one variant of it."""

    __slots__ = ("columns", "computed", "identity", "name", "numbered", "required")

    def __init__(self, name: str, fields: tuple[str, ...], catalog_fields: Mapping[str, str]) -> None:
        self.name = name
        self.identity = list(fields)
        self.numbered = "device_id" in fields
        self.required = tuple(field for field in fields if field in catalog_fields)
        self.columns: tuple[Value, ...] = ()
        self.computed: tuple[tuple[int, Callable[..., Value]], ...] = ()


class _Rows:
    """The rows of the catalog that describes a type by its kind; one empty row if none does."""

    def __init__(self, binders: _Binders, type_name: str, fields: tuple[str, ...]) -> None:
        self.type_name = type_name
        self.functions = binders.namespace
        self.described: Described = binders.describing.get(type_name) or _NOTHING
        self.fields = self.described["fields"]
        self.column_names = self.described["columns"]
        # The interpreter reads a schema with other fields, and a catalog by another field.
        expected = (*fields, *self.fields, *self.column_names)
        self.usable = binders.objects.get(type_name) == expected and self.described["by"] == "kind"
        if self.usable:
            self.make: Callable[..., ObjectValue] = binders.classes[type_name]
        self.none = (None,) * len(self.fields)
        self.known: dict[str, _AddedRow] = {}
        by, into, names, _ = binders.identifying.get(type_name, (None, None, {}, ""))
        self.usable = self.usable and (by, into) in ((None, None), ("name", "product"))
        self.product = None if by is None else _Identified(names).__getitem__
        # For kinds whose row depends on a field: that field, and the rows by its value.
        self.varying: dict[str, str] = {}
        self.variants: dict[tuple[str, str], _AddedRow] = {}

    def row(self, kind: str, attributes: Mapping[str, object]) -> _AddedRow:
        """Return the row of a kind, and keep it for the next value."""
        if self.described is _NOTHING:
            return _AddedRow(kind, ("device_id",) if self.type_name == "Device" else (), {})
        name = _entry_name(kind, self.described)
        fields, cells, variants = self.described["entries"][name]
        if variants is None:
            row = self.new_row(name, fields, cells)
            self.known[kind] = row
            return row
        by, rows = variants
        value = str(attributes.get(by))
        if value not in rows:
            raise NotQuick(f"{name}: unknown {by}")
        row = self.new_row(name, fields, {**cells, **rows[value]})
        self.varying[kind] = by
        self.variants[kind, value] = row
        return row

    def new_row(self, name: str, fields: tuple[str, ...], cells: Row) -> _AddedRow:
        row = _AddedRow(name, fields, self.fields)
        columns = [cells.get(column, (True, None)) for column in self.column_names]
        row.columns = tuple(cell if constant else None for constant, cell in columns)
        row.computed = tuple(
            (position, self.functions[cell])
            for position, (constant, cell) in enumerate(columns)
            if not constant
        )
        if len(self.known) + len(self.variants) >= _MOST_NAMES:  # a kind may be written in any case
            self.known.clear()
            self.variants.clear()
        return row

    def added(self, row: _AddedRow, attributes: Mapping[str, object]) -> tuple[object, ...]:
        """Return the catalog's fields of a value: exactly those of its entry, of their types."""
        if len(attributes) != len(row.required):
            raise NotQuick(f"{row.name}: missing or unknown fields")
        minimums = self.described["minimums"]
        for name in row.required:
            value = attributes.get(name)
            if type(value) is not _SCALARS[self.fields[name]]:
                raise NotQuick(f"{name}: of another type")
            if isinstance(value, (int, float)):
                if name in minimums and value < minimums[name]:
                    raise NotQuick(f"{name}: below its minimum")
                if not (INT_MIN <= value <= INT_MAX if type(value) is int else math.isfinite(value)):
                    raise NotQuick(f"{name}: out of range")
        return tuple(map(attributes.get, self.fields))

    def computed(self, row: _AddedRow, value: ObjectValue) -> list[Value]:
        """Return the columns, including those that are computed from the value without them."""
        columns = list(row.columns)
        for column, function in row.computed:
            columns[column] = function(value, CellBudget().spend)
        return columns


_NOTHING: Described = {
    "by": "kind",
    "fields": {},
    "minimums": {},
    "columns": (),
    "aliases": {},
    "entries": {},
}
"""The description of a type that no catalog describes."""
