"""Check the rows of a decision table once its matches are compiled: types, and rows that overlap."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING

from engine.base.errors import Path, Problem, near
from engine.base.records import replace
from engine.catalogs.schema_types import schema_types
from engine.cel.celtypes import Substitution, Type, parse_type
from engine.cel.checker import CelCheckError, Environment, check_parsed, parse_checked
from engine.cel.coercion import coerce
from engine.cel.mismatches import for_result
from engine.policy.compiled import CompiledTable
from engine.policy.constants import declared_values
from engine.policy.expressions import ExpressionCompiler
from engine.policy.table_cells import Column, Test, is_name, listed_texts, never_holds, read_result, read_test
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

    def read(self, environment: Environment, *, faulty: bool) -> CompiledTable:
        """Return the table; report expressions of another type, and rows that overlap.

        Rows may seem to overlap where cells are faulty, so that overlaps are not reported then.
        """
        known = len(self.compiler.problems)
        tests, results = [], []
        for number, cells in enumerate(self.table["rows"]):
            row_tests, row_results = [], []
            for position, (name, cell) in enumerate(zip(self.names, cells, strict=True)):
                column = self.columns[name]
                text_only = self.table.get("text_only", False)
                if column.input is not None:
                    row_tests.append(read_test(cell, column, text_only=text_only))
                    self.held(row_tests[-1], column, (*self.path, "rows", number, position))
                    continue
                text, offset = read_result(cell, column, text_only=text_only)
                if offset is not None:
                    own: Path = (*self.path, "rows", number, position)
                    if not self.typed(text, own, environment, column.type, name, offset):
                        self.forget_result(number)
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
        if table.hit in ("unique", "any") and not faulty and len(self.compiler.problems) == known:
            self.compiler.problems += self.overlaps(table)
        return table

    def held(self, test: Test, column: Column, path: Path) -> None:
        """Report a test that no allowed value passes."""
        why = never_holds(test, column)
        if why is not None:
            enum = [str(each) for each in column.bounds.enum] if column.bounds is not None else []
            text = test.operands[0].strip('"')
            meant = listed_texts(text, enum)
            hint = f"write {meant}" if meant else near(text, enum)
            self.compiler.problem("E130", f"{column.name}: {why}", path, hint)

    def typed(
        self, text: str, path: Path, environment: Environment, wanted: Type, name: str, offset: int = 0
    ) -> bool:
        """Report an expression that is not of its column's type; return True if it is."""
        try:
            found = check_parsed(text, parse_checked(text), environment).type
        except CelCheckError:
            return True  # reported where the match is compiled
        if not Substitution().assignable(found, wanted):
            message = f"{name}: expected '{wanted}', the expression gives '{found}'"
            place = self.compiler.document.place_in_scalar(path, offset)
            hint = for_result(text, found, wanted)
            self.compiler.problems.append(Problem(message, place, hint, path, code="E104"))
            return False
        return True

    def forget_result(self, row: int) -> None:
        """Leave a row's output out of the comparison of all outputs: its cell is reported."""
        match = (*self.path[:-1], "match", row)
        results = self.compiler.results
        results[:] = [each for each in results if each[2][: len(match)] != match]

    def overlaps(self, table: CompiledTable) -> Iterator[Problem]:
        constants = declared_values(self.compiler.value.get("constants", {}))
        inputs = [each["name"] for each in self.compiler.value.get("inputs", ())]
        alike = _alike(table.results) if table.hit == "any" else ()
        overlaps = Domains(table.columns, table.tests, constants).overlaps(alike)
        for overlap in islice(overlaps, _MOST_OVERLAPS):
            path: Path = (*self.path, "rows", overlap.second)
            message, hint = _described(overlap, table, inputs)
            yield Problem(message, self.compiler.document.place(path), hint, path, code=OVERLAP)


def _alike(results: Sequence[tuple[str, ...]]) -> list[int]:
    """Return for each row a bit for every row of equal results."""
    rows: dict[tuple[str, ...], int] = {}
    for number, result in enumerate(results):
        rows[result] = rows.get(result, 0) | 1 << number
    return [rows[result] for result in results]


def _described(overlap: Overlap, table: CompiledTable, inputs: list[str]) -> tuple[str, str]:
    first, second = (table.rows[each] for each in (overlap.first, overlap.second))
    differ = " and give different results" if table.hit == "any" else ""
    advice = "let one of them exclude the other, or take hit: first"
    if overlap.witness is None:
        message = f"rows {first} and {second} may overlap{differ}: '{overlap.unknown}' has no fixed value"
        return message, advice
    witness = witness_text(overlap.witness, table.columns, inputs)
    return f"rows {first} and {second} overlap{differ}", f"both hold for {witness}; {advice}"
