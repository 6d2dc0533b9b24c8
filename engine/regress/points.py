"""Coverage points: parts of a policy's expressions with more than one possible outcome."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from engine.base.records import record
from engine.cel import celtypes as t
from engine.cel import syntax as ast
from engine.cel.checker import Checked
from engine.policy.compiled import CompiledPolicy, Expression, uses

Kind = Literal["match", "condition", "operand", "threshold"]

_LOGIC = ("_&&_", "_||_")
_COMPARISONS = ("_<_", "_<=_", "_>_", "_>=_", "_==_", "_!=_")
_BOUNDS = ("math.least", "math.greatest")
_NUMBERS = (t.INT, t.UINT, t.DOUBLE)


@record(eq=False)
class Chain:
    """Operands of one operator, as in `a && b && c`; an operand with the `decisive` value decides alone."""

    expression: Expression
    node: ast.Node
    operands: tuple[ast.Node, ...]
    decisive: bool


@record(eq=False)
class Choice:
    """An expression to cover as true and as false: the condition of a match or of `?:`."""

    expression: Expression
    node: ast.Node


@record(eq=False)
class Threshold:
    """A comparison with a constant: the other side must be covered below, at and above it."""

    expression: Expression
    node: ast.Node
    value: ast.Node
    constant: ast.Node
    name: str


@record(eq=False)
class Points:
    """All coverage points of a policy, in file order."""

    choices: tuple[Choice, ...]
    chains: tuple[Chain, ...]
    thresholds: tuple[Threshold, ...]


def points(policy: CompiledPolicy) -> Points:
    """Return the coverage points of a policy."""
    choices: list[Choice] = []
    chains: list[Chain] = []
    thresholds: list[Threshold] = []
    for use in uses(policy):
        expression, checked = use.expression, use.expression.checked
        constant = isinstance(checked.root, ast.Literal)
        if use.match is not None and expression is use.match.condition and not constant:
            choices.append(Choice(expression, checked.root))
        inner: set[ast.Node] = set()
        for node in checked.root.walk():
            call = checked.calls.get(node)
            if call is None:
                continue
            if call.function == "_?_:_":
                choices.append(Choice(expression, call.arguments[0]))
            elif call.function in _LOGIC and node not in inner:
                operands = tuple(_operands(checked, node, call.function, inner))
                chains.append(Chain(expression, node, operands, call.function == "_||_"))
            elif call.function in (*_COMPARISONS, *_BOUNDS):
                thresholds += _thresholds(expression, node)
    return Points(tuple(choices), tuple(chains), tuple(thresholds))


def _operands(checked: Checked, node: ast.Node, function: str, inner: set[ast.Node]) -> Iterator[ast.Node]:
    """Yield the operands of a chain; add the calls inside it to `inner`."""
    for argument in checked.calls[node].arguments:
        call = checked.calls.get(argument)
        if call is not None and call.function == function:
            inner.add(argument)
            yield from _operands(checked, argument, function, inner)
        else:
            yield argument


def _thresholds(expression: Expression, node: ast.Node) -> Iterator[Threshold]:
    """Yield the threshold of a comparison of numbers in which exactly one side is a constant."""
    checked = expression.checked
    arguments = checked.calls[node].arguments
    if len(arguments) != 2 or any(checked.types[argument] not in _NUMBERS for argument in arguments):
        return
    names = [_constant(checked, argument) for argument in arguments]
    if (names[0] is None) is (names[1] is None):
        return
    constant = 0 if names[0] is not None else 1
    name = names[constant]
    assert name is not None
    yield Threshold(expression, node, arguments[1 - constant], arguments[constant], name)


def _constant(checked: Checked, node: ast.Node) -> str | None:
    """Return the name of the constant that a side consists of, type conversions aside."""
    name = checked.names.get(node, "")
    if name.startswith("constants."):
        return name.partition(".")[2]
    call = checked.calls.get(node)
    if call is not None and call.function in ("int", "double", "uint"):
        return _constant(checked, call.arguments[0])
    return None
