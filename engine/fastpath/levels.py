"""Levels of a search's expressions: by the fields that they read, those in which few candidates differ first.

Candidates that agree in the fields of a level, and of those before it, agree in every variable of that level,
so that it is computed once for all of them. A *cut* is a cheap variable or comparison with few values: it
stands in the key of a level instead of the fields that it reads, so that what reads only the cut is of that
level, too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from engine.cel import celtypes as t
from engine.cel import syntax as ast
from engine.cel.celtypes import Kind
from engine.policy.compiled import CompiledSearch, CompiledVariable, Expression

GROUP, TENSOR, PIPELINE, EXPERTS, LOAD = LEVELS = (1, 2, 3, 4, 5)
"""The levels whose results are kept: by device group, and by the degrees that most candidates share."""
CANDIDATE = 6
"""What differs between any two candidates."""

FIELDS: Mapping[int, tuple[str, ...]] = {
    TENSOR: ("tensor_parallel", "fabric", "fabric_gbs", "tensor_nodes"),
    PIPELINE: ("pipeline_parallel", "stages", "hops", "node_hops", "nodes", "kinds", "alike"),
    EXPERTS: ("expert_parallel", "attention_data_parallel"),
}
"""The fields that the key of a level adds to those of the levels before it; GROUP has the first device."""

_LEVEL = {name: level for level, names in FIELDS.items() for name in names}
_CUT_NODES = 40
"""Nodes of syntax of a cut, with the variables that it has to compute."""
_NARROW = {
    t.INT: {"_/_", "_%_", "_?_:_", "math.least", "math.greatest"},
    t.DOUBLE: {"_?_:_", "math.least", "math.greatest", "math.floor", "math.ceil"},
}
"""Calls with fewer values than their arguments have, by type."""
_COMPARISONS = {"_<_", "_<=_", "_>_", "_>=_", "_==_", "_!=_"}


class Levels:
    """The levels of the variables that decide between a search's candidates."""

    def __init__(self, search: CompiledSearch) -> None:
        self.variables = search.rule.variables
        roots = [each.condition for each in search.rule.matches if each.condition is not None]
        self.roots: list[Expression] = [*roots, *(score.expression for score in search.scores)]
        self._hiding = any(each.shadows_itself for each in self.variables.values())
        self._known: dict[str, int] = {}
        self._cuts: dict[str, int] = {}
        self._comparing = False
        reached = list(self._reached())
        for name in reached:
            self.of_variable(name)
        raw = dict(self._known)
        for name in reached:
            level = self._cut_level(name) if raw[name] > PIPELINE else None
            if level is not None and level < raw[name]:
                self._cuts[name] = level
        self._keep_read_cuts(reached)
        self._known, self._comparing = {}, True
        for name in reached:
            self.of_variable(name)
        self._own = frozenset(self.names)

    def of_variable(self, name: str) -> int:
        """Return the level of a variable of candidates."""
        if name in self._cuts:
            return self._cuts[name]
        if name not in self._known:
            self._known[name] = CANDIDATE  # while it is being found out
            variable = self.variables[name]
            self._known[name] = max(self._levels(variable.expression, _hidden(variable)), default=0)
        return self._known[name]

    @property
    def names(self) -> list[str]:
        """The variables that decide between candidates."""
        return [*self._cuts, *(name for name in self._known if name not in self._cuts)]

    def of_expression(self, expression: Expression, node: ast.Node | None = None) -> int:
        """Return the level of an expression that reads a candidate, or of one of its nodes."""
        return max(self._levels(expression, None, node), default=0)

    def is_worth_keeping(self, expression: Expression, node: ast.Node) -> bool:
        """True of a node that goes over lists, if all variables that it reads have a level of their own."""
        if self._hiding or not isinstance(node, (ast.Call, ast.Comprehension)):
            return False
        for each in node.walk():
            kind, _, name = expression.checked.names.get(each, "").partition(".")
            if kind == "variables" and name in self.variables and name not in self._own:
                return False
        return any(
            isinstance(each, ast.Comprehension) or _searches_list(expression, each) for each in node.walk()
        )

    def cuts(self, level: int) -> list[str]:
        """Return the variables that are in the key of a level."""
        return [name for name, own in self._cuts.items() if own == level]

    def comparisons(self) -> Iterator[tuple[Expression, ast.Node]]:
        """Yield the comparisons that are in the key of level EXPERTS."""
        variables = [each for name, each in self.variables.items() if name in self._known]
        expressions = [
            *(each.expression for each in variables if self.of_variable(each.name) < CANDIDATE),
            *(root for root in self.roots if self.of_expression(root) < CANDIDATE),
        ]
        for expression in expressions:
            for node in expression.checked.root.walk():
                if _compares_fields(expression, node):
                    yield expression, node

    def _reached(self) -> Iterator[str]:
        """Yield the variables that conditions and scores read, directly or not."""
        waiting, seen = list(self.roots), set[str]()
        while waiting:
            for name in self._read(waiting.pop()):
                if name not in seen:
                    seen.add(name)
                    yield name
                    waiting.append(self.variables[name].expression)

    def _read(self, expression: Expression) -> Iterator[str]:
        """Yield the variables of candidates that an expression reads."""
        for read in expression.checked.free_names():
            kind, _, name = read.partition(".")
            if kind == "variables" and name in self.variables:
                yield name

    def _levels(
        self, expression: Expression, hidden: str | None, node: ast.Node | None = None
    ) -> Iterator[int]:
        checked = expression.checked
        waiting = [node or checked.root]
        while waiting:
            node = waiting.pop()
            if self._comparing and _compares_fields(expression, node):
                yield EXPERTS
                continue
            if _is_first_device(expression, node):
                yield GROUP
                continue
            if isinstance(node, ast.Select) and checked.names.get(node.operand) == "candidate":
                yield _LEVEL.get(node.field, CANDIDATE)
                continue
            read = checked.names.get(node)
            if read is None:
                waiting += node.children()
            elif read == "candidate":
                yield CANDIDATE
            else:
                kind, _, name = read.partition(".")
                if kind == "variables" and name in self.variables and name != hidden:
                    yield self.of_variable(name)

    def _cut_level(self, name: str) -> int | None:
        """Return the level whose key a variable can be part of; None if it is no cut."""
        checked = self.variables[name].expression.checked
        call = checked.calls.get(checked.root) if isinstance(checked.root, ast.Call) else None
        type_ = checked.type
        if type_ != t.BOOL and (call is None or call.function not in _NARROW.get(type_, ())):
            return None
        if self._nodes(name) > _CUT_NODES:
            return None
        return LOAD if type_ == t.DOUBLE else EXPERTS

    def _nodes(self, name: str) -> int:
        """Return the size of a variable with those that it has to compute; above the limit for no cut."""
        total, waiting, seen = 0, [name], {name}
        while waiting:
            variable = self.variables[waiting.pop()]
            for node in variable.expression.checked.root.walk():
                total += 1
                if isinstance(node, (ast.Comprehension, ast.Bind)) or variable.shadows_itself:
                    return _CUT_NODES + 1
            for read in self._read(variable.expression):
                if read not in seen and self.of_variable(read) > PIPELINE:
                    seen.add(read)
                    waiting.append(read)
        return total

    def _keep_read_cuts(self, reached: list[str]) -> None:
        """Drop the cuts that only cuts read."""
        read = {each for root in self.roots for each in self._read(root)}
        for name in reached:
            if name not in self._cuts:
                read |= set(self._read(self.variables[name].expression))
        self._cuts = {name: level for name, level in self._cuts.items() if name in read}


def _hidden(variable: CompiledVariable) -> str | None:
    return variable.name if variable.shadows_itself else None


def _is_first_device(expression: Expression, node: ast.Node) -> bool:
    """True of `candidate.stages[0].device`."""
    if not (isinstance(node, ast.Select) and node.field == "device" and isinstance(node.operand, ast.Call)):
        return False
    call = expression.checked.calls.get(node.operand)
    if call is None or call.function != "_[_]":
        return False
    stages, index = call.arguments
    return (
        isinstance(stages, ast.Select)
        and stages.field == "stages"
        and expression.checked.names.get(stages.operand) == "candidate"
        and isinstance(index, ast.Literal)
        and index.value == 0
    )


def _searches_list(expression: Expression, node: ast.Node) -> bool:
    """True of `x in list`, unless the list is written there."""
    call = expression.checked.calls.get(node) if isinstance(node, ast.Call) else None
    if call is None or call.function != "_in_" or isinstance(call.arguments[1], ast.ListLiteral):
        return False
    return expression.checked.types[call.arguments[1]].kind is not Kind.MAP


def _compares_fields(expression: Expression, node: ast.Node) -> bool:
    """True of a comparison of a candidate's fields with each other or with literals and constants."""
    checked = expression.checked
    call = checked.calls.get(node) if isinstance(node, ast.Call) else None
    if call is None or call.function not in _COMPARISONS:
        return False
    levels = []
    for each in call.arguments:
        if isinstance(each, ast.Select) and checked.names.get(each.operand) == "candidate":
            if checked.types[each].kind is Kind.LIST:
                return False
            levels.append(_LEVEL.get(each.field, CANDIDATE))
        elif not (isinstance(each, ast.Literal) or checked.names.get(each, "").startswith("constants.")):
            return False
    return max(levels, default=0) > EXPERTS
