"""Types that policies and libraries declare under `types:`: records, and scalars with fewer values.

All declarations of a policy and of its libraries share one namespace. They are resolved when they are first
named, so that they may come in any order; a type that contains itself is found on the way.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from engine.base.errors import Path, Problem
from engine.base.records import record, replace
from engine.catalogs.schema_types import SchemaTypes
from engine.cel import celtypes as t
from engine.cel.celtypes import Bounds, Field, Kind, ObjectType, Type, TypeSyntaxError, parse_type
from engine.cel.checker import TYPE_NAMES
from engine.cel.coercion import CoercionError, coerce
from engine.cel.hints import for_type
from engine.cel.limits import POLICY_PARTS, TYPE_DEPTH

if TYPE_CHECKING:
    from engine.base.jsontypes import Json
    from engine.documents import Document

Fail = Callable[[str, str, Path, str | None], None]
"""Report a problem: its check, message, path and hint."""

_RESERVED = {*t.PRIMITIVES, *TYPE_NAMES, "list", "map", "wrapper", "type", "dyn", "null", "null_type"}
_ORDERED = (t.INT, t.UINT, t.DOUBLE, t.TIMESTAMP, t.DURATION)
_LISTED = (*_ORDERED, t.STRING, t.BOOL)
_UNREAD = ("Inventory", "Model")
"""Types whose values requests describe in other words: inputs only, no fields."""
_FORMS = ("type", "fields", "items", "values")


def declare_types(documents: Iterable[Document], known: SchemaTypes, problems: list[Problem]) -> SchemaTypes:
    """Return the types that documents declare, beside those that are known.

    Args:
        documents: a policy and its libraries; one that declares no types adds none.
        known: the types that every policy may name.
        problems: gets what is wrong.
    """
    declarations = _Declarations(known, problems)
    for document in documents:
        count = sum(map(_fields, document.value.get("types", {}).values()))
        if count > POLICY_PARTS:
            message = f"{count:,} types and fields, at most {POLICY_PARTS:,} are allowed"
            problems.append(Problem(message, document.place(("types",)), path=("types",), code="E002"))
            return known
        declarations.add(document)
    return declarations.resolve()


def _fields(value: object) -> int:
    """Count the types in a declaration: itself, and those of its fields, elements and values."""
    if not isinstance(value, dict):
        return 1
    inner = [*value.get("fields", {}).values(), *(value[key] for key in ("items", "values") if key in value)]
    return 1 + sum(map(_fields, inner))


def bounded(type_: Type, declared: Mapping[str, Any], path: Path, fail: Fail) -> Type:
    """Return a type with the `enum`, `minimum` and `maximum` that a declaration gives it.

    Args:
        type_: the type; the values of a wrapper are bounded.
        declared: the declaration.
        path: its path.
        fail: gets what is wrong.
    """
    if not declared.keys() & {"enum", "minimum", "maximum"}:
        return type_
    if type_.kind is Kind.WRAPPER:
        return t.wrapper_of(bounded(type_.element, declared, path, fail))
    found: dict[str, Any] = {}
    for key, allowed in (("enum", _LISTED), ("minimum", _ORDERED), ("maximum", _ORDERED)):
        if key not in declared:
            continue
        if type_ == t.DYN and declared.get("type") != t.DYN.name:
            continue  # its type is faulty, which is reported
        if type_ not in allowed:
            names = ", ".join(each.name for each in allowed)
            fail("E104", f"{key} of type '{type_}'", (*path, key), f"it is for {names}")
            continue
        plain = replace(type_, bounds=None)
        if key == "enum":
            values = [
                _fitting(each, plain, (*path, key, number), fail) for number, each in enumerate(declared[key])
            ]
            found[key] = tuple(value for value in values if value is not None)
            seen: set[object] = set()
            for number, value in enumerate(values):
                known = value in seen
                seen.add(value)
                if value is not None and known:
                    fail("E108", f"{value} is listed twice", (*path, key, number), None)
        else:
            found[key] = _fitting(declared[key], plain, (*path, key), fail)
    bounds = Bounds(**found)
    if type_.bounds is not None:
        bounds = bounds.narrowed(type_.bounds)
    least, most = bounds.minimum, bounds.maximum
    if least is not None and most is not None and least > most:
        key = "minimum" if "minimum" in declared else "maximum"
        fail("E104", f"minimum {least} is more than maximum {most}", (*path, key), "no value is allowed")
    return replace(type_, bounds=bounds)


def _fitting(value: object, type_: Type, path: Path, fail: Fail) -> Any:
    try:
        return coerce(value, type_, {}, path)
    except CoercionError as error:
        fail("E104", f"{_key(path)}: {error.message}", error.path, error.hint)
        return None


def _key(path: Path) -> str:
    return str(next(step for step in reversed(path) if isinstance(step, str)))


@record
class _Declared:
    """A type as a document declares it."""

    document: Document
    path: Path
    value: Mapping[str, Any]


class _Declarations:
    def __init__(self, known: SchemaTypes, problems: list[Problem]) -> None:
        self.known = known
        self.problems = problems
        self.declared: dict[str, _Declared] = {}
        self.named: dict[str, Type] = dict(known.named)
        self.objects: dict[str, ObjectType] = dict(known.objects)
        self.open: list[str] = []
        self.defaults: list[tuple[Json, Type, Document, Path]] = []

    def add(self, document: Document) -> None:
        """Note the types of a document; one that another declares alike is the same type."""
        for name, value in document.value.get("types", {}).items():
            path: Path = ("types", name)
            declared = _Declared(document, path, {"type": value} if isinstance(value, str) else value)
            other = self.declared.get(name)
            if re.fullmatch("[A-Z]", name):
                message = f"'{name}' is a type parameter: a type's name has more than one letter"
                self.problem("E108", message, declared, path, "give the type another name", key=True)
            elif name in self.known.named or name in _RESERVED:
                message = f"'{name}' is the name of another type"
                self.problem("E108", message, declared, path, "give the type another name", key=True)
            elif other is None:
                self.declared[name] = declared
            elif other.value != declared.value:
                place = other.document.place(other.path, key=True)
                message = f"type '{name}' is declared differently in {place.file}:{place.line}"
                self.problem("E108", message, declared, path, "give one of them another name", key=True)

    def problem(
        self, code: str, message: str, at: _Declared, path: Path, hint: str | None, *, key: bool = False
    ) -> None:
        place = at.document.place(path, key=key)
        self.problems.append(Problem(message, place, hint, path, code=code, at_key=key))

    def resolve(self) -> SchemaTypes:
        """Resolve all types, then check the defaults of their fields."""
        for name in self.declared:
            self.type_named(name)
        sizes: dict[tuple[str, str], int] = {}
        for value, type_, document, path in self.defaults:
            if _size(value, type_, self.objects, sizes) > MOST_DEFAULT_VALUES:
                message = f"default: it stands for more than {MOST_DEFAULT_VALUES:,} values"
                hint = "its fields have defaults of their own, which multiply"
                self.problems.append(Problem(message, document.place(path), hint, path, code="E104"))
                continue
            try:
                coerce(value, type_, self.objects, path)
            except CoercionError as error:
                place = document.place(error.path, key=error.at_key)
                message = f"default: {error.message}"
                self.problems.append(Problem(message, place, error.hint, error.path, code="E104"))
        return SchemaTypes(self.named, self.objects, {name: self.unit(name) for name in self.declared})

    def unit(self, name: object) -> str:
        """Return the unit of a declared type; empty if it has none, or nothing is declared."""
        declared = self.declared.get(name) if isinstance(name, str) else None
        return "" if declared is None else declared.value.get("unit", "")

    def type_named(self, name: str) -> Type:
        """Return the type of that name, resolved when it is first asked for."""
        if name in self.open:
            chain = " → ".join([*self.open[self.open.index(name) :], name])
            declared = self.declared[name]
            message = f"type '{name}' contains itself: {chain}"
            hint = "a value of it would have no end; declare the inner part as dyn"
            self.problem("E107", message, declared, declared.path, hint, key=True)
            return t.DYN
        if name not in self.named:
            declared = self.declared[name]
            if len(self.open) == TYPE_DEPTH:
                message = f"types nested deeper than {TYPE_DEPTH} levels"
                self.problem("E104", message, declared, declared.path, None, key=True)
                return t.DYN
            self.open.append(name)
            self.named[name] = self.form(declared.value, declared, declared.path, name)
            self.open.pop()
        return self.named[name]

    def form(self, value: Mapping[str, Any], at: _Declared, path: Path, name: str) -> Type:
        """Return the type that a declaration states in one of its forms; `name` is that of a record."""
        forms = [form for form in _FORMS if form in value]
        if len(forms) != 1:
            found = " and ".join(forms) or "none"
            message = f"a type is stated by one of {', '.join(_FORMS)}; found {found}"
            self.problem("E104", message, at, path, None, key=True)
            return t.DYN
        for key, form in (("keys", "values"), ("open", "fields")):
            if key in value and form not in value:
                self.problem("E104", f"'{key}' goes with '{form}'", at, (*path, key), None, key=True)
        if "fields" in value:
            type_ = self.record(value, at, path, name)
        elif "items" in value:
            type_ = t.list_of(self.part(value["items"], at, (*path, "items"), name))
        elif "values" in value:
            keys = self.parsed(value.get("keys", "string"), at, (*path, "keys"))
            if keys not in (t.STRING, t.INT, t.UINT, t.BOOL, t.DYN):
                message = f"map keys cannot be of type '{keys}'"
                self.problem("E104", message, at, (*path, "keys"), "use int, uint, bool or string")
            type_ = t.map_of(keys, self.part(value["values"], at, (*path, "values"), name))
        else:
            type_ = self.parsed(value["type"], at, (*path, "type"))

        def fail(code: str, message: str, place: Path, hint: str | None) -> None:
            self.problem(code, message, at, place, hint)

        return bounded(type_, value, path, fail)

    def record(self, value: Mapping[str, Any], at: _Declared, path: Path, name: str) -> Type:
        if name in self.objects or (name in self.declared and path != self.declared[name].path):
            message = f"the record would have the type {name}, which exists"
            self.problem("E108", message, at, path, "declare it under types, with another name", key=True)
            return t.DYN
        fields = {
            field: self.field(each, at, (*path, "fields", field), f"{name}{_camel(field)}")
            for field, each in value["fields"].items()
        }
        description = value.get("description", "")
        opened = value.get("open", False)
        self.objects[name] = ObjectType(name, fields, description, declared=True, open=opened)
        return t.object_type(name)

    def field(self, value: Any, at: _Declared, path: Path, name: str) -> Field:
        type_ = self.part(value, at, path, name)
        if isinstance(value, str):
            return Field(type_, unit=self.unit(value))
        default = value.get("default")
        if default is not None:
            self.defaults.append((default, type_, at.document, (*path, "default")))
        if value.get("optional", False) and default is None and type_.kind not in (Kind.WRAPPER, Kind.DYN):
            type_ = t.wrapper_of(type_)
        unit = value.get("unit", self.unit(value.get("type")))
        return Field(type_, value.get("description", ""), unit, default)

    def part(self, value: Any, at: _Declared, path: Path, name: str) -> Type:
        """Return the type of a field, an element or a map's value."""
        return self.parsed(value, at, path) if isinstance(value, str) else self.form(value, at, path, name)

    def parsed(self, text: str, at: _Declared, path: Path) -> Type:
        try:
            type_ = parse_type(text, _Named(self))
        except TypeSyntaxError as error:
            known = [*self.known.named, *self.declared, *t.PRIMITIVES, "list", "map", "dyn"]
            self.problem("E102", str(error), at, path, for_type(text, error.name, known))
            return t.DYN
        for inner in _inner(type_):
            if inner.kind is Kind.PARAMETER:
                self.problem("E102", f"'{inner.name}' is not a type", at, path, None)
                return t.DYN
            if inner.kind is Kind.OBJECT and inner.name in _UNREAD:
                message = f"type '{inner.name}' is for inputs, not for fields"
                self.problem("E104", message, at, path, "declare it as an input of its own")
                return t.DYN
        return type_


MOST_DEFAULT_VALUES = 1_000
"""Values for which a default may stand, those of the fields that it leaves out among them."""


def _size(
    value: object, type_: Type, objects: Mapping[str, ObjectType], sizes: dict[tuple[str, str], int]
) -> int:
    """Count the values that a default stands for; `sizes` has those of fields that were counted."""
    type_ = type_.exact
    if isinstance(value, list):
        element = type_.element if type_.kind is Kind.LIST else t.DYN
        return 1 + sum(_size(each, element, objects, sizes) for each in value)
    if not isinstance(value, dict):
        return 1
    if type_.kind is not Kind.OBJECT or type_.name not in objects:
        inner = type_.value if type_.kind is Kind.MAP else t.DYN
        return 1 + sum(_size(each, inner, objects, sizes) for each in value.values())
    total = 1
    for name, field in objects[type_.name].fields.items():
        key = type_.name, name
        if value.get(name) is not None:
            total += _size(value[name], field.type, objects, sizes)
        elif field.default is not None:
            if key not in sizes:
                sizes[key] = _size(field.default, field.type, objects, sizes)
            total += sizes[key]
    return total


def _inner(type_: Type) -> Iterator[Type]:
    """Yield a type and its parameters."""
    yield type_
    for parameter in type_.parameters:
        yield from _inner(parameter)


class _Named(Mapping[str, Type]):
    """The types by name, each resolved when it is looked up."""

    def __init__(self, declarations: _Declarations) -> None:
        self.declarations = declarations

    def __getitem__(self, name: str) -> Type:
        if name in self.declarations.declared:
            return self.declarations.type_named(name)
        return self.declarations.known.named[name]

    def __contains__(self, name: object) -> bool:
        return name in self.declarations.declared or name in self.declarations.known.named

    def __iter__(self) -> Iterator[str]:
        yield from {*self.declarations.declared, *self.declarations.known.named}

    def __len__(self) -> int:
        return sum(1 for _ in self)


def _camel(name: str) -> str:
    """Return a field's name as a part of a type's: `security_context` becomes `SecurityContext`."""
    return "".join(part[:1].upper() + part[1:] for part in name.split("_"))
