"""A path is read that a request may lack.

A field of a value of type `dyn`, a key of a map of `dyn`, an optional field of a declared type and an
optional input may be absent; so may a key that a constant lacks. Reading on from there ends in an error, and
the request gets no decision. Ask first: with `has(c.securityContext) && …`, `"key" in map`,
`n != null ? n : 0`; or declare the input's type under `types`, where required fields need no guard and
others can have a default.

A variable may rely on a guard anywhere in the policy, since it is evaluated where it is read. Of several
reads of a path, the first is reported.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from engine.base.errors import Problem
from engine.base.records import field, record
from engine.cel import syntax as ast
from engine.cel.celtypes import Kind, Type
from engine.cel.checker import Checked
from engine.policy.checks.check import Check
from engine.policy.compiled import CompiledMatch, CompiledPolicy, CompiledRule, Expression, rules, uses

Facts = frozenset[str]
"""Paths that are known to be there."""

_NONE: Facts = frozenset()
_LENIENT = ("_==_", "_!=_", "dyn", "type")
"""Functions that take null."""


def find(policy: CompiledPolicy) -> Iterator[Problem]:
    """Paths that are read without a guard."""
    finder = _Finder(policy)
    finder.rule(policy.rule, _NONE)
    yield from finder.problems


@record
class _Scope:
    """Names that macros bind, each by a number of its own, and what is known of them."""

    names: Mapping[str, str] = field(default_factory=dict)

    def bind(self, name: str, number: int) -> _Scope:
        return _Scope({**self.names, name: f"{name}#{number}"})


class _Finder:
    def __init__(self, policy: CompiledPolicy) -> None:
        self.policy = policy
        self.problems: list[Problem] = []
        self.reported: set[str] = set()
        self.numbers = 0
        self.variables: dict[str, Checked] = {}
        for rule in rules(policy.rule):
            for name, variable in rule.variables.items():
                self.variables.setdefault(f"variables.{name}", variable.expression.checked)
        self.elements: dict[str, Facts | None] = {}
        """What is known of the elements of variables."""
        # A variable may be read only where another expression has asked.
        self.tested: Facts = frozenset(
            path
            for use in uses(policy)
            for path in _Reader(self, use.expression).tests(use.expression.checked.root)
        )

    def rule(self, rule: CompiledRule, known: Facts) -> None:
        for variable in rule.variables.values():
            self.expression(variable.expression, known | self.tested)
        for match in rule.matches:
            inside = known
            if match.condition is not None:
                self.expression(match.condition, known)
                reader = _Reader(self, match.condition)
                root = match.condition.checked.root
                inside = known | reader.facts(root, _Scope(), True)
                known = known | reader.facts(root, _Scope(), False)
            for expression in _of_match(match):
                self.expression(expression, inside)
            if match.rule is not None:
                self.rule(match.rule, inside)

    def expression(self, expression: Expression, known: Facts) -> None:
        _Reader(self, expression).visit(expression.checked.root, _Scope(), known, strict=False)

    def variable_elements(self, name: str, reading: Expression) -> Facts | None:
        """Return what is known of the elements of a variable, computed once."""
        if name not in self.elements:
            self.elements[name] = _NONE  # for a variable that reads one of its own name outside
            checked = self.variables[name]
            reader = _Reader(self, Expression(checked, reading.document, reading.path))
            self.elements[name] = reader.element_facts(checked.root, _Scope())
        return self.elements[name]

    def number(self) -> int:
        self.numbers += 1
        return self.numbers

    def report(self, expression: Expression, node: ast.Node, path: str, hint: str) -> None:
        """Report a path, unless it or the way to it is reported already."""
        text = " ".join(expression.checked.source(node).split())
        own = f"{expression.path} {text}"
        if own in self.reported or not self.reported.isdisjoint(_prefixes(path)):
            return
        self.reported |= {path, own}
        place = expression.place(node.position)
        self.problems.append(Problem(f"{text} may be absent", place, hint, expression.path))


def _of_match(match: CompiledMatch) -> Iterator[Expression]:
    """Yield the expressions that are evaluated if a match is chosen."""
    yield from match.arguments.values()
    for expression in (match.output, match.explanation):
        if expression is not None:
            yield expression


class _Reader:
    """Reads one expression."""

    def __init__(self, finder: _Finder, expression: Expression) -> None:
        self.finder = finder
        self.expression = expression
        self.checked = expression.checked

    # --- paths and what may be absent ---------------------------------------------------------------------

    def path(self, node: ast.Node, scope: _Scope) -> str | None:
        """Return what a node reads as a dotted path; None if it is no path."""
        if node in self.checked.names:
            return self.checked.names[node].replace(".", ":")
        if isinstance(node, ast.Identifier):
            return scope.names.get(node.name)
        if isinstance(node, ast.Select):
            operand = self.path(node.operand, scope)
            return None if operand is None else f"{operand}.{node.field}"
        call = self.checked.calls.get(node)
        if call is not None and call.function == "_[_]":
            operand, key = self.path(call.arguments[0], scope), call.arguments[1]
            if operand is not None and isinstance(key, ast.Literal):
                return f"{operand}.{key.value}" if isinstance(key.value, str) else f"{operand}[{key.value}]"
        return None

    def type(self, node: ast.Node) -> Type:
        return self.checked.types[node]

    def may_be_absent(self, node: ast.Node) -> bool:
        """Return True for a key of a dyn value, and for one that a constant lacks: reading it fails."""
        if not isinstance(node, ast.Select) or node in self.checked.names:
            return False
        held = self.held(node.operand)
        if isinstance(held, dict):
            return node.field not in held
        operand = self.type(node.operand).exact
        return operand.kind is Kind.DYN or (operand.kind is Kind.MAP and operand.value.kind is Kind.DYN)

    def held(self, node: ast.Node) -> object:
        """Return the value of a constant or of a part of one; None for anything else."""
        name = self.checked.names.get(node, "")
        if name.startswith("constants."):
            return self.finder.policy.constants[name.partition(".")[2]].value
        whole = self.held(node.operand) if isinstance(node, ast.Select) and not node.test else None
        return whole.get(node.field) if isinstance(whole, dict) and isinstance(node, ast.Select) else None

    def may_be_null(self, node: ast.Node) -> bool:
        """Return True for an optional field of a declared type, and for an optional input."""
        if self.type(node).kind is not Kind.WRAPPER:
            return False
        name = self.checked.names.get(node)
        if name is not None:
            return name in self.finder.policy.inputs
        if not isinstance(node, ast.Select):
            return False
        operand = self.type(node.operand).exact
        return operand.kind is Kind.OBJECT and self.finder.policy.objects[operand.name].declared

    # --- what conditions say --------------------------------------------------------------------------------

    def facts(self, node: ast.Node, scope: _Scope, holds: bool) -> Facts:
        """Return the paths that are there if a condition is true, or if it is false."""
        if isinstance(node, ast.Select) and node.test:
            return self.there(node, scope) if holds else _NONE
        call = self.checked.calls.get(node)
        if call is None:
            return _NONE
        function, arguments = call.function, call.arguments
        if function == "!_":
            return self.facts(arguments[0], scope, not holds)
        if function in ("_&&_", "_||_"):
            if holds is not (function == "_&&_"):
                return _NONE
            return frozenset().union(*(self.facts(each, scope, holds) for each in self.operands(node)))
        if function in ("_!=_", "_==_") and holds is (function == "_!=_"):
            nulls = [_is_null(each) for each in arguments]
            return (
                self.there(arguments[nulls.index(False)], scope) if any(nulls) and not all(nulls) else _NONE
            )
        if function == "_==_" and not any(map(_is_null, arguments)):
            # It is equal to what is not null.
            return frozenset().union(*(self.there(each, scope) for each in arguments))
        if function == "_in_" and holds and isinstance(arguments[0], ast.Literal):
            operand = self.path(arguments[1], scope)
            return _NONE if operand is None else _prefixes(f"{operand}.{arguments[0].value}")
        return _NONE

    def operands(self, node: ast.Node) -> list[ast.Node]:
        """Return the operands of a chain of `&&` or of `||`."""
        function = self.checked.calls[node].function
        operands: list[ast.Node] = []
        waiting = [node]
        while waiting:
            each = waiting.pop()
            call = self.checked.calls.get(each)
            if call is not None and call.function == function:
                waiting += reversed(call.arguments)
            else:
                operands.append(each)
        return operands

    def tests(self, root: ast.Node) -> Iterator[str]:
        """Yield the paths of global names whose presence an expression tests."""
        for node in root.walk():
            call = self.checked.calls.get(node)
            if isinstance(node, ast.Select) and node.test:
                found = self.path(node, _Scope())
            elif call is not None and call.function == "_in_" and isinstance(call.arguments[0], ast.Literal):
                operand = self.path(call.arguments[1], _Scope())
                found = None if operand is None else f"{operand}.{call.arguments[0].value}"
            elif (
                call is not None and call.function in ("_!=_", "_==_") and any(map(_is_null, call.arguments))
            ):
                found = next(
                    (self.path(each, _Scope()) for each in call.arguments if not _is_null(each)), None
                )
            else:
                continue
            if found is not None:
                yield found

    def there(self, node: ast.Node, scope: _Scope) -> Facts:
        path = self.path(node, scope)
        return _NONE if path is None else _prefixes(path)

    def element_facts(self, node: ast.Node, scope: _Scope) -> Facts | None:
        """Return paths below each element of a list that are there; None for an empty list."""
        if isinstance(node, ast.ListLiteral) and not node.elements:
            return None
        if isinstance(node, ast.Comprehension) and node.macro == "filter":
            inner = scope.bind(node.variable, self.finder.number())
            root = inner.names[node.variable]
            own = {
                path.removeprefix(root)
                for path in self.facts(node.body, inner, True)
                if path.startswith(root)
            }
            return frozenset(own) | (self.element_facts(node.range, scope) or _NONE)
        name = self.checked.names.get(node)
        if name is not None and name in self.finder.variables:
            return self.finder.variable_elements(name, self.expression)
        call = self.checked.calls.get(node)
        if call is not None and call.function in ("_+_", "_?_:_"):
            found = [self.element_facts(each, scope) for each in call.arguments[-2:]]
            known = [each for each in found if each is not None]
            return frozenset.intersection(*known) if known else None
        return _NONE

    # --- reads ----------------------------------------------------------------------------------------------

    def visit(self, node: ast.Node, scope: _Scope, known: Facts, *, strict: bool) -> None:
        """Look for reads without a guard; `strict` reads end in an error if the value is null."""
        if isinstance(node, ast.Select) and node not in self.checked.names:
            self.visit(node.operand, scope, known, strict=True)
        if self.may_be_absent(node) and not (isinstance(node, ast.Select) and node.test):
            constant = isinstance(node, ast.Select) and isinstance(self.held(node.operand), dict)
            otherwise = "give the constant that key" if constant else "declare its type under types"
            self.require(node, scope, known, otherwise)
        elif strict and self.may_be_null(node):
            self.require(node, scope, known, "give it a default")
        if node in self.checked.names or isinstance(node, ast.Select):
            return
        if isinstance(node, ast.Comprehension):
            self.comprehension(node, scope, known)
        elif isinstance(node, ast.Bind):
            self.visit(node.value, scope, known, strict=False)
            inner = scope.bind(node.variable, self.finder.number())
            self.visit(node.body, inner, known, strict=strict)
        elif isinstance(node, ast.Call) and node in self.checked.calls:
            self.call(node, scope, known, strict=strict)
        else:
            for child in node.children():
                self.visit(child, scope, known, strict=False)

    def require(self, node: ast.Node, scope: _Scope, known: Facts, otherwise: str) -> None:
        path = self.path(node, scope)
        if path is None or path in known:
            return
        text = " ".join(self.checked.source(node).split())
        ask = f"has({text}) && …" if isinstance(node, ast.Select) else f"{text} != null && …"
        self.finder.report(self.expression, node, path, f"ask first: {ask}; or {otherwise}")

    def comprehension(self, node: ast.Comprehension, scope: _Scope, known: Facts) -> None:
        self.visit(node.range, scope, known, strict=True)
        inner = scope.bind(node.variable, self.finder.number())
        root = inner.names[node.variable]
        elements = self.element_facts(node.range, scope) or _NONE
        known = known | {f"{root}{path}" for path in elements}
        if node.condition is not None:
            self.visit(node.condition, inner, known, strict=True)
            known = known | self.facts(node.condition, inner, True)
        self.visit(node.body, inner, known, strict=node.macro != "map")

    def call(self, node: ast.Call, scope: _Scope, known: Facts, *, strict: bool) -> None:
        call = self.checked.calls[node]
        arguments = call.arguments
        if call.function in ("_&&_", "_||_"):
            self.chain(node, scope, known)
        elif call.function == "_?_:_":
            test, yes, no = arguments
            self.visit(test, scope, known, strict=True)
            self.visit(yes, scope, known | self.facts(test, scope, True), strict=strict)
            self.visit(no, scope, known | self.facts(test, scope, False), strict=strict)
        else:
            for each in arguments:
                self.visit(each, scope, known, strict=call.function not in _LENIENT)

    def chain(self, node: ast.Node, scope: _Scope, known: Facts) -> None:
        """Visit the operands of `&&` or `||`: each may rely on all others, since they absorb its error."""
        operands = self.operands(node)
        holds = self.checked.calls[node].function == "_&&_"
        facts = [self.facts(each, scope, holds) for each in operands]
        times = Counter(path for own in facts for path in own)
        everything = known.union(*facts)
        for each, own in zip(operands, facts, strict=True):
            alone = {path for path in own if times[path] == 1 and path not in known}
            self.visit(each, scope, everything - alone if alone else everything, strict=True)


def _is_null(node: ast.Node) -> bool:
    return isinstance(node, ast.Literal) and node.value is None


def _prefixes(path: str) -> Facts:
    """Return a path and the ways to it."""
    found: list[str] = []
    for step in path.split("."):
        found.append(f"{found[-1]}.{step}" if found else step)
    return frozenset(found)


CHECK = Check("W221", "unguarded-path", "warning", find)
