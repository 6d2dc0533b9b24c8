"""Catalogs: tables whose values are constants or expressions over what they describe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from engine.base.errors import Path, Place, PolicyError, Problem, is_near, near
from engine.base.memory import Same, recall
from engine.base.records import field, record
from engine.catalogs.schema_types import SchemaTypes
from engine.cel import celtypes as t
from engine.cel.celtypes import Field, Kind, ObjectType, Substitution, Type, TypeSyntaxError, parse_type
from engine.cel.checker import CelCheckError, Checked, Environment, check
from engine.cel.coercion import CoercionError, coerce
from engine.cel.hints import for_type
from engine.cel.parser import NOT_FIELDS
from engine.cel.values import Value
from engine.documents import Document

_ENTRY_KEYS = ("aliases", "fields", "variants")
"""What an entry has beside its columns."""
_ANOTHER_NAME = "give it another name: no expression could read it"


@record
class Computed:
    """A catalog value that is computed from the described value."""

    checked: Checked
    document: Document = field(repr=False)
    path: Path

    def place(self, offset: int | None = None) -> Place:
        """The place of a character of the expression."""
        return self.document.place_in_scalar(self.path, self.checked.root.start if offset is None else offset)


Cell = Value | Computed


@record
class Variants:
    """Columns that depend on a field of the described value."""

    by: str
    values: Mapping[str, Mapping[str, Cell]]


@record
class CatalogEntry:
    """One row; `fields` are what a described value of it must have."""

    name: str
    fields: tuple[str, ...]
    values: Mapping[str, Cell]
    variants: Variants | None = None


@record
class Identifies:
    """Values of a type whose field `by` has a name as makers write it; the entry's own goes into `into`."""

    type: str
    by: str
    into: str


@record
class Catalog:
    """A table: its columns' types, its rows, and which request values it describes."""

    name: str
    version: str
    description: str
    document: Document = field(repr=False)
    describes: str | None
    by: str | None
    fields: Mapping[str, Field]
    minimums: Mapping[str, int | float]
    columns: Mapping[str, Field]
    entries: Mapping[str, CatalogEntry]
    aliases: Mapping[str, str]
    identifies: Identifies | None = None

    def find(self, name: str) -> CatalogEntry | None:
        """The entry of that name or alias; case matters only where it tells entries apart."""
        if name in self.entries:
            return self.entries[name]
        key = self.aliases.get(name) or self.aliases.get(name.casefold())
        return None if key is None else self.entries[key]

    @property
    def names(self) -> set[str]:
        """Names and aliases, without those that differ from an entry's name by case alone."""
        folded = {name.casefold() for name in self.entries}
        return {*self.entries, *(alias for alias in self.aliases if alias.casefold() not in folded)}

    @property
    def table_columns(self) -> dict[str, Field]:
        """The columns that every entry gives as a constant: what `catalogs.NAME[key]` has as fields."""
        return {
            name: column
            for name, column in self.columns.items()
            if all(_is_constant(entry, name, column) for entry in self.entries.values())
        }

    @property
    def entry_type(self) -> ObjectType:
        """The type of `catalogs.NAME[key]`."""
        return recall("entry type", Same(self), self._entry_type)

    def _entry_type(self) -> ObjectType:
        words = "".join(part.capitalize() for part in self.name.replace("-", "_").split("_"))
        return ObjectType(f"{words}Entry", self.table_columns, f"An entry of catalog {self.name}.")

    def table(self) -> dict[str, dict[str, Value]]:
        """The value of `catalogs.NAME`."""
        columns = self.table_columns
        return {
            name: {column: entry.values.get(column) for column in columns}
            for name, entry in self.entries.items()
        }


def _is_constant(entry: CatalogEntry, name: str, column: Field) -> bool:
    varies = entry.variants is not None and any(name in row for row in entry.variants.values.values())
    given = name in entry.values or column.type.kind is Kind.WRAPPER
    return given and not varies and not isinstance(entry.values.get(name), Computed)


def _is_map(cell: Mapping[str, Any], type_: Type) -> bool:
    """Whether a mapping is a constant of a column of maps, not an expression that computes one."""
    kind = type_.element.kind if type_.kind is Kind.WRAPPER else type_.kind
    return kind is Kind.MAP and cell.keys() != {"expression"}


def compile_catalog(document: Document, types: SchemaTypes) -> Catalog:
    """The catalog in a document that keeps to its schema.

    Raises:
        PolicyError: every fault, each with its place.
    """
    return recall("catalog", Same(document), lambda: _compile(document, types))


def catalog_environment(document: Document, types: SchemaTypes) -> Environment:
    """Return what the expressions of a catalog's cells may read, for editors; the catalog may be faulty."""
    return _CatalogCompiler(document, types).compile_environment()


def _compile(document: Document, types: SchemaTypes) -> Catalog:
    compiler = _CatalogCompiler(document, types)
    catalog = compiler.compile()
    if compiler.problems:
        raise PolicyError(compiler.problems)
    return catalog


class _CatalogCompiler:
    def __init__(self, document: Document, types: SchemaTypes) -> None:
        self.document = document
        self.value: dict[str, Any] = document.value
        self.types = types
        self.problems: list[Problem] = []
        self.defaults: Mapping[str, Value] = {}
        """The values of columns that entries may leave out and that are not null there."""

    def problem(self, message: str, path: Path, hint: str | None = None, *, key: bool = False) -> None:
        place = self.document.place(path, key=key)
        self.problems.append(Problem(message, place, hint, path, code="E112"))

    def compile(self) -> Catalog:
        value = self.value
        describes = value.get("describes", {}).get("type")
        by = value.get("describes", {}).get("by")
        if describes is not None and describes not in self.types.named:
            self.problem(
                f"unknown type '{describes}'", ("describes", "type"), near(describes, self.types.named)
            )
            describes = None
        self.reserved()
        fields = {name: self.column(("fields", name), nullable=True) for name in value.get("fields", {})}
        columns = {name: self.column(("columns", name)) for name in value["columns"]}
        self.defaults = self.column_defaults(columns)
        environment = self.environment(describes, by, fields, columns)
        entries = {name: self.entry(name, fields, columns, environment) for name in value["entries"]}
        return Catalog(
            name=value["name"],
            version=value["version"],
            description=value.get("description", ""),
            document=self.document,
            describes=describes,
            by=by,
            fields=fields,
            minimums={
                name: column["minimum"]
                for name, column in self.value.get("fields", {}).items()
                if "minimum" in column
            },
            columns=columns,
            entries=entries,
            aliases=self.aliases(),
            identifies=self.identifies(),
        )

    def compile_environment(self) -> Environment:
        """Return what the expressions of cells may read."""
        describes = self.value.get("describes", {})
        fields = {name: self.column(("fields", name), nullable=True) for name in self.value.get("fields", {})}
        return self.environment(describes.get("type"), describes.get("by"), fields, {})

    def reserved(self) -> None:
        """Note names that couldn't be read, or that mean something else in an entry."""
        if self.value["name"] in NOT_FIELDS:
            self.problem(f"'{self.value['name']}' is a reserved word of CEL", ("name",), _ANOTHER_NAME)
        for section in ("fields", "columns"):
            for name in self.value.get(section, {}):
                if name in NOT_FIELDS:
                    message = f"'{name}' is a reserved word of CEL"
                    self.problem(message, (section, name), _ANOTHER_NAME, key=True)
        for name in _ENTRY_KEYS:
            if name in self.value["columns"]:
                message = f"'{name}' means something else in an entry"
                self.problem(message, ("columns", name), "give it another name", key=True)

    def identifies(self) -> Identifies | None:
        """What is found by name; its two fields must be text that may be missing."""
        if "identifies" not in self.value:
            return None
        given = self.value["identifies"]
        type_name = given["type"]
        fields = self.types.objects[type_name].fields if type_name in self.types.objects else {}
        if not fields:
            self.problem(
                f"unknown type '{type_name}'", ("identifies", "type"), near(type_name, self.types.objects)
            )
        for key in ("by", "as"):
            field_ = fields.get(given[key])
            if fields and (field_ is None or field_.type != t.wrapper_of(t.STRING)):
                message = f"{type_name} has no field '{given[key]}' of text that may be missing"
                self.problem(message, ("identifies", key), near(given[key], fields))
        return Identifies(type_name, given["by"], given["as"])

    def environment(
        self, describes: str | None, by: str | None, fields: Mapping[str, Field], columns: Mapping[str, Field]
    ) -> Environment:
        """What a computed value may read: the described value with its own fields."""
        if describes is None or describes not in self.types.objects:
            if by is not None and describes is None:
                self.problem("only a type with fields is described by one", ("describes", "by"))
            return Environment()
        described = self.types.objects[describes]
        if by is None or by not in described.fields:
            self.problem(
                f"{describes} needs the field that names its entry"
                if by is None
                else f"{describes} has no field '{by}'",
                ("describes",) if by is None else ("describes", "by"),
                near(by or "", described.fields),
            )
        for section, names in (("fields", fields), ("columns", columns)):
            for name in names:
                if name in described.fields or (section == "columns" and name in fields):
                    self.problem(f"{describes} has a field '{name}' already", (section, name), key=True)
        own = described.with_fields(fields)
        return Environment(
            {describes.lower(): t.object_type(describes)}, {**self.types.objects, describes: own}
        )

    def column(self, path: Path, *, nullable: bool = False) -> Field:
        section, name = path
        column = self.value[str(section)][name]
        try:
            type_ = parse_type(column["type"])
        except TypeSyntaxError as error:
            self.problem(str(error), (*path, "type"), for_type(column["type"], error.name, t.PRIMITIVES))
            return Field(t.DYN)
        if nullable or column.get("optional", False):
            type_ = t.wrapper_of(type_)
        return Field(type_, column.get("description", ""), column.get("unit", ""))

    def column_defaults(self, columns: Mapping[str, Field]) -> dict[str, Value]:
        """The constants that stand for what entries leave out."""
        defaults: dict[str, Value] = {}
        for name, column in self.value["columns"].items():
            if "default" not in column:
                continue
            if column.get("optional", False):
                hint = "an entry may leave out a column that has a default: drop 'optional'"
                self.problem(
                    f"column '{name}' is optional and has a default", ("columns", name), hint, key=True
                )
            defaults[name] = self.constant(
                column["default"], ("columns", name, "default"), columns[name].type
            )
        return defaults

    def entry(
        self, name: str, fields: Mapping[str, Field], columns: Mapping[str, Field], environment: Environment
    ) -> CatalogEntry:
        path: Path = ("entries", name)
        entry: dict[str, Any] = self.value["entries"][name]
        own_fields = tuple(entry.get("fields", ()))
        known = {
            *fields,
            *(field for o in environment.variables.values() for field in environment.objects[o.name].fields),
        }
        for position, field_name in enumerate(own_fields):
            if field_name not in known:
                self.problem(
                    f"unknown field '{field_name}'", (*path, "fields", position), near(field_name, known)
                )
        row = self.row(entry, path, columns, environment, skip=_ENTRY_KEYS)
        values = {**self.defaults, **row}
        variants = self.variants(entry, path, columns, environment)
        lacking = [
            each
            for each, column in columns.items()
            if each not in entry and each not in self.defaults and column.type.kind is not Kind.WRAPPER
        ]
        if variants:
            rows = variants.values.values()
            lacking = [each for each in lacking if not all(each in row for row in rows)]
        unknown = [each for each in entry if each not in columns and each not in _ENTRY_KEYS]
        misspelt = {each for key in unknown for each in lacking if is_near(key, each)}
        lacking = [each for each in lacking if each not in misspelt]
        if lacking:
            self.lacks(name, lacking, columns, path)
        return CatalogEntry(name, own_fields, values, variants)

    def lacks(self, name: str, lacking: Sequence[str], columns: Mapping[str, Field], path: Path) -> None:
        """Report an entry without columns that each has; a misspelt name is a new entry, too."""
        others = (each for each in self.value["entries"] if each != name)
        close = near(name, others) if len(lacking) > 1 else None
        hint = columns[lacking[0]].description or None
        if close is not None and close.startswith("did you mean"):
            hint = f"a new entry? Or {close}"
        elif len(lacking) > 1:
            hint = None
        self.problem(f"entry '{name}' has no {', '.join(lacking)}", path, hint, key=True)

    def variants(
        self, entry: dict[str, Any], path: Path, columns: Mapping[str, Field], environment: Environment
    ) -> Variants | None:
        if "variants" not in entry:
            return None
        variants = entry["variants"]
        by = variants["by"]
        if by not in entry.get("fields", ()):
            self.problem(
                f"variants by '{by}', which is not among the entry's fields", (*path, "variants", "by")
            )
        rows = {
            value: self.row(row, (*path, "variants", "values", value), columns, environment)
            for value, row in variants["values"].items()
        }
        return Variants(by, rows)

    def row(
        self,
        row: dict[str, Any],
        path: Path,
        columns: Mapping[str, Field],
        environment: Environment,
        skip: tuple[str, ...] = (),
    ) -> dict[str, Cell]:
        values: dict[str, Cell] = {}
        for name, cell in row.items():
            if name in skip:
                continue
            if name not in columns:
                self.problem(
                    f"unknown column '{name}'", (*path, name), near(name, [*columns, *skip]), key=True
                )
            elif isinstance(cell, dict) and not _is_map(cell, columns[name].type):
                computed = self.computed(cell, (*path, name), columns[name].type, environment)
                if computed is not None:
                    values[name] = computed
            else:
                values[name] = self.constant(cell, (*path, name), columns[name].type)
        return values

    def constant(self, cell: Any, path: Path, type_: Type) -> Value:
        try:
            return coerce(cell, type_, {})
        except CoercionError as error:
            self.problem(f"{path[-1]}: {error.message}", (*path, *error.path), error.hint)
            return None

    def computed(
        self, cell: dict[str, Any], path: Path, type_: Type, environment: Environment
    ) -> Computed | None:
        text = cell.get("expression")
        if set(cell) != {"expression"} or not isinstance(text, str):
            self.problem(f"{path[-1]}: expected a value or {{expression: …}}", path)
            return None
        path = (*path, "expression")
        try:
            checked = check(text, environment)
        except CelCheckError as error:
            for fault in error.faults:
                place = self.document.place_in_scalar(path, fault.offset)
                self.problems.append(Problem(fault.message, place, fault.hint, path, code=fault.code))
            return None
        if not Substitution().assignable(checked.type, type_):
            self.problem(f"{path[-2]} is of type '{type_}', the expression gives '{checked.type}'", path)
            return None
        return Computed(checked, self.document, path)

    def aliases(self) -> dict[str, str]:
        """Aliases, and names and aliases in small letters, where they mean one entry only."""
        exact: dict[str, str] = {}
        folded: dict[str, set[str]] = {}
        for name, entry in self.value["entries"].items():
            for position, alias in enumerate(entry.get("aliases", ())):
                owner = exact.setdefault(alias, name)
                if owner != name or (alias in self.value["entries"] and alias != name):
                    self.problem(f"'{alias}' names two entries", ("entries", name, "aliases", position))
            for known in (name, *entry.get("aliases", ())):
                folded.setdefault(known.casefold(), set()).add(name)
        return {**{key: min(names) for key, names in folded.items() if len(names) == 1}, **exact}
