"""Compile the declarations of a policy: catalogs, inputs and constants."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from engine.base.errors import EngineError, Path, PolicyError, Problem
from engine.base.records import replace
from engine.catalogs.catalog import Catalog, compile_catalog
from engine.catalogs.schema_types import schema_types
from engine.catalogs.store import RESERVED_NAMES
from engine.cel import celtypes as t
from engine.cel import hints
from engine.cel.celtypes import Field, ObjectType, Substitution, Type, TypeSyntaxError, parse_type
from engine.cel.checker import TYPE_NAMES
from engine.cel.coercion import CoercionError, coerce
from engine.cel.limits import POLICY_LENGTH, POLICY_PARTS
from engine.cel.parser import NOT_FIELDS, RESERVED
from engine.documents import Document
from engine.policy.compiled import (
    CompiledPolicy,
    Constant,
    Input,
)
from engine.policy.constants import inferred_type, untyped
from engine.policy.declared_types import bounded
from engine.policy.expressions import ExpressionCompiler

if TYPE_CHECKING:
    from engine.base.jsontypes import Json
    from engine.cel.values import Value
    from engine.policy.dicts import InputDict, RuleDict

_NAMESPACES = ("variables", "constants", "catalogs")
_READ_TYPES = ("Inventory", "Model")
"""Types that requests describe in other words than expressions read."""


class DeclarationCompiler(ExpressionCompiler, ABC):
    """Compiles what expressions may read: catalogs, inputs and constants."""

    type_prefix = ""
    """What the names of the types of tables begin with: a library's alias."""

    def bounded(self) -> None:
        """Reject a policy that would take too long to compile.

        Raises:
            PolicyError: it has too many parts, or its expressions are too long together.
        """
        parts, characters = _counts(self.value["rule"])
        parts["inputs"] = len(self.value.get("inputs", ()))
        parts["catalogs"] = len(self.value.get("catalogs", ()))
        parts["constants"] = len(self.value.get("constants", ()))
        for name, count in parts.items():
            if count > POLICY_PARTS:
                path: Path = (name,) if name in self.value else ("rule",)
                message = f"{count:,} {name}, at most {POLICY_PARTS:,} are allowed"
                raise PolicyError(Problem(message, self.document.place(path), path=path, code="E002"))
        if characters > POLICY_LENGTH:
            message = (
                f"expressions of {characters:,} characters together, at most {POLICY_LENGTH:,} are allowed"
            )
            raise PolicyError(Problem(message, self.document.place(("rule",)), path=("rule",), code="E002"))

    def named(self) -> None:
        """Report a name whose folder holds documents of another kind: no reference finds the policy."""
        name = self.value["name"]
        if name in RESERVED_NAMES:
            message = f"'{name}' is a reserved name: the folder {name}/ holds documents of another kind"
            self.problem("E108", message, ("name",), "give the policy another name")

    def catalogs(self) -> dict[str, Catalog]:
        catalogs: dict[str, Catalog] = {}
        for position, reference in enumerate(self.value.get("catalogs", ())):
            path: Path = ("catalogs", position)
            try:
                entry = self.store.find("catalog", reference)
                catalog = compile_catalog(self.store.catalog(entry), schema_types())
            except EngineError as error:
                # A fault inside the catalog has a place of its own; a missing catalog is this line's fault.
                self.problems += [
                    problem.at(self.document.place(path)).coded("E112") for problem in error.problems
                ]
                continue
            if catalog.name in catalogs:
                self.problem("E108", f"catalog '{catalog.name}' is listed twice", path)
            catalogs[catalog.name] = catalog
        return catalogs

    def distinct_entry_types(self, catalogs: Iterable[Catalog]) -> None:
        """Catalogs whose names differ by `-` and `_` alone would share the type of their entries."""
        owners: dict[str, str] = {}
        for catalog in catalogs:
            type_name = catalog.entry_type.name
            if type_name in self.types.objects:
                message = (
                    f"entries of the catalog '{catalog.name}' would have the type {type_name}, which exists"
                )
                self.problem("E108", message, ("types", type_name), "give the type another name", key=True)
            owner = owners.setdefault(type_name, catalog.name)
            if owner != catalog.name:
                self.problem(
                    "E108",
                    f"entries of the catalogs '{owner}' and '{catalog.name}' would both have the type "
                    f"{type_name}",
                    ("catalogs",),
                    "rename one of them",
                )

    def objects(self, catalogs: Iterable[Catalog]) -> dict[str, ObjectType]:
        objects = dict(self.types.objects)
        for catalog in catalogs:
            objects[catalog.entry_type.name] = catalog.entry_type
            if catalog.describes is None or catalog.describes not in objects:
                continue
            described = objects[catalog.describes]
            added: dict[str, Field] = {**catalog.fields, **catalog.columns}
            for name in added.keys() & (
                described.fields.keys() - self.types.objects[described.name].fields.keys()
            ):
                self.problem("E112", f"two catalogs give {described.name} a field '{name}'", ("catalogs",))
            objects[catalog.describes] = described.with_fields(added)
        return objects

    def inputs(self, objects: Mapping[str, ObjectType]) -> dict[str, Input]:
        inputs: dict[str, Input] = {}
        for position, declared in enumerate(self.value.get("inputs", ())):
            path: Path = ("inputs", position)
            name = declared["name"]
            if name in inputs:
                self.problem("E108", f"input '{name}' is declared twice", (*path, "name"))
            if name in RESERVED:
                self.reserved(name, (*path, "name"))
            elif name == "candidate" and _searches(self.value.get("rule", {"match": ()})):
                message = "'candidate' means the candidate of the search in expressions"
                self.problem("E108", message, (*path, "name"), "give it another name")
            elif name in (*_NAMESPACES, *self.types.named, *objects, *TYPE_NAMES, t.DYN.name):
                message = f"'{name}' means something else in expressions"
                self.problem("E108", message, (*path, "name"), "give it another name")
            type_ = bounded(self.input_type(declared["type"], (*path, "type")), declared, path, self.problem)
            description = declared.get("description", "")
            default = self.default(declared, type_, objects, (*path, "default"))
            optional = declared.get("optional", False)
            if optional and default is None:
                type_ = self.nullable(type_, declared["type"], (*path, "optional"))
            unit = declared.get("unit", self.types.units.get(declared["type"], ""))
            inputs[name] = Input(name, type_, declared["type"], description, optional, default, unit=unit)
        for position, declared in enumerate(self.value.get("inputs", ())):
            if "auto" in declared:
                name = declared["name"]
                chooser = self.chooser(inputs, name, declared["auto"], ("inputs", position, "auto"))
                inputs[name] = replace(inputs[name], auto=chooser)
        return inputs

    def default(
        self, declared: InputDict, type_: Type, objects: Mapping[str, ObjectType], path: Path
    ) -> Json:
        """Return the value of an input that requests may leave out, as they would write it."""
        value = declared.get("default")
        if value is None or declared["type"] in _READ_TYPES:
            if value is not None:
                self.problem("E104", f"an input of type '{declared['type']}' has no default", path)
            return None
        try:
            coerce(value, type_, objects)
        except CoercionError as error:
            self.problem("E104", f"default: {error.message}", (*path, *error.path), error.hint)
            return None
        return value

    def nullable(self, type_: Type, type_name: str, path: Path) -> Type:
        """Return the type of an input that requests may leave out.

        It is then null; a record is empty if all of its fields may be absent.
        """
        if type_name in _READ_TYPES:
            message = f"input of type '{type_name}' cannot be optional: it has non-nullable fields"
            self.problem("E104", message, path)
        if type_.kind in (t.Kind.DYN, t.Kind.WRAPPER) or self.may_be_empty(type_):
            return type_
        return t.wrapper_of(type_)

    def may_be_empty(self, type_: Type) -> bool:
        """Return True for a record whose fields may all be absent."""
        object_type = self.types.objects.get(type_.name) if type_.kind is t.Kind.OBJECT else None
        return object_type is not None and all(
            field.type.kind is t.Kind.WRAPPER or field.default is not None
            for field in object_type.fields.values()
        )

    def chooser(
        self, inputs: Mapping[str, Input], name: str, reference: str, path: Path
    ) -> CompiledPolicy | None:
        """Compile the policy that chooses an input: its output must have the input's type."""
        try:
            entry = self.store.find("policy", reference)
            if (entry.name, entry.version) in self.asking:
                raise PolicyError(f"policy {entry.name}@{entry.version} would choose for itself")
            chooser = self.compile_chooser(self.store.read(entry))
        except EngineError as error:
            self.problems += [
                problem.at(self.document.place(path)).coded("E113") for problem in error.problems
            ]
            return None
        known = {other.name: other.type for other in inputs.values() if other.name != name}
        lacking = [
            need.name
            for need in chooser.inputs.values()
            if known.get(need.name) != need.type and not (need.optional and need.name not in known)
        ]
        if lacking:
            self.problem(
                "E113",
                f"policy {reference} reads {lacking[0]}, which this policy lacks or types otherwise",
                path,
            )
        wanted = inputs[name].type
        if chooser.output_type is None or not Substitution().assignable(chooser.output_type, wanted):
            found = f"'{chooser.output_type}'" if chooser.output_type else "a plan"
            self.problem(
                "E113", f"auto: expected a policy that gives '{wanted}', {reference} gives {found}", path
            )
        return chooser

    @abstractmethod
    def compile_chooser(self, document: Document) -> CompiledPolicy:
        """Compile a policy that chooses an input of this one."""

    def input_type(self, text: str, path: Path, named: Mapping[str, Type] | None = None) -> Type:
        """Return the type that a text states; `named` are those that have names, all if it is left out."""
        names = self.types.named if named is None else named
        try:
            type_ = parse_type(text, names)
        except TypeSyntaxError as error:
            known = [*names, *t.PRIMITIVES, "list", "map", "dyn"]
            self.problem("E102", str(error), path, hints.for_type(text, error.name, known))
            return t.DYN
        if _has_parameter(type_):
            self.problem(
                "E104", f"'{text}' is not a type", path, "type parameters are for function signatures"
            )
            return t.DYN
        inner = _only_inside(type_)
        if inner is not None:
            hint = "write the type of the value, and optional: true" if inner == "optional_type" else None
            self.problem("E104", f"values of type '{inner}' exist only inside expressions", path, hint)
            return t.DYN
        return type_

    def constants(self) -> dict[str, Constant]:
        constants: dict[str, Constant] = {}
        for name, entry in self.value.get("constants", {}).items():
            if name in NOT_FIELDS:
                self.reserved(name, ("constants", name), key=True)
            if "table" in entry and "type" in entry:
                message = f"constants.{name} is a table: its columns have the types"
                self.problem("E002", message, ("constants", name, "type"), "leave out its type", key=True)
            if "table" in entry and "value" not in entry:
                constants[name] = self.table(name, entry)
                continue
            if "value" not in entry or "table" in entry:
                if "value" in entry:
                    message, hint = f"constants.{name} has a value or a table, found both", None
                else:
                    message = f"constants.{name} has no field 'value'"
                    hint = "The value; the notation of a number determines its type. Or a table."
                self.problem("E002", message, ("constants", name), hint)
                continue
            value, type_ = self.constant(name, entry)
            constants[name] = Constant(
                name, value, type_, entry.get("unit", ""), entry.get("description", "")
            )
        return constants

    def constant(self, name: str, entry: Mapping[str, Any]) -> tuple[Value, Type]:
        """Return the value of a constant, and its type: the one it states, or that of its notation."""
        value: Value = entry["value"]
        path: Path = ("constants", name, "value")
        if "type" not in entry:
            inferred = inferred_type(value)
            if inferred is None:
                message, hint = untyped(value)
                self.problem("E104", f"constant '{name}': {message}", path, hint)
            return value, inferred or t.DYN
        faults = len(self.problems)
        type_ = self.input_type(entry["type"], ("constants", name, "type"), {})
        if len(self.problems) > faults:
            return value, t.DYN
        try:
            return coerce(value, type_, {}), type_
        except CoercionError as error:
            self.problem(
                "E104",
                f"constant '{name}': {error.message}",
                (*path, *error.path),
                error.hint,
                key=error.at_key,
            )
            return value, t.DYN

    def table(self, name: str, entry: dict[str, Any]) -> Constant:
        """Compile a table of constants: a list of objects of a type of its own."""
        path: Path = ("constants", name, "table")
        columns = {
            column: self.column(column, (*path, "columns", column)) for column in entry["table"]["columns"]
        }
        type_name = f"{self.type_prefix}{_camel(name)}Row"
        self.row_types[type_name] = ObjectType(type_name, columns, f"A row of constants.{name}.")
        rows: list[dict[str, Any]] = []
        for number, cells in enumerate(entry["table"]["rows"]):
            own: Path = (*path, "rows", number)
            if len(cells) != len(columns):
                expected = f"{len(columns)} cells ({', '.join(columns)})"
                found = "1 cell" if len(cells) == 1 else f"{len(cells)} cells"
                self.problem("E104", f"row {number + 1} has {found}, expected {expected}", own)
                continue
            row: dict[str, Any] = {}
            for position, (column, field_) in enumerate(columns.items()):
                try:
                    row[column] = coerce(cells[position], field_.type, {})
                except CoercionError as error:
                    self.problem("E104", f"{column}: {error.message}", (*own, position), error.hint)
            rows.append(row)
        type_ = t.list_of(t.object_type(type_name))
        return Constant(name, rows, type_, entry.get("unit", ""), entry.get("description", ""))

    def column(self, name: str, path: Path) -> Field:
        """Return the field that a column of a table becomes."""
        declared = self.at(path)
        if name in NOT_FIELDS:
            self.reserved(name, path, key=True)
        try:
            type_ = parse_type(declared["type"])
        except TypeSyntaxError as error:
            hint = hints.for_type(declared["type"], error.name, t.PRIMITIVES)
            self.problem("E102", str(error), (*path, "type"), hint)
            return Field(t.DYN)
        if declared.get("optional", False):
            type_ = t.wrapper_of(type_)
        return Field(type_, declared.get("description", ""), declared.get("unit", ""))


def _camel(name: str) -> str:
    """Return a name as the name of a type: `typical_shapes` becomes `TypicalShapes`."""
    return "".join(part[:1].upper() + part[1:] for part in name.split("_"))


def _searches(rule: RuleDict) -> bool:
    """Return True if a match of a rule, or of one nested in it, searches."""
    return any(
        "candidate" in match.get("plan", {}) or ("rule" in match and _searches(match["rule"]))
        for match in rule["match"]
    )


def _counts(rule: RuleDict) -> tuple[dict[str, int], int]:
    """The variables and matches of a rule, nested ones too, and the characters of all expressions in it."""
    parts = {"variables": 0, "matches": 0}
    characters = 0
    waiting: list[object] = [rule]
    while waiting:
        each = waiting.pop()
        if isinstance(each, str):
            characters += len(each)
        elif isinstance(each, dict):
            parts["variables"] += len(each.get("variables", ()))
            parts["matches"] += len(each.get("match", ()))
            waiting += [value for key, value in each.items() if key not in ("description", "id", "name")]
        elif isinstance(each, list):
            waiting += each
    return parts, characters


def _only_inside(type_: Type) -> str | None:
    """Return the name of a type in a type whose values no request can hold, if there is one."""
    if type_.kind in (t.Kind.OPTIONAL, t.Kind.OPAQUE, t.Kind.TYPE):
        return type_.name
    return next(filter(None, map(_only_inside, type_.parameters)), None)


def _has_parameter(type_: Type) -> bool:
    return type_.kind is t.Kind.PARAMETER or any(map(_has_parameter, type_.parameters))
