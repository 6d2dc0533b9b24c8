"""Units of a policy's expressions: mixes, declared units that are wrong, and how much is known."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Hashable, Iterator, Mapping
from fractions import Fraction
from functools import partial
from math import isfinite
from types import MappingProxyType

from engine.base.errors import Path, Problem
from engine.base.memory import Same, memory, recall
from engine.base.records import field, record
from engine.catalogs import Catalog, Computed
from engine.cel import Checked
from engine.cel import celtypes as t
from engine.cel import syntax as ast
from engine.cel.celtypes import Field
from engine.documents import Document
from engine.policy.compiled import (
    CompiledMatch,
    CompiledPolicy,
    CompiledRule,
    CompiledSearch,
    CompiledTable,
    CompiledVariable,
    Constant,
    Expression,
)
from engine.policy.signature import BuilderSignature, Parameter
from engine.policy.units.infer import Inference, Names, is_number, written
from engine.policy.units.measure import Known, of_unit
from engine.policy.units.table import UnitError, UnitTable
from engine.policy.units.unit import Unit

MIXED = "W230"
DECLARED = "W231"
UNKNOWN = "W232"
_NUMERIC = re.compile(r"\b(?:int|uint|double)\b")
_NAMES_OF_ROWS = ("id", "explanation", "description")
"""Columns of a decision table that are no results."""


@record
class UnitReport:
    """What the units of a policy are like.

    `total` counts the numbers that its expressions compute or read, literals left out; `known` those whose
    unit is known. `unknown` counts the others by what has no unit.
    """

    problems: tuple[Problem, ...]
    total: int = 0
    known: int = 0
    unknown: Mapping[str, int] = field(default_factory=dict)

    def to_dict(self) -> dict[str, object]:
        """Return the JSON form, without the problems."""
        return {"total": self.total, "known": self.known, "unknown": dict(self.unknown)}


def policy_units(
    policy: CompiledPolicy, table: UnitTable, builders: Mapping[str, BuilderSignature]
) -> UnitReport:
    """Infer the units of all expressions of a policy.

    Args:
        policy: the policy, which may lack faulty expressions.
        table: the units that it may name.
        builders: the builders whose arguments and results have units.
    """
    return _PolicyUnits(policy, table, builders).report()


def catalog_units(catalog: Catalog, table: UnitTable) -> Iterator[Problem]:
    """Yield the units of columns that are none, and the cells that are computed in another unit."""
    for section, columns in (("fields", catalog.fields), ("columns", catalog.columns)):
        for name, column in columns.items():
            yield from _column_problems(catalog.document, (section, name, "unit"), column, table)
    for entry in catalog.entries.values():
        rows = [entry.values, *(entry.variants.values.values() if entry.variants else ())]
        for row in rows:
            for name, cell in row.items():
                if isinstance(cell, Computed):
                    yield from _cell_problems(cell, name, catalog.columns[name], table)


def _cell_problems(cell: Computed, name: str, column: Field, table: UnitTable) -> Iterator[Problem]:
    inference = Inference(cell.checked, lambda _: None, table)
    measure = inference.run()
    mixes = len(inference.mixes)
    unit = table.find(column.unit) if is_number(column.type) else None
    if unit is not None:
        inference.declared(measure, unit, f"column {name}")
    for number, mix in enumerate(inference.mixes):
        code = MIXED if number < mixes else DECLARED
        yield Problem(mix.message, cell.place(mix.node.position), mix.hint, cell.path, code=code)


def _column_problems(document: Document, path: Path, column: Field, table: UnitTable) -> Iterator[Problem]:
    if column.unit and is_number(column.type):
        yield from _unit_problems(document, path, column.unit, table)


def _unit_problems(document: Document, path: Path, text: str, table: UnitTable) -> Iterator[Problem]:
    """Yield the fault of a text that is no unit."""
    try:
        table.parse(text)
    except UnitError as error:
        place = document.place_in_scalar(path, error.offset)
        yield Problem(error.message, place, error.hint, path, code=UNKNOWN)


@record(eq=False)
class _Scope:
    """The variables that an expression may read, and those outside."""

    variables: Mapping[str, CompiledVariable]
    outer: _Scope | None = None

    def find(self, name: str) -> tuple[CompiledVariable, _Scope] | None:
        scope: _Scope | None = self
        while scope is not None:
            if name in scope.variables:
                return scope.variables[name], scope
            scope = scope.outer
        return None


class _PolicyUnits:
    def __init__(
        self, policy: CompiledPolicy, table: UnitTable, builders: Mapping[str, BuilderSignature]
    ) -> None:
        self.policy = policy
        self.table = table
        self.builders = builders
        self.problems: list[Problem] = []
        self.total = 0
        self.known = 0
        self.unknown: Counter[str] = Counter()
        self.known_variables: dict[int, Known] = {}
        """By the identity of their expressions; None while one is being inferred."""
        self.begun: set[int] = set()
        self.globals: dict[str, Known] = {
            f"constants.{name}": self.declared(each.unit, each.type)
            for name, each in policy.constants.items()
        }
        self.globals |= {name: self.declared(each.unit, each.type) for name, each in policy.inputs.items()}

    def report(self) -> UnitReport:
        self.declarations()
        self.rule(self.policy.rule, None)
        unknown = dict(self.unknown.most_common())
        return UnitReport(tuple(self.problems), self.total, self.known, unknown)

    # --- declarations -------------------------------------------------------------------------------------

    def declared(self, text: str, type_: t.Type) -> Known:
        """Return the measure that a declaration states."""
        unit = self.table.find(text) if is_number(type_) else None
        return None if unit is None else of_unit(unit)

    def declarations(self) -> None:
        """Report units of constants and inputs that are none."""
        for name, constant in self.policy.constants.items():
            self.constant(name, constant)
        document = self.policy.document
        for position, declared in enumerate(document.value.get("inputs", ())):
            path: Path = ("inputs", position, "unit")
            input_ = self.policy.inputs.get(declared["name"])
            if input_ is not None and "unit" in declared and is_number(input_.type):
                self.problems += _unit_problems(document, path, declared["unit"], self.table)
        for name, form in document.value.get("types", {}).items():
            for path, text in _units_of_type(form, ("types", name)):
                self.problems += _unit_problems(document, path, text, self.table)

    def constant(self, name: str, constant: Constant) -> None:
        document, path = self.policy.constant_origin(name)
        if constant.unit and is_number(constant.type) and path[:1] == ("constants",):
            self.problems += _unit_problems(document, (*path, "unit"), constant.unit, self.table)
            self.problems += self.turned_around(name, constant, document, path)
        row = constant.type.element if constant.type.kind is t.Kind.LIST else None
        if row is None or row.kind is not t.Kind.OBJECT or row.name not in self.policy.objects:
            return
        for column, declared in self.policy.objects[row.name].fields.items():
            own: Path = (*path, "table", "columns", column, "unit")
            self.problems += _column_problems(document, own, declared, self.table)

    def turned_around(
        self, name: str, constant: Constant, document: Document, path: Path
    ) -> Iterator[Problem]:
        """Yield the fault of a conversion with the value of its inverse: 8.0 GB/Gbit."""
        unit, value = self.table.find(constant.unit), constant.value
        if unit is None or unit.dimension or unit.counts or unit.item or unit.scale == 1:
            return
        if not isinstance(value, (int, float)) or not isfinite(value) or Fraction(repr(value)) != unit.scale:
            return
        place = document.place((*path, "value"))
        message = f"constant '{name}' converts the other way around: {value} {constant.unit}"
        hint = f"the value in this unit is {written(1 / unit.scale, whole=isinstance(value, int))}"
        yield Problem(message, place, hint, (*path, "value"), code=DECLARED)

    # --- rules --------------------------------------------------------------------------------------------

    def rule(self, rule: CompiledRule, outer: _Scope | None) -> None:
        scope = _Scope(rule.variables, outer)
        for variable in rule.variables.values():
            self.variable(variable, scope)
        results = {} if rule.table is None else self.table_results(rule.table)
        for match in rule.matches:
            self.match(match, scope, results)

    def table_results(self, table: CompiledTable) -> dict[str, Unit | None]:
        """Return the units of a decision table's results, and report units of columns that are none."""
        results: dict[str, Unit | None] = {}
        document = self.policy.document
        for name, column in document.at(table.path)["columns"].items():
            text = column.get("unit", "")
            if text and "input" not in column:
                self.problems += _unit_problems(
                    document, (*table.path, "columns", name, "unit"), text, self.table
                )
            if "input" not in column and name not in _NAMES_OF_ROWS:
                results[name] = self.table.find(text)
        return results

    def match(self, match: CompiledMatch, scope: _Scope, results: Mapping[str, Unit | None]) -> None:
        inner = scope
        signature = self.builders.get(match.builder or "")
        if match.search is not None:
            inner = _Scope(match.search.rule.variables, scope)
        self.expression(match.condition, scope)
        for name, argument in match.arguments.items():
            parameter = None if signature is None else signature.parameters.get(name)
            self.expression(argument, scope, parameter, f"argument '{name}' of builder {match.builder}")
        if match.output is not None:
            only, unit = next(iter(results.items())) if len(results) == 1 else ("", None)
            parts = {name: each for name, each in results.items() if each is not None and not only}
            self.infer(match.output, scope, unit, f"column '{only}'", parts=parts)
        if match.search is not None:
            self.search(match.search, scope, signature)
        self.expression(match.explanation, inner)
        if match.rule is not None:
            self.rule(match.rule, scope)

    def search(self, search: CompiledSearch, outer: _Scope, signature: BuilderSignature | None) -> None:
        self.rule(search.rule, outer)
        scope = _Scope(search.rule.variables, outer)
        for score in search.scores:
            self.infer(score.expression, scope, None, "", score=True)
        for name, result in search.results.items():
            parameter = None if signature is None else signature.results.get(name)
            self.expression(result, scope, parameter, f"result '{name}'")
        for remedy in search.remedies:
            self.expression(remedy.values, outer, self.changed(remedy.change), f"change of {remedy.change}")

    def changed(self, path: str) -> Parameter | None:
        """Return what a remedy changes: a field of the serving goals."""
        goals, _, name = path.partition(".")
        type_ = self.policy.objects.get(goals.capitalize())
        field_ = None if type_ is None else type_.fields.get(name)
        return None if field_ is None else Parameter("", "", unit=field_.unit)

    # --- expressions --------------------------------------------------------------------------------------

    def variable(self, variable: CompiledVariable, scope: _Scope) -> Known:
        """Return a variable's measure: what it declares, or what its expression gives.

        What a variable reads is inferred before it, so that a chain of variables needs no deep recursion.
        """
        stack = [(variable, scope)]
        while stack:
            current, own = stack.pop()
            key = id(current.expression)
            if key not in self.known_variables:
                self.known_variables[key] = None
                stack.append((current, own))
                stack += self.unknown_reads(current, own)
            elif key not in self.begun:
                self.begun.add(key)
                self.known_variables[key] = self.infer_variable(current, own)
        return self.known_variables[id(variable.expression)]

    def unknown_reads(
        self, variable: CompiledVariable, scope: _Scope
    ) -> Iterator[tuple[CompiledVariable, _Scope]]:
        """Yield the variables that one reads and that nothing is known of yet, with their scopes."""
        inner = _inner(variable, scope)
        for name in variable.expression.checked.free_names():
            found = inner.find(name.removeprefix("variables.")) if name.startswith("variables.") else None
            if found is not None and id(found[0].expression) not in self.known_variables:
                yield found

    def infer_variable(self, variable: CompiledVariable, scope: _Scope) -> Known:
        numeric = is_number(variable.expression.checked.type)
        unit = self.declared_unit(variable) if variable.unit and numeric else None
        measure = self.infer(variable.expression, _inner(variable, scope), unit, _called(variable))
        return measure if unit is None else of_unit(unit)

    def declared_unit(self, variable: CompiledVariable) -> Unit | None:
        expression = variable.expression
        path: Path = (*expression.path[:-1], "unit")
        if not _is_bound(variable):
            self.problems += _unit_problems(expression.document, path, variable.unit, self.table)
        return self.table.find(variable.unit)

    def expression(
        self,
        expression: Expression | None,
        scope: _Scope,
        parameter: Parameter | None = None,
        called: str = "",
    ) -> None:
        if expression is not None:
            unit = self.table.find(parameter.unit) if parameter is not None else None
            self.infer(expression, scope, unit, called)

    def infer(
        self,
        expression: Expression,
        scope: _Scope,
        unit: Unit | None,
        called: str,
        *,
        parts: Mapping[str, Unit] = MappingProxyType({}),
        score: bool = False,
    ) -> Known:
        """Return the measure of an expression, and report what is wrong in it.

        Args:
            expression: the expression.
            scope: the variables that it may read.
            unit: the unit that is declared for it.
            called: what is declared, as messages name it.
            parts: the units that are declared for values of a map literal, by key.
            score: it is a score.
        """
        inference, measure, counted = self.infer_or_recall(
            expression.checked, partial(self.named, scope), score
        )
        mixed = len(inference.mixes)
        if unit is not None:
            inference.declared(measure, unit, called)
        for key, each in parts.items():
            inference.declared_part(key, each, f"column '{key}'")
        for number, mix in enumerate(inference.mixes):
            place = expression.place(mix.node.position)
            code = MIXED if number < mixed else DECLARED
            self.problems.append(Problem(mix.message, place, mix.hint, expression.path, code=code))
        self.total += counted.total
        self.known += counted.known
        self.unknown.update(counted.unknown)
        return measure

    def infer_or_recall(
        self, checked: Checked, names: Names, score: bool
    ) -> tuple[Inference, Known, _Counted]:
        """Infer the units of an expression, or recall them for equal units of what it reads."""

        def infer() -> tuple[Inference, Known, _Counted]:
            inference = Inference(checked, names, self.table, score=score)
            measure = inference.run()
            return inference, measure, _count(inference)

        if memory() is None:
            return infer()
        reads = tuple(_key(names(name)) for name in checked.free_names())
        key = (checked.root, Same(checked.types), Same(self.table), score, reads)
        kept, measure, counted = recall("units", key, infer)
        inference = Inference(checked, names, self.table, score=score)
        inference.mixes, inference.measures, inference.free = list(kept.mixes), kept.measures, kept.free
        return inference, measure, counted

    def named(self, scope: _Scope, name: str) -> Known:
        if not name.startswith("variables."):
            return self.globals.get(name)
        found = scope.find(name.removeprefix("variables."))
        return None if found is None else self.known_variables.get(id(found[0].expression))


@record
class _Counted:
    """Numbers of an expression, and how many units of them are known."""

    total: int
    known: int
    unknown: Counter[str]


def _count(inference: Inference) -> _Counted:
    """Count the numbers of an expression by whether their units are known."""
    checked, measures = inference.checked, inference.measures
    total = known = 0
    unknown: Counter[str] = Counter()
    for node, measure in measures.items():
        if isinstance(node, ast.Literal) or node in inference.free or not is_number(checked.types[node]):
            continue
        total += 1
        if measure is not None:
            known += 1
        elif all(_is_known(child, checked, measures) for child in node.children()):
            unknown[_label(node, checked)] += 1
    return _Counted(total, known, unknown)


def _key(measure: Known) -> Hashable:
    """Return a measure as a key: with the spelling of its units, which messages show."""
    if measure is None:
        return None
    parts = tuple((name, _key(part)) for name, part in measure.parts.items())
    return tuple((unit, unit.symbols) for unit in measure.readings), measure.literal, parts


def _units_of_type(form: object, path: Path) -> Iterator[tuple[Path, str]]:
    """Yield the units of numbers in a declared type, each with its path."""
    if not isinstance(form, dict):
        return
    if "unit" in form and _NUMERIC.search(form.get("type", "")):
        yield (*path, "unit"), form["unit"]
    for name, each in form.get("fields", {}).items():
        yield from _units_of_type(each, (*path, "fields", name))
    for part in ("items", "values"):
        yield from _units_of_type(form.get(part), (*path, part))


def _is_known(node: ast.Node, checked: Checked, measures: Mapping[ast.Node, Known]) -> bool:
    return not is_number(checked.types.get(node, t.DYN)) or measures.get(node) is not None


def _label(node: ast.Node, checked: Checked) -> str:
    """Return the name of what has no unit: a field by its type, else what is written."""
    name = checked.names.get(node)
    if name is not None:
        return name
    if isinstance(node, ast.Select):
        type_ = checked.types.get(node.operand)
        if type_ is not None and type_.kind is t.Kind.OBJECT:
            return f"{type_.name}.{node.field}"
    return " ".join(checked.source(node).split())


def _inner(variable: CompiledVariable, scope: _Scope) -> _Scope:
    """Return what a variable's expression reads: not itself, if it shadows an outer variable."""
    if not variable.shadows_itself:
        return scope
    others = {name: each for name, each in scope.variables.items() if each is not variable}
    return _Scope(others, scope.outer)


def _is_bound(variable: CompiledVariable) -> bool:
    """Return True for an input of a library that an expression under `with` gives."""
    return variable.expression.path[-2:-1] == ("with",)


def _called(variable: CompiledVariable) -> str:
    return f"input '{variable.name}'" if _is_bound(variable) else f"'{variable.name}'"
