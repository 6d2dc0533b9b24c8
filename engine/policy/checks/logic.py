"""What can be shown of conditions without a request: which implies which, which exclude each other.

It says yes only where it is sure; doubles are taken to be numbers, not NaN. Terms are compared by their
text with constants filled in; of comparisons with numbers, the ranges are.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from engine.base.records import field, record
from engine.cel import celtypes as t
from engine.cel import syntax as ast
from engine.cel.checker import Checked
from engine.cel.unparse import unparse
from engine.cel.values import Uint

if TYPE_CHECKING:
    from engine.cel.values import Value


class Effort:
    """How much more may be looked at, in comparisons of conditions; then nothing more is shown.

    Which of many conditions imply each other takes quadratic time; alternatives in alternatives take more.
    """

    def __init__(self, looks: int = 200_000) -> None:
        self.looks = looks

    def spent(self, looks: int = 1) -> bool:
        """True once all is spent, these included."""
        self.looks -= looks
        return self.looks < 0


_FLIPPED = {"_<_": "_>_", "_<=_": "_>=_", "_>_": "_<_", "_>=_": "_<=_", "_==_": "_==_", "_!=_": "_!=_"}
_NEGATED = {"_<_": "_>=_", "_<=_": "_>_", "_>_": "_<=_", "_>=_": "_<_", "_==_": "_!=_", "_!=_": "_==_"}


@record
class Condition:
    """A condition as a tree: `and` and `or` of parts, or a term.

    A term is a text that holds or, `negated`, doesn't; of a comparison with a number, `text` is the other
    side.
    """

    kind: str
    parts: tuple[Condition, ...] = ()
    text: str = ""
    negated: bool = False
    operator: str = ""
    number: float | int | None = None
    whole: bool = False
    size: int = field(default=1, compare=False)
    """Terms and choices in it."""

    def negation(self) -> Condition:
        """The condition that holds just where this one doesn't."""
        if self.kind in ("and", "or"):
            other = "or" if self.kind == "and" else "and"
            return Condition(other, tuple(part.negation() for part in self.parts), size=self.size)
        if self.operator:
            return Condition(
                "term",
                text=self.text,
                operator=_NEGATED[self.operator],
                number=self.number,
                whole=self.whole,
            )
        return Condition("term", text=self.text, negated=not self.negated)


def condition(checked: Checked, constants: Mapping[str, Value]) -> Condition:
    """The tree of a checked condition; `constants` are the policy's, by name."""
    return _Reader(checked, constants).read(checked.root)


class _Reader:
    def __init__(self, checked: Checked, constants: Mapping[str, Value]) -> None:
        self.checked = checked
        self.constants = constants

    def read(self, node: ast.Node) -> Condition:
        call = self.checked.calls.get(node)
        if call is not None and call.function in ("_&&_", "_||_"):
            kind = "and" if call.function == "_&&_" else "or"
            parts = tuple(self.flat(kind, map(self.read, call.arguments)))
            return Condition(kind, parts, size=1 + sum(part.size for part in parts))
        if call is not None and call.function == "!_":
            return self.read(call.arguments[0]).negation()
        if call is not None and call.function in _FLIPPED:
            compared = self.comparison(call.function, *call.arguments)
            return compared or self.order(call.function, *call.arguments)
        return self.term(node)

    def flat(self, kind: str, parts: Iterable[Condition]) -> Iterator[Condition]:
        for part in parts:
            if part.kind == kind:
                yield from part.parts
            else:
                yield part

    def comparison(self, operator: str, left: ast.Node, right: ast.Node) -> Condition | None:
        number, other = self.number(right), left
        if number is None:
            number, other, operator = self.number(left), right, _FLIPPED[operator]
        type_ = self.checked.types[other]
        if number is None or type_ not in (t.INT, t.UINT, t.DOUBLE):
            return None
        whole = type_ != t.DOUBLE
        return Condition("term", text=self.text(other), operator=operator, number=number, whole=whole)

    def order(self, operator: str, left: ast.Node, right: ast.Node) -> Condition:
        """Return a comparison of two expressions: `<` or `==` of them, or its negation."""
        first, second = self.text(left), self.text(right)
        if operator in ("_==_", "_!=_"):
            first, second = sorted((first, second))
            return Condition("term", text=f"{first} == {second}", negated=operator == "_!=_")
        if operator in ("_>_", "_<=_"):
            first, second = second, first
        return Condition("term", text=f"{first} < {second}", negated=operator in ("_>=_", "_<=_"))

    def term(self, node: ast.Node) -> Condition:
        return Condition("term", text=self.text(node))

    def number(self, node: ast.Node) -> float | int | None:
        """The number that a literal or a constant is."""
        value: Value = None
        if isinstance(node, ast.Literal):
            value = node.value
        elif self.checked.names.get(node, "").startswith("constants."):
            value = self.constants[self.checked.names[node].partition(".")[2]]
        if isinstance(value, Uint):
            return int(value)
        return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None

    def text(self, node: ast.Node) -> str:
        number = self.number(node)
        return unparse(self.checked.part(node), lambda _: None) if number is None else repr(number)


def implies(given: Condition, wanted: Condition, effort: Effort) -> bool:
    """Whether `wanted` surely holds wherever `given` does."""
    if effort.spent(given.size + wanted.size):  # they may be compared, and turned into their negations
        return False
    if given.kind == "or":
        return all(implies(part, wanted, effort) for part in given.parts)
    if wanted.kind == "and":
        return all(implies(given, part, effort) for part in wanted.parts)
    if wanted.kind == "or":
        return any(implies(given, part, effort) for part in wanted.parts) or excluded(
            [given, wanted.negation()], effort
        )
    facts = given.parts if given.kind == "and" else (given,)
    if any(fact == wanted for fact in facts) or (wanted.text == "true" and not wanted.negated):
        return True
    return excluded([given, wanted.negation()], effort)


def excluded(conditions: Iterable[Condition], effort: Effort) -> bool:
    """Whether the conditions surely never hold together."""
    conditions = tuple(conditions)
    if effort.spent(sum(each.size for each in conditions)):
        return False
    terms: list[Condition] = []
    choices: list[Condition] = []
    for each in conditions:
        for part in each.parts if each.kind == "and" else (each,):
            (choices if part.kind == "or" else terms).append(part)
    if _contradict(terms):
        return True
    # Of a choice, every way must be shut; one choice at a time is enough for what people write.
    return any(all(excluded([*terms, part], effort) for part in choice.parts) for choice in choices)


def _contradict(terms: list[Condition]) -> bool:
    ranges: dict[str, _Range] = {}
    seen = {(term.text, term.negated) for term in terms if not term.operator}
    for term in terms:
        if term.operator:
            known = ranges.setdefault(term.text, _Range())
            known.narrow(term)
            if known.empty():
                return True
        elif term.text in ("true", "false"):
            if (term.text == "true") is term.negated:
                return True
        elif (term.text, not term.negated) in seen:
            return True
    return False


@record(frozen=False, eq=False)
class _Range:
    """The numbers that a side of comparisons may be."""

    low: float | int = -math.inf
    high: float | int = math.inf
    low_open: bool = False
    high_open: bool = False
    holes: set[float | int] = field(default_factory=set)

    def narrow(self, term: Condition) -> None:
        number, operator = term.number, term.operator
        assert number is not None
        if term.whole and operator == "_>_":
            number, operator = math.floor(number) + 1, "_>=_"
        elif term.whole and operator == "_<_":
            number, operator = math.ceil(number) - 1, "_<=_"
        if operator == "_!=_":
            self.holes.add(number)
        if operator in ("_>_", "_>=_", "_==_") and number >= self.low:
            self.low_open = operator == "_>_" or (number == self.low and self.low_open)
            self.low = number
        if operator in ("_<_", "_<=_", "_==_") and number <= self.high:
            self.high_open = operator == "_<_" or (number == self.high and self.high_open)
            self.high = number
        if operator == "_==_" and not self.low <= number <= self.high:
            self.low, self.high = 1, 0

    def empty(self) -> bool:
        if self.low > self.high:
            return True
        return self.low == self.high and (self.low_open or self.high_open or self.low in self.holes)
