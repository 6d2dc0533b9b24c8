"""Check the rows of a decision table once its matches are compiled: types, and rows that overlap."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from engine.base.errors import Path, Problem
from engine.base.records import replace
from engine.catalogs.schema_types import schema_types
from engine.cel.celtypes import Substitution, Type, parse_type
from engine.cel.checker import CelCheckError, Environment, check_parsed, parse_checked
from engine.cel.coercion import coerce
from engine.policy.compiled import CompiledTable
from engine.policy.constants import declared_values
from engine.policy.expressions import ExpressionCompiler
from engine.policy.table_cells import Column, is_name, read_result, read_test
from engine.policy.table_domains import Domains, Overlap, witness_text

if TYPE_CHECKING:
    from engine.policy.dicts import TableDict

OVERLAP = "E131"
_MOST_OVERLAPS = 20
"""Pairs of rows that are reported."""


class TableReader:
    """Reads the table that a rule's matches were written out from."""

    def __init__(self, compiler: ExpressionCompiler, path: Path, table: TableDict) -> None:
        """Read its columns.

        Args:
            compiler: collects problems.
            path: where the rule is.
            table: its table, with rows in the order of the matches.
        """
        self.compiler = compiler
        self.path: Path = (*path, "table")
        self.table = table
        self.names = list(table["columns"])
        self.columns = {name: self.column(name) for name in self.names}

    def column(self, name: str) -> Column:
        declared = self.table["columns"][name]
        type_ = parse_type(declared["type"], schema_types().named)
        values = tuple(coerce(each, type_, {}) for each in declared.get("values", ()))
        return Column(name, type_, declared.get("input"), values, declared.get("optional", False))

    def check_columns(self, environment: Environment) -> bool:
        """Report tested expressions that are faulty or of another type; return True if there are none."""
        known = len(self.compiler.problems)
        for name, column in list(self.columns.items()):
            if column.input is None or not is_name(column.input):  # a computed one is a checked variable
                continue
            path: Path = (*self.path, "columns", name, "input")
            self.compiler.note(path, environment)
            try:
                checked = check_parsed(column.input, parse_checked(column.input), environment)
            except CelCheckError as error:
                self.compiler.faults(error, path)
                continue
            if not Substitution().assignable(checked.type, column.type):
                message = f"column '{name}': expected '{column.type}', the expression gives '{checked.type}'"
                self.compiler.problem("E104", message, path)
            self.columns[name] = replace(column, bounds=checked.type.exact.bounds)
        return len(self.compiler.problems) == known

    def read(self, environment: Environment) -> CompiledTable:
        """Return the table; report expressions of another type, and rows that overlap."""
        tests, results = [], []
        for number, cells in enumerate(self.table["rows"]):
            row_tests, row_results = [], []
            for position, (name, cell) in enumerate(zip(self.names, cells, strict=True)):
                column = self.columns[name]
                text_only = self.table.get("text_only", False)
                if column.input is not None:
                    row_tests.append(read_test(cell, column, text_only=text_only))
                    continue
                text, offset = read_result(cell, column, text_only=text_only)
                if offset is not None:
                    own: Path = (*self.path, "rows", number, position)
                    self.typed(text, own, environment, column.type, name, offset)
                if name not in ("id", "description", "explanation"):
                    row_results.append(text)
            tests.append(tuple(row_tests))
            results.append(tuple(row_results))
        table = CompiledTable(
            self.path,
            self.table.get("hit", "unique"),
            tuple(column for column in self.columns.values() if column.input is not None),
            tuple(tests),
            tuple(self.table["numbers"]),
            tuple(results),
        )
        if table.hit in ("unique", "any"):
            self.compiler.problems += self.overlaps(table)
        return table

    def typed(
        self, text: str, path: Path, environment: Environment, wanted: Type, name: str, offset: int = 0
    ) -> None:
        """Report an expression that is not of its column's type."""
        try:
            found = check_parsed(text, parse_checked(text), environment).type
        except CelCheckError:
            return  # reported where the match is compiled
        if not Substitution().assignable(found, wanted):
            message = f"{name}: expected '{wanted}', the expression gives '{found}'"
            place = self.compiler.document.place_in_scalar(path, offset)
            self.compiler.problems.append(Problem(message, place, path=path, code="E104"))

    def overlaps(self, table: CompiledTable) -> Iterator[Problem]:
        constants = declared_values(self.compiler.value.get("constants", {}))
        inputs = [each["name"] for each in self.compiler.value.get("inputs", ())]
        shown = 0
        for overlap in Domains(table.columns, table.tests, constants).overlaps():
            if table.hit == "any" and table.results[overlap.first] == table.results[overlap.second]:
                continue
            shown += 1
            if shown > _MOST_OVERLAPS:
                return
            path: Path = (*self.path, "rows", overlap.second)
            message, hint = _described(overlap, table, inputs)
            yield Problem(message, self.compiler.document.place(path), hint, path, code=OVERLAP)


def _described(overlap: Overlap, table: CompiledTable, inputs: list[str]) -> tuple[str, str]:
    first, second = (table.rows[each] for each in (overlap.first, overlap.second))
    differ = " and give different results" if table.hit == "any" else ""
    advice = "let one of them exclude the other, or take hit: first"
    if overlap.witness is None:
        message = f"rows {first} and {second} may overlap{differ}: '{overlap.unknown}' has no fixed value"
        return message, advice
    witness = witness_text(overlap.witness, table.columns, inputs)
    return f"rows {first} and {second} overlap{differ}", f"both hold for {witness}; {advice}"
