"""Expressions as formulas for the SMT solver z3: bit for bit what CEL computes, errors included.

An int is a 64-bit vector, a double an IEEE 754 number, so nothing is rounded away. What has no formula
(lists, macros, most functions) stands for itself as an unknown of its type: it may then have any value,
which proofs allow for, and of which a counterexample may make too much.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import z3

from engine.cel import ast
from engine.cel import types as t
from engine.cel.checker import Checked
from engine.cel.types import Type
from engine.cel.unparse import unparse
from engine.records import field, record, replace

_DOUBLE = z3.Float64()
_ROUND = z3.RNE()
_SORTS: dict[Type, Callable[[], Any]] = {
    t.BOOL: z3.BoolSort,
    t.INT: lambda: z3.BitVecSort(64),
    t.UINT: lambda: z3.BitVecSort(64),
    t.DOUBLE: z3.Float64,
    t.STRING: z3.StringSort,
}


@record
class Term:
    """A formula for an expression's value, and one for that it ends in an error."""

    value: Any
    error: Any


@record(eq=False)
class Unknown:
    """Something that has any value of its type: an input's scalar, or what has no formula."""

    text: str
    type: Type
    symbol: Any
    opaque: bool


@record(frozen=False, eq=False)
class Unknowns:
    """The unknowns of one formula, and what is known of them."""

    found: dict[str, Unknown] = field(default_factory=dict)
    facts: list[Any] = field(default_factory=list)

    def get(self, name: str, text: str, type_: Type, *, opaque: bool) -> Unknown:
        """The unknown of that name, the same each time."""
        if name not in self.found:
            symbol = z3.Const(name, _SORTS[type_]())
            self.found[name] = Unknown(text, type_, symbol, opaque)
            if type_ == t.DOUBLE and not opaque:
                self.facts.append(z3.Not(z3.Or(z3.fpIsNaN(symbol), z3.fpIsInf(symbol))))
        return self.found[name]


Read = Callable[[str], Term | None]
"""A global name's term; None where it has no formula."""


Table = Mapping[str, Mapping[str, Any]]
"""A catalog's rows by the names of its entries."""


class NoFormula(Exception):
    """An expression that is of no type that the solver has."""


class Encoder:
    """Writes formulas for one checked expression."""

    def __init__(
        self,
        checked: Checked,
        read: Read,
        unknowns: Unknowns,
        prefix: str = "",
        tables: Mapping[str, Table] | None = None,
        counts: frozenset[str] = frozenset(),
    ) -> None:
        """`prefix` sets the unknowns of one request apart from those of another; `tables` are the
        catalogs', `counts` the fields that are never below 0."""
        self.tables = tables or {}
        self.counts = counts
        self.checked = checked
        self.read = read
        self.unknowns = unknowns
        self.prefix = prefix

    def encode(self, node: ast.Node | None = None) -> Term:
        """The term of a node (the whole expression without one).

        Raises:
            NoFormula: it is of a type that the solver doesn't have.
        """
        node = node or self.checked.root
        type_ = self.checked.types[node]
        if type_ not in _SORTS:
            raise NoFormula(type_)
        made = self.known(node, type_)
        return self.opaque(node, type_) if made is None else made

    def known(self, node: ast.Node, type_: Type) -> Term | None:
        if node in self.checked.names:
            return self.read(self.checked.names[node])
        if isinstance(node, ast.Literal):
            return Term(literal(node.value, type_), z3.BoolVal(False))
        if isinstance(node, ast.Select) and not node.test:
            return self.field(node, type_)
        call = self.checked.calls.get(node)
        if call is None:
            return None
        try:
            return self.call(call.function, call.arguments, type_)
        except NoFormula:
            return None

    def field(self, node: ast.Select, type_: Type) -> Term | None:
        """A field of an input: a scalar of the request."""
        path = [node.field]
        operand = node.operand
        while isinstance(operand, ast.Select) and operand not in self.checked.names:
            if operand.test:
                return None
            path.append(operand.field)
            operand = operand.operand
        if len(path) == 1 and self.is_catalog(operand):
            return self.cell(operand, node.field, type_)
        name = self.checked.names.get(operand)
        if name is None or name.partition(".")[0] in ("variables", "constants", "catalogs"):
            return None
        text = ".".join([name, *reversed(path)])
        unknown = self.unknowns.get(f"{self.prefix}{text}", f"{self.prefix}{text}", type_, opaque=False)
        if text in self.counts:
            self.unknowns.facts.append(unknown.symbol >= 0)
        return Term(unknown.symbol, z3.BoolVal(False))

    def is_catalog(self, node: ast.Node) -> bool:
        """Whether a node is `catalogs.NAME[key]`."""
        call = self.checked.calls.get(node)
        if call is None or call.function != "_[_]":
            return False
        return self.checked.names.get(call.arguments[0], "").startswith("catalogs.")

    def cell(self, entry: ast.Node, column: str, type_: Type) -> Term | None:
        """A column of a catalog's entry: of one entry its value, else a choice by the entry's name."""
        container, key = self.checked.calls[entry].arguments
        table = self.tables.get(self.checked.names[container].partition(".")[2], {})
        values = {name: row[column] for name, row in table.items() if row.get(column) is not None}
        if not values or len(values) < len(table):
            return None
        term = self.encode(key)
        names = [z3.StringVal(name) for name in values]
        cells = [literal(value, type_) for value in values.values()]
        made = cells[-1]
        for name, cell in zip(names[:-1], cells[:-1], strict=True):
            made = z3.If(term.value == name, cell, made)
        missing = z3.Not(z3.Or([term.value == name for name in names]))
        return Term(made, z3.Or(term.error, missing))

    def opaque(self, node: ast.Node, type_: Type) -> Term:
        name = unparse(self.named(self.checked.part(node)), lambda _: None)
        unknown = self.unknowns.get(name, name, type_, opaque=True)
        call = self.checked.calls.get(node)
        if call is not None and call.function == "size":
            self.unknowns.facts.append(unknown.symbol >= 0)
            return Term(unknown.symbol, z3.BoolVal(False))
        return Term(unknown.symbol, z3.Bool(f"error of {name}"))

    def named(self, part: Checked) -> Checked:
        """A part whose names are those of the request that it is of."""
        if not self.prefix:
            return part
        shared = ("constants.", "catalogs.")
        names = {
            node: name if name.startswith(shared) else f"{self.prefix}{name}"
            for node, name in part.names.items()
        }
        return replace(part, names=names)

    # --- calls ----------------------------------------------------------------------------------------------

    def call(self, function: str, arguments: tuple[ast.Node, ...], type_: Type) -> Term | None:
        if function in ("_&&_", "_||_"):
            return logic([self.encode(each) for each in arguments], decisive=function == "_||_")
        if function == "!_":
            inner = self.encode(arguments[0])
            return Term(z3.Not(inner.value), inner.error)
        if function == "_?_:_":
            return self.conditional(arguments)
        if function == "_in_":
            return self.membership(*arguments)
        terms = [self.encode(each) for each in arguments]
        types = [self.checked.types[each] for each in arguments]
        error = z3.Or([term.error for term in terms])
        values = [term.value for term in terms]
        made = _operation(function, values, types)
        if made is None:
            return None
        value, own = made
        return Term(value, error if own is None else z3.Or(error, own))

    def conditional(self, arguments: tuple[ast.Node, ...]) -> Term:
        condition, yes, no = map(self.encode, arguments)
        value = z3.If(condition.value, yes.value, no.value)
        error = z3.Or(condition.error, z3.If(condition.value, yes.error, no.error))
        return Term(value, error)

    def membership(self, item: ast.Node, container: ast.Node) -> Term | None:
        if not isinstance(container, ast.ListLiteral):
            return None
        first = self.encode(item)
        others = [self.encode(each) for each in container.elements]
        if any(self.checked.types[each] != self.checked.types[item] for each in container.elements):
            return None
        equal = [_equal(first.value, other.value, self.checked.types[item]) for other in others]
        return Term(z3.Or(equal), z3.Or([first.error, *(other.error for other in others)]))


def literal(value: Any, type_: Type) -> Any:
    """A plain value as the solver's.

    Raises:
        NoFormula: it is of a type that the solver doesn't have.
    """
    if type_ == t.BOOL:
        return z3.BoolVal(value)
    if type_ in (t.INT, t.UINT):
        return z3.BitVecVal(value, 64)
    if type_ == t.DOUBLE:
        return z3.FPVal(value, _DOUBLE)
    if type_ == t.STRING:
        return z3.StringVal(value)
    raise NoFormula(type_)


def plain(value: Any, type_: Type) -> Any:
    """The solver's value as plain Python."""
    if type_ == t.BOOL:
        return z3.is_true(value)
    if type_ == t.INT:
        return value.as_signed_long()
    if type_ == t.UINT:
        return value.as_long()
    if type_ == t.STRING:
        return value.as_string()
    if value.isNaN():
        return math.nan
    bits = z3.simplify(z3.fpToIEEEBV(value)).as_long()
    return struct.unpack("<d", struct.pack("<Q", bits))[0]


def logic(terms: list[Term], *, decisive: bool) -> Term:
    """`&&` or `||`: one side may decide whatever becomes of the other."""

    def decides(term: Term) -> Any:
        return z3.And(z3.Not(term.error), term.value if decisive else z3.Not(term.value))

    decided = z3.Or([decides(term) for term in terms])
    error = z3.And(z3.Not(decided), z3.Or([term.error for term in terms]))
    return Term(decided if decisive else z3.Not(decided), error)


def _equal(first: Any, second: Any, type_: Type) -> Any:
    return z3.fpEQ(first, second) if type_ == t.DOUBLE else first == second


def _operation(function: str, values: list[Any], types: list[Type]) -> tuple[Any, Any] | None:
    """The value of an operation on equal types, and when it is an error (None for never)."""
    exact = types[0] if len(set(types)) == 1 else None
    if function in ("_==_", "_!=_") and exact is not None:
        equal = _equal(values[0], values[1], exact)
        return (equal if function == "_==_" else z3.Not(equal)), None
    if function == "double" and exact == t.INT:
        return z3.fpSignedToFP(_ROUND, values[0], _DOUBLE), None
    if (function == "double" and exact == t.DOUBLE) or (function == "int" and exact == t.INT):
        return values[0], None
    if function in ("startsWith", "endsWith", "contains") and exact == t.STRING:
        whole, part = values
        made = {"startsWith": z3.PrefixOf(part, whole), "endsWith": z3.SuffixOf(part, whole)}
        return made.get(function, z3.Contains(whole, part)), None
    if function in ("math.least", "math.greatest") and len(values) == 2 and exact is not None:
        less = _comparison("_<_", values[0], values[1], exact)
        if less is None:
            return None
        first, second = values if function == "math.least" else values[::-1]
        return z3.If(less, first, second), None
    if exact is None:
        return None
    compared = _comparison(function, values[0], values[1], exact) if len(values) == 2 else None
    if compared is not None:
        return compared, None
    if exact == t.INT:
        return _int_operation(function, values)
    return _double_operation(function, values) if exact == t.DOUBLE else None


def _comparison(function: str, first: Any, second: Any, type_: Type) -> Any | None:
    if function not in ("_<_", "_<=_", "_>_", "_>=_"):
        return None
    if function in ("_>_", "_>=_"):
        first, second = second, first
    strict = function in ("_<_", "_>_")
    if type_ == t.INT:
        return first < second if strict else first <= second
    if type_ == t.UINT:
        return z3.ULT(first, second) if strict else z3.ULE(first, second)
    if type_ == t.DOUBLE:
        return z3.fpLT(first, second) if strict else z3.fpLEQ(first, second)
    return None


def _int_operation(function: str, values: list[Any]) -> tuple[Any, Any] | None:
    least = z3.BitVecVal(-(2**63), 64)
    if function == "-_":
        return -values[0], values[0] == least
    if len(values) != 2:
        return None
    first, second = values
    if function == "_+_":
        bounds = z3.And(z3.BVAddNoOverflow(first, second, True), z3.BVAddNoUnderflow(first, second))
        return first + second, z3.Not(bounds)
    if function == "_-_":
        bounds = z3.And(z3.BVSubNoOverflow(first, second), z3.BVSubNoUnderflow(first, second, True))
        return first - second, z3.Not(bounds)
    if function == "_*_":
        bounds = z3.And(z3.BVMulNoOverflow(first, second, True), z3.BVMulNoUnderflow(first, second))
        return first * second, z3.Not(bounds)
    if function in ("_/_", "_%_"):
        error = z3.Or(second == 0, z3.And(first == least, second == -1))
        return (first / second if function == "_/_" else z3.SRem(first, second)), error
    return None


def _double_operation(function: str, values: list[Any]) -> tuple[Any, Any] | None:
    if function == "-_":
        return z3.fpNeg(values[0]), None
    operations = {"_+_": z3.fpAdd, "_-_": z3.fpSub, "_*_": z3.fpMul, "_/_": z3.fpDiv}
    if function not in operations:
        return None
    return operations[function](_ROUND, *values), None


def opaque_texts(unknowns: Unknowns) -> Iterator[str]:
    """What has no formula, as it is written."""
    return (unknown.text for unknown in unknowns.found.values() if unknown.opaque)
