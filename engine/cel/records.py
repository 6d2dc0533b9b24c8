"""Computed columns of lists of records: `stage.room` where `room` is computed for each element of a list.

A column is a list of its own, with a value per element, so that nothing of it is computed unless it is read.
An expression that reads columns through an element is rewritten to read them by position:
`stages.map(s, s.room + s.count)` becomes
`lists.range(size(stages)).map(s, stages.room[s] + stages[s].count)`. The nodes keep their places in the text.
"""

from __future__ import annotations

from collections.abc import Mapping

from engine.base.records import replace
from engine.cel import syntax as ast

Records = Mapping[str, frozenset[str]]
"""The columns of lists, by the names under which expressions read the lists: `variables.stages`."""


def rewrite(root: ast.Node, records: Records, wrap: tuple[str, str] | None = None) -> ast.Node:
    """Return an expression that reads columns by position.

    Args:
        root: the expression.
        records: the lists that have columns.
        wrap: of the expression of a column, the list and the name of its element in the expression.
    """
    if wrap is not None:
        listed = _named(wrap[0], root, at=root.start)
        root = ast.Comprehension(root.start, root.end, root.position, "map", listed, wrap[1], root)
    return _Rewriter(records).visit(root, {})


Scope = Mapping[str, str | None]
"""Names that macros bind: to positions in the list of that name, or to anything else."""


class _Rewriter:
    def __init__(self, records: Records) -> None:
        self.records = records

    def visit(self, node: ast.Node, scope: Scope) -> ast.Node:
        if isinstance(node, ast.Identifier):
            owner = scope.get(node.name)
            return node if owner is None else _element(_named(owner, node), node, node)
        if isinstance(node, ast.Select):
            return self.select(node, scope)
        if isinstance(node, ast.Comprehension):
            return self.comprehension(node, scope)
        if isinstance(node, ast.Bind):
            inner = {**scope, node.variable: None}
            return replace(node, value=self.visit(node.value, scope), body=self.visit(node.body, inner))
        if isinstance(node, ast.Call):
            target = None if node.target is None else self.visit(node.target, scope)
            return replace(node, target=target, arguments=self.visit_all(node.arguments, scope))
        if isinstance(node, ast.ListLiteral):
            return replace(node, elements=self.visit_all(node.elements, scope))
        if isinstance(node, ast.MapLiteral):
            entries = ((self.visit(key, scope), self.visit(value, scope)) for key, value in node.entries)
            return replace(node, entries=tuple(entries))
        if isinstance(node, ast.ObjectLiteral):
            fields = ((name, offset, self.visit(value, scope)) for name, offset, value in node.fields)
            return replace(node, fields=tuple(fields))
        return node

    def visit_all(self, nodes: tuple[ast.Node, ...], scope: Scope) -> tuple[ast.Node, ...]:
        return tuple(self.visit(node, scope) for node in nodes)

    def select(self, node: ast.Select, scope: Scope) -> ast.Node:
        operand = node.operand
        if isinstance(operand, ast.Identifier):
            owner = scope.get(operand.name)
            if owner is not None and node.field in self.records[owner]:
                return _element(_named(f"{owner}.{node.field}", node), operand, node)
        if isinstance(operand, ast.Call) and operand.function == "_[_]":
            listed, index = operand.arguments
            owner = self.list_name(listed, scope)
            if owner is not None and node.field in self.records[owner]:
                return _element(_named(f"{owner}.{node.field}", listed), self.visit(index, scope), node)
        return replace(node, operand=self.visit(operand, scope))

    def comprehension(self, node: ast.Comprehension, scope: Scope) -> ast.Node:
        owner = self.list_name(node.range, scope)
        parts = [part for part in (node.condition, node.body) if part is not None]
        element = node.second or node.variable
        if owner is None or not any(self.reads(part, element, self.records[owner]) for part in parts):
            inner: Scope = {**scope, **dict.fromkeys(node.variables)}
            condition = None if node.condition is None else self.visit(node.condition, inner)
            changed = {"range": self.visit(node.range, scope), "condition": condition}
            return replace(node, body=self.visit(node.body, inner), **changed)
        if node.second is not None:
            return self.with_index(node, owner, scope)
        positions = _positions(node.range)
        inner = {**scope, node.variable: owner}
        body = self.visit(node.body, inner)
        condition = None if node.condition is None else self.visit(node.condition, inner)
        made = replace(node, range=positions, body=body, condition=condition)
        if node.macro != "filter":
            return made
        read = _element(node.range, ast.Identifier(node.start, node.end, node.position, node.variable), node)
        return ast.Comprehension(node.start, node.end, node.position, "map", made, node.variable, read)

    def with_index(self, node: ast.Comprehension, owner: str, scope: Scope) -> ast.Node:
        """Rewrite a macro with an index and an element: its element is a position, too."""
        assert node.second is not None
        inner = {**scope, node.variable: None, node.second: owner}
        condition = None if node.condition is None else self.visit(node.condition, inner)
        return replace(
            node, range=_positions(node.range), body=self.visit(node.body, inner), condition=condition
        )

    def list_name(self, node: ast.Node, scope: Scope) -> str | None:
        """Return the name of the list of records that a node reads."""
        name = ast.dotted_name(node)
        if name is None or name.partition(".")[0] in scope:
            return None
        name = name.removeprefix(".")
        return name if name in self.records else None

    def reads(self, node: ast.Node, variable: str, columns: frozenset[str]) -> bool:
        """Return True if an expression reads a column of an element."""
        if isinstance(node, ast.Select) and isinstance(node.operand, ast.Identifier):
            return node.operand.name == variable and node.field in columns
        bound = node.variables if isinstance(node, ast.Comprehension) else ()
        bound = (node.variable,) if isinstance(node, ast.Bind) else bound
        if isinstance(node, (ast.Comprehension, ast.Bind)) and variable in bound:
            outside = node.range if isinstance(node, ast.Comprehension) else node.value
            return self.reads(outside, variable, columns)
        return any(self.reads(child, variable, columns) for child in node.children())


def _named(name: str, like: ast.Node, at: int | None = None) -> ast.Node:
    """Return a node that reads a dotted name, in the place of another."""
    start, end = (like.start, like.end) if at is None else (at, at)
    first, *fields = name.split(".")
    node: ast.Node = ast.Identifier(start, end, like.position, first)
    for field in fields:
        node = ast.Select(start, end, like.position, node, field)
    return node


def _element(listed: ast.Node, index: ast.Node, like: ast.Node) -> ast.Node:
    return ast.Call(like.start, like.end, like.position, "_[_]", (listed, index))


def _positions(listed: ast.Node) -> ast.Node:
    """Return the node of `lists.range(size(listed))`."""
    place = listed.start, listed.end, listed.position
    size = ast.Call(*place, "size", (listed,))
    return ast.Call(*place, "range", (size,), ast.Identifier(*place, "lists"))
