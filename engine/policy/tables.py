"""Decision tables, written out as matches: each row a condition and an output.

A rule with `table` gets `match` in its place. What the rows say stays beside it, so that overlaps and gaps
can be worked out once the policy's constants are final.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from engine.base.errors import EngineError, PolicyError, Problem, near
from engine.base.records import field, record
from engine.catalogs.schema_types import schema_types
from engine.catalogs.store import PolicyStore
from engine.catalogs.table_files import read_table
from engine.cel import celtypes as t
from engine.cel.celtypes import TypeSyntaxError, parse_type
from engine.cel.coercion import CoercionError, coerce
from engine.cel.hints import for_type
from engine.documents import Document, Piece
from engine.documents.composed import Node, close_document, open_document
from engine.policy.table_cells import (
    TESTED,
    CellError,
    Column,
    Test,
    is_name,
    plain,
    read_result,
    read_test,
)

CODE = "E130"
_NAMED = ("id", "explanation", "description")
"""Columns that say something about a row's match."""
_DEFAULT_HIT = "unique"


def has_table(rule: Mapping[str, Any]) -> bool:
    """Return True if a rule, or one nested in it, has a table, or lacks matches."""
    if "table" in rule or "match" not in rule:
        return True
    return any("rule" in match and has_table(match["rule"]) for match in rule["match"])


def expand_tables(document: Document, store: PolicyStore) -> Document:
    """Return a policy with the rows of its tables written out as matches; itself if it has no table.

    Args:
        document: a policy's document.
        store: reads CSV files beside it.

    Raises:
        PolicyError: every cell and column that does not fit, with its place.
    """
    if not has_table(document.value["rule"]):
        return document
    root = open_document(document)
    expander = _Expander(store)
    expander.rule(root["rule"])
    if expander.problems:
        raise PolicyError(expander.problems)
    return close_document(root, document.name, (document, *expander.files))


@record
class Row:
    """A row of a table as it is read."""

    number: int
    tests: tuple[Test, ...]
    results: Mapping[str, tuple[str, int | None]]
    cells: Mapping[str, Node]
    node: Node


@record(frozen=False)
class Text:
    """An expression that is put together of cells and columns."""

    text: str = ""
    pieces: list[Piece] = field(default_factory=list)

    def add(self, text: str, node: Node, offset: int = 0) -> None:
        self.pieces.append(Piece(len(self.text), node.document, node.path, offset))
        self.text += text

    def node(self, origin: Node) -> Node:
        return Node(self.text, origin.document, origin.path, tuple(self.pieces))


class _Expander:
    def __init__(self, store: PolicyStore) -> None:
        self.store = store
        self.files: list[Document] = []
        self.problems: list[Problem] = []

    def rule(self, rule: Node) -> None:
        if "table" in rule:
            if "match" in rule:
                message = "a rule has matches or a table, found both"
                self.problems.append(rule["table"].problem(message, code=CODE, key=True))
                return
            self.table(rule)
        elif "match" not in rule:
            hint = "Ordered; the first match whose condition holds wins. Or a table."
            self.problems.append(rule.problem("rule has no field 'match'", hint, code="E002"))
            return
        else:
            for match in rule["match"]:
                if "rule" in match:
                    self.rule(match["rule"])

    def fail(self, node: Node, message: str, hint: str | None = None, *, key: bool = False) -> None:
        self.problems.append(node.problem(message, hint, code=CODE, key=key))

    def table(self, rule: Node) -> None:
        table = rule["table"]
        known = len(self.problems)
        columns = {name: column for name, column in self.columns(table["columns"]) if column is not None}
        if len(self.problems) > known:
            return
        hit = table["hit"].value if "hit" in table else _DEFAULT_HIT
        results = [each for each in columns.values() if each.input is None and each.name not in _NAMED]
        if not results:
            self.fail(table["columns"], "no column for the result", "add a column without an input", key=True)
        if "aggregate" in table and hit != "collect":
            self.fail(table["aggregate"], f"aggregate is for hit: collect, found hit: {hit}")
        if hit == "priority" and not any(each.values for each in results):
            hint = "list values, the highest priority first: values: [decline, accept]"
            self.fail(table["hit"], "hit: priority needs a result column with values", hint)
        if "aggregate" in table and table["aggregate"].value != "count" and len(results) > 1:
            self.fail(table["aggregate"], f"aggregate: {table['aggregate'].value} takes one result column")
        if hit == "collect":
            for name in set(_NAMED) & columns.keys():
                message = f"hit: collect has one match for all rows: no column '{name}'"
                self.fail(table["columns"][name], message, key=True)
        listed = self.listed(table, columns)
        rows = [row for number, node in enumerate(listed) if (row := self.row(number, node, columns, table))]
        if not rows and len(self.problems) == known:
            self.fail(table["rows"], "the table has no rows", "add a row of cells; - passes any value")
        if len(self.problems) > known:
            return
        if hit == "priority":
            for row in rows:
                for column in results:
                    if column.values and row.results[column.name][1] is not None:
                        message = f"{column.name}: hit: priority compares values, found an expression"
                        self.fail(row.cells[column.name], message)
            if len(self.problems) > known:
                return
            rows.sort(key=lambda row: _priority(row, results, text_only=isinstance(table["rows"].value, str)))
        tested = [column for column in columns.values() if column.input is not None]
        inputs = self.inputs(rule, table, tested)
        if hit == "collect":
            matches = self.collected(rule, table, rows, results, inputs)
        else:
            matches = [self.match(row, table, results, inputs) for row in rows]
        rule.value["match"] = Node(matches, table.document, table.path)
        rows_node = table["rows"]
        table.value["rows"] = Node([row.node for row in rows], rows_node.document, rows_node.path)
        table.value["numbers"] = rows_node.derived([row.number + 1 for row in rows])
        table.value["text_only"] = rows_node.derived(isinstance(rows_node.value, str))

    # --- columns and rows ---------------------------------------------------------------------------------

    def columns(self, declared: Node) -> Iterator[tuple[str, Column | None]]:
        for name, node in declared.items():
            yield name, self.column(name, node)

    def column(self, name: str, node: Node) -> Column | None:
        try:
            type_ = parse_type(node["type"].value, schema_types().named)
        except TypeSyntaxError as error:
            hint = for_type(node["type"].value, error.name, t.PRIMITIVES)
            self.problems.append(node["type"].problem(str(error), hint, code="E102"))
            return None
        tested = "input" in node
        if tested and type_ not in TESTED:
            types = ", ".join(each.name for each in TESTED)
            self.fail(node["type"], f"cells cannot test values of type '{type_}'", f"one of {types}")
            return None
        if name in _NAMED and not tested and type_ != t.STRING:
            self.fail(node["type"], f"column '{name}' is text, found type '{type_}'")
            return None
        values = []
        for each in node.value.get("values", Node([], node.document, node.path)):
            try:
                values.append(coerce(each.value, type_, {}))
            except CoercionError as error:
                self.fail(each, f"{name}: {error.message}", error.hint)
        optional = "optional" in node and node["optional"].value
        return Column(name, type_, node["input"].value if tested else None, tuple(values), optional)

    def listed(self, table: Node, columns: Mapping[str, Column]) -> list[Node]:
        """Return the rows as lists of cells in the order of the columns; of a CSV file if one is named."""
        rows = table["rows"]
        if not isinstance(rows.value, str):
            return list(rows)
        try:
            file = read_table(self.store, rows.document.name, rows.value)
        except EngineError as error:
            self.problems += [each.at(rows.problem("").place).coded(CODE) for each in error.problems]
            return []
        self.files.append(file)
        opened = list(open_document(file))
        if not opened:
            self.fail(rows, f"{rows.value}: the file is empty")
            return []
        heads = [cell.value for cell in opened[0]]
        if not columns.keys() & set(heads):
            self.fail(opened[0], *_without_names(heads, columns))
            return []
        for cell in opened[0]:
            if cell.value not in columns:
                hint = near(cell.value, columns)
                if cell.value in _NAMED:
                    hint = f"declare it: {cell.value}: {{type: string}}"
                self.fail(cell, f"unknown column '{cell.value}'", hint)
            elif heads.count(cell.value) > 1:
                self.fail(cell, f"column '{cell.value}' is there twice")
                break
        for name in columns:
            if name not in heads and not self.problems:
                hint = "the first line has the names of the columns"
                self.fail(opened[0], f"no column '{name}' in the first line", hint)
        if self.problems:
            return []
        listed = []
        for node in opened[1:]:
            cells = node.value
            if len(cells) == len(heads):
                by_name = dict(zip(heads, cells, strict=True))
                cells = [by_name[name] for name in columns]
            listed.append(Node(cells, node.document, node.path))
        return listed

    def row(self, number: int, node: Node, columns: Mapping[str, Column], table: Node) -> Row | None:
        cells = node.value
        text_only = isinstance(table["rows"].value, str)
        if len(cells) != len(columns):
            expected = f"{len(columns)} cells ({', '.join(columns)})"
            found = "1 cell" if len(cells) == 1 else f"{len(cells)} cells"
            hint = None
            if len(cells) > len(columns):
                hint = "a cell with a comma stands in quotes; the decimal sign is a point"
            elif len(cells) == 1 and str(cells[0].value).lstrip().startswith("#"):
                hint = "a table has no comments; a column 'description' has them"
            self.fail(node, f"row {number + 1} has {found}, expected {expected}", hint)
            return None
        if text_only and not any(cell.value for cell in cells):
            self.fail(node, f"row {number + 1} is empty", "remove the line")
            return None
        tests: list[Test] = []
        results: dict[str, tuple[str, int | None]] = {}
        known = len(self.problems)
        for column, cell in zip(columns.values(), cells, strict=True):
            value = cell.plain()
            try:
                if column.input is not None:
                    tests.append(read_test(value, column, text_only=text_only))
                else:
                    results[column.name] = read_result(value, column, text_only=text_only)
            except CellError as error:
                place = cell.document.place(cell.path)
                if error.offset is not None:
                    place = cell.document.place_in_scalar(cell.path, error.offset)
                self.problems.append(Problem(error.message, place, error.hint, cell.path, code=CODE))
        if len(self.problems) > known:
            return None
        return Row(number, tuple(tests), results, dict(zip(columns, cells, strict=True)), node)

    # --- matches ------------------------------------------------------------------------------------------

    def inputs(self, rule: Node, table: Node, tested: Sequence[Column]) -> list[tuple[Column, str]]:
        """Return what each column's cells compare: names as they are, computed ones as variables."""
        inputs = []
        for column in tested:
            node = table["columns"][column.name]
            text = node["input"].value.strip()
            if not is_name(text):
                fields = {
                    "name": Node(column.name, node.document, node.path),
                    "expression": node["input"],
                    "type": node["type"],
                }
                fields |= {key: node[key] for key in ("unit", "description") if key in node}
                rule.section("variables", list).value.append(node.derived(fields))
                text = f"variables.{column.name}"
            inputs.append((column, text))
        return inputs

    def match(
        self, row: Row, table: Node, results: Sequence[Column], inputs: list[tuple[Column, str]]
    ) -> Node:
        fields: dict[str, Node] = {}
        condition = self.condition(row, inputs)
        if condition is not None:
            fields["condition"] = condition
        fields["output"] = self.output(row, results)
        for name in _NAMED:
            if name not in row.results:
                continue
            cell = row.cells[name]
            text, offset = row.results[name]
            if name == "explanation":
                fields[name] = self.placed(cell, text, offset)
            else:
                fields[name] = Node(cell.value, cell.document, cell.path)
        if "explanation" not in fields and "explanation" in table:
            fields["explanation"] = table["explanation"]
        return row.node.derived(fields)

    def condition(self, row: Row, inputs: list[tuple[Column, str]]) -> Node | None:
        text = Text()
        for (column, expression), test in zip(inputs, row.tests, strict=True):
            if test.operator == "any":
                continue
            cell = row.cells[column.name]
            if text.text:
                text.add(" && ", cell)
            _add_test(text, column, expression, test, cell)
        return text.node(row.node) if text.text else None

    def output(self, row: Row, results: Sequence[Column]) -> Node:
        """Return the output of a row: the result, or a map of several."""
        if len(results) == 1:
            text, offset = row.results[results[0].name]
            wrapped = Text()
            cell = row.cells[results[0].name]
            wrapped.add(f"dyn({text})" if results[0].optional else text, cell, offset or 0)
            return wrapped.node(cell)
        mixed = len({str(column.type) for column in results}) > 1 or any(each.optional for each in results)
        whole = Text()
        whole.add("{", row.node)
        for number, column in enumerate(results):
            text, offset = row.results[column.name]
            cell = row.cells[column.name]
            whole.add(f"{', ' if number else ''}{json.dumps(column.name)}: {'dyn(' if mixed else ''}", cell)
            whole.add(text, cell, offset or 0)
            whole.add(")" if mixed else "", cell)
        whole.add("}", row.node)
        return whole.node(row.node)

    def placed(self, cell: Node, text: str, offset: int | None) -> Node:
        placed = Text()
        placed.add(text, cell, offset or 0)
        return placed.node(cell)

    def collected(
        self,
        rule: Node,
        table: Node,
        rows: Sequence[Row],
        results: Sequence[Column],
        inputs: list[tuple[Column, str]],
    ) -> list[Node]:
        """Return the one match of a table that collects: a variable for each row says whether it holds."""
        variables = rule.section("variables", list).value
        whole = Text()
        whole.add("[", table)
        for row in rows:
            name = f"row_{row.number + 1}"
            condition = self.condition(row, inputs) or Node("true", row.node.document, row.node.path)
            fields = {"name": name, "expression": condition, "type": "bool"}
            variables.append(row.node.derived(fields))
            output = self.output(row, results)
            whole.add(f"{', ' if row is not rows[0] else ''}variables.{name} ? [", row.node)
            for piece in output.pieces:
                whole.pieces.append(
                    Piece(len(whole.text) + piece.start, piece.document, piece.path, piece.offset)
                )
            whole.text += output.value
            whole.add("] : []", row.node)
        whole.add("].flatten()", table)
        if "aggregate" in table:
            aggregate = table["aggregate"].value
            whole.add(f".{'size' if aggregate == 'count' else aggregate}()", table["aggregate"])
        fields = {"output": whole.node(table["rows"])}
        if "explanation" in table:
            fields["explanation"] = table["explanation"]
        return [table.derived(fields)]


def _without_names(heads: Sequence[str], columns: Mapping[str, Column]) -> tuple[str, str]:
    """Return what is wrong with a first line that names no column, and what to do."""
    whole = ",".join(heads)
    if whole.startswith("PK"):
        return "a workbook, not a CSV file", "save the sheet as CSV (UTF-8)"
    for separator, name in ((";", "semicolons"), ("\t", "tabs"), ("|", "bars")):
        if {each.strip() for each in whole.split(separator)} & columns.keys():
            return f"cells separated by {name}", "separate cells by commas: export the sheet with commas"
    return "the first line names no column", f"it has the names of the columns: {','.join(columns)}"


def _add_test(text: Text, column: Column, expression: str, test: Test, cell: Node) -> None:
    """Add a comparison of a column's expression with a cell."""

    def compare(operator: str, number: int) -> None:
        text.add(expression, cell)
        text.add(f" {operator} ", cell)
        text.add(test.operands[number], cell, test.offsets[number])

    if test.operator == "range":
        compare(">=" if test.closed[0] else ">", 0)
        text.add(" && ", cell)
        compare("<=" if test.closed[1] else "<", 1)
    elif test.operator == "not in":
        text.add("!(", cell)
        compare("in", 0)
        text.add(")", cell)
    elif column.type == t.BOOL and test.operator == "==" and test.operands[0] in ("true", "false"):
        text.add("" if test.operands[0] == "true" else "!", cell)
        text.add(expression, cell)
    else:
        compare(test.operator, 0)


def _priority(row: Row, results: Sequence[Column], *, text_only: bool) -> tuple[int, ...]:
    """Return the places of a row's results among the columns' values: the first is the highest priority."""
    return tuple(
        column.values.index(plain(row.cells[column.name].plain(), column, text_only=text_only))
        for column in results
        if column.values
    )
