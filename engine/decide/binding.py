"""Bind a request to a policy: coerce inputs to their declared types and join catalog columns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from engine.base.aliases import find_loosely, plain_names
from engine.base.errors import EvaluationError, MissingInputError, Path, RequestError, near, path_text, quote
from engine.catalogs.catalog import Catalog, CatalogEntry, Computed
from engine.cel.budget import BudgetError, CellBudget
from engine.cel.celtypes import Kind, ObjectType, Type
from engine.cel.coercion import CoercionError, coerce
from engine.cel.runtimes.protocol import Native, Program, Runtime
from engine.cel.values import CelError, Value
from engine.decide.request import Request
from engine.inventory import Inventory
from engine.model import Model
from engine.policy.compiled import CompiledPolicy, Input

if TYPE_CHECKING:
    from engine.catalogs.resolved import Catalogs


class FactBinder:
    """Binds requests to the inputs of one policy."""

    def __init__(self, policy: CompiledPolicy, runtime: Runtime, catalogs: Catalogs | None = None) -> None:
        """Prepare for one policy.

        Args:
            policy: the policy.
            runtime: the CEL runtime.
            catalogs: where other versions of its catalogs are, for hints.
        """
        self.policy = policy
        self.catalogs = catalogs
        self.runtime = runtime
        self.describing = {c.describes: c for c in policy.catalogs.values() if c.describes is not None}
        self.identifying = [c for c in policy.catalogs.values() if c.identifies is not None]
        self.programs: dict[int, Program] = {}

    def bind(self, request: Request) -> dict[str, Value]:
        """Return the value of each declared input.

        Raises:
            RequestError: an input is missing, of a wrong type, or unknown to a catalog; with its path.
            EvaluationError: a catalog's expression ended in an error.
        """
        missing = [
            name
            for name, declared in self.policy.inputs.items()
            if request.inputs.get(name) is None and not declared.optional
        ]
        if missing:
            declared = self.policy.inputs[missing[0]]
            raise MissingInputError(
                f"the request has no {missing[0]}, which policy {self.policy.name} reads",
                missing[0],
                hint=declared.description or None,
            )
        given = request.inputs
        return {
            name: self.value(declared, declared.absent if given.get(name) is None else given[name])
            for name, declared in self.policy.inputs.items()
        }

    def value(self, declared: Input, given: object) -> Value:
        """Return the value of one input."""
        path: Path = (declared.name,)
        value = given.to_value() if isinstance(given, (Inventory, Model)) else given
        if declared.type_name in self.describing and isinstance(value, str):
            return self.entry(self.describing[declared.type_name], value, path).name
        value = self.joined(value, declared.type, path)
        try:
            return coerce(value, declared.type, self.policy.objects, path)
        except CoercionError as error:
            raise RequestError(
                f"{_named(error.path)}: {error.message}",
                hint=error.hint,
                path=error.path,
                at_key=error.at_key,
            ) from None

    def joined(self, value: object, type_: Type, path: Path) -> object:
        """Return a value with catalog columns added to every object that a catalog describes."""
        if type_.kind is Kind.LIST and isinstance(value, list):
            return [self.joined(element, type_.element, (*path, i)) for i, element in enumerate(value)]
        if type_.kind is not Kind.OBJECT or not isinstance(value, dict):
            return value
        object_type = self.policy.objects[type_.name]
        result = {
            name: self.joined(element, object_type.fields[name].type, (*path, name))
            if name in object_type.fields
            else element
            for name, element in value.items()
        }
        for each in self.identifying:
            identifies = each.identifies
            if identifies is not None and identifies.type == type_.name:
                result[identifies.into] = _identified(each, result.get(identifies.by))
        catalog = self.describing.get(type_.name)
        if catalog is not None:
            return self.described(catalog, object_type, result, path)
        # Nothing but its number tells a device from others.
        if "identity" in object_type.fields and not object_type.declared:
            result.setdefault("identity", ["device_id"] if result.get("device_id") is not None else [])
        return result

    def described(
        self, catalog: Catalog, object_type: ObjectType, value: dict[str, object], path: Path
    ) -> dict[str, object]:
        """Return an object with the columns of its catalog entry; its fields must be those of the entry."""
        by = catalog.by or ""
        entry = self.entry(catalog, value.get(by), (*path, by))
        value[by] = entry.name
        for column in catalog.columns:
            if column in value:
                raise RequestError(
                    f"'{column}' comes from catalog {catalog.name}; remove it from the inventory",
                    path=(*path, column),
                    at_key=True,
                )
        self.check_fields(catalog, entry, object_type, value, path)
        if "identity" in object_type.fields:
            value["identity"] = list(entry.fields)
        cells = dict(entry.values)
        if entry.variants is not None:
            field = entry.variants.by
            row = entry.variants.values.get(str(value[field]))
            if row is None:
                raise RequestError(
                    f"{entry.name} has no {field} {quote(value[field])}",
                    hint=near(str(value[field]), entry.variants.values),
                    path=(*path, field),
                )
            cells |= row
        computed = {name: cell for name, cell in cells.items() if isinstance(cell, Computed)}
        constants = {name: cell for name, cell in cells.items() if not isinstance(cell, Computed)}
        # Computed columns read the value's own fields only.
        own = {**value, **dict.fromkeys(catalog.columns)}
        values = {name: self.computed(cell, own, object_type, path) for name, cell in computed.items()}
        return {**value, **constants, **values}

    def check_fields(
        self,
        catalog: Catalog,
        entry: CatalogEntry,
        object_type: ObjectType,
        value: Mapping[str, object],
        path: Path,
    ) -> None:
        """Check fields that only some entries have: those of this entry are required, others are rejected."""
        for name, element in value.items():
            if name in catalog.fields and name not in entry.fields and element is not None:
                raise RequestError(
                    f"{_named(path)}: {entry.name} has no field '{name}'",
                    hint=near(name, entry.fields),
                    path=(*path, name),
                    at_key=True,
                )
            if name not in object_type.fields:
                raise RequestError(
                    f"{_named(path)}: unknown field {quote(name)}",
                    hint=near(name, {*object_type.fields, *entry.fields} - catalog.columns.keys()),
                    path=(*path, name),
                    at_key=True,
                )
        for name, minimum in catalog.minimums.items():
            given = value.get(name)
            if isinstance(given, (int, float)) and given < minimum:
                raise RequestError(
                    f"{_named((*path, name))}: {quote(given)} is less than {minimum}, the least allowed",
                    path=(*path, name),
                )
        for name in entry.fields:
            if value.get(name) is None:
                field = object_type.fields[name]
                raise RequestError(
                    f"{_named(path)}: {entry.name} needs {name}", hint=field.description or None, path=path
                )

    def computed(
        self, cell: Computed, value: dict[str, object], object_type: ObjectType, path: Path
    ) -> Value:
        """Return the value of a computed column of one object."""
        variable = object_type.name.lower()
        try:
            complete = coerce_nullable(value, object_type, self.policy.objects, path)
            native = self.runtime.encode(complete, _object(object_type))
            program = self.programs.get(id(cell))
            if program is None:
                program = self.programs[id(cell)] = self.runtime.compile(cell.checked)
            return self.runtime.decode(
                program.evaluate(_One(variable, native), CellBudget()), cell.checked.type
            )
        except CoercionError as error:
            raise RequestError(
                f"{_named(error.path)}: {error.message}",
                hint=error.hint,
                path=error.path,
                at_key=error.at_key,
            ) from None
        except CelError as error:
            raise EvaluationError(
                f"{error.message} in {' '.join(cell.checked.text.split())}, for {_named(path)}",
                place=cell.place(error.offset),
            ) from None
        except BudgetError as error:
            raise EvaluationError(f"{error}, for {_named(path)}", place=cell.place(0)) from None

    def entry(self, catalog: Catalog, name: object, path: Path) -> CatalogEntry:
        """Return the catalog entry of a name that a request uses."""
        entry = catalog.find(name) if isinstance(name, str) else None
        if entry is None:
            elsewhere = None
            if self.catalogs is not None and isinstance(name, str):
                elsewhere = self.catalogs.elsewhere(catalog.name, name)
            raise RequestError(
                f"{_named(path)}: {quote(name)} is not in catalog {catalog.name}@{catalog.version}",
                hint=elsewhere or near(str(name), catalog.names),
                path=path,
            )
        return entry


def _identified(catalog: Catalog, name: object) -> str | None:
    """Return the catalog entry that a maker's name means."""
    if not isinstance(name, str):
        return None
    return find_loosely(plain_names(catalog.entries, catalog.aliases), name)


class _One:
    """A scope of one name."""

    def __init__(self, name: str, value: Native) -> None:
        self.name = name
        self.value = value

    def resolve(self, name: str) -> Native:
        return self.value


def coerce_nullable(
    value: dict[str, object], object_type: ObjectType, objects: Mapping[str, ObjectType], path: Path
) -> dict[str, Value]:
    """An object's fields held against their types, columns that are not known yet left null."""
    return {
        name: None if value.get(name) is None else coerce(value[name], field.type, objects, (*path, name))
        for name, field in object_type.fields.items()
    }


def _object(object_type: ObjectType) -> Type:
    return Type(Kind.OBJECT, object_type.name)


def _named(path: Path) -> str:
    return path_text(path) or "the request"
