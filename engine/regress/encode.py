"""Encode CEL expressions as formulas for the SMT solver z3, bit for bit and with errors.

An int is a 64-bit vector, a double an IEEE 754 number, a time a whole number of nanoseconds, so nothing is
rounded. Lists of literals and constants, and macros over them, are spelt out. Other lists and most functions
have no formula; they become unconstrained unknowns of their type. A proof is therefore sound, but a
counterexample may use values that no request has.
"""

from __future__ import annotations

import math
import operator
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping

import z3

from engine.base.aliases import Row
from engine.base.records import field, record, replace
from engine.cel import celtypes as t
from engine.cel import syntax as ast
from engine.cel.celtypes import Bounds, Kind, Type
from engine.cel.checker import Checked
from engine.cel.times import SECOND, Duration, Timestamp
from engine.cel.unparse import unparse
from engine.cel.values import Value
from engine.regress.encode_times import (
    RANGES,
    Calendar,
    Years,
    fixed_offset,
    is_duration,
    is_result,
    is_timestamp,
    of_seconds,
    part_of_duration,
    part_of_timestamp,
    seconds,
)

_DOUBLE = z3.Float64()
_ROUND = z3.RNE()
_SORTS: dict[Type, Callable[[], z3.SortRef]] = {
    t.BOOL: z3.BoolSort,
    t.INT: lambda: z3.BitVecSort(64),
    t.UINT: lambda: z3.BitVecSort(64),
    t.DOUBLE: z3.Float64,
    t.STRING: z3.StringSort,
    t.TIMESTAMP: z3.IntSort,
    t.DURATION: z3.IntSort,
}
_TIMES = (t.TIMESTAMP, t.DURATION)
_MOST_ELEMENTS = 200
"""Elements of a list that is spelt out."""


@record
class Term:
    """Formulas for the value of an expression and for its failure.

    `integer` is the value of an int without bounds, where it is known: the solver compares such a number with
    a literal faster.
    """

    value: z3.ExprRef
    error: z3.BoolRef
    integer: z3.ArithRef | None = None


@record(eq=False)
class Items:
    """A list that is spelt out: each element with the condition under which it is in the list.

    `error` says when making the list fails.
    """

    elements: tuple[tuple[z3.BoolRef, Term], ...]
    type: Type
    error: z3.BoolRef


@record(eq=False)
class Unknown:
    """An unconstrained value: a scalar of an input, or an expression without a formula (`opaque`).

    `reads` are the inputs and variables that determine it, by name and without the prefix of a request.
    """

    text: str
    type: Type
    symbol: z3.ExprRef
    opaque: bool
    reads: frozenset[str] = frozenset()


@record(frozen=False, eq=False)
class Unknowns:
    """Unknowns of a formula by name, and facts about them."""

    by_name: dict[str, Unknown] = field(default_factory=dict)
    facts: list[z3.BoolRef] = field(default_factory=list)
    years: Years = field(default_factory=list)
    """Years of days that formulas read."""
    coarse: bool = False
    """Leave arithmetic on doubles out: it is what the solver takes longest for."""
    skipped: bool = False
    """True once such arithmetic was left out."""

    def get(
        self, name: str, text: str, type_: Type, *, opaque: bool, reads: frozenset[str] = frozenset()
    ) -> Unknown:
        """Return the unknown of that name, creating it on first use."""
        if name not in self.by_name:
            symbol = z3.Const(name, _SORTS[type_]())
            self.by_name[name] = Unknown(text, type_, symbol, opaque, reads)
            if type_.bounds is not None and not opaque:
                self.facts += allowed(symbol, type_)
            if type_ == t.DOUBLE and not opaque:
                self.facts.append(z3.Not(z3.Or(z3.fpIsNaN(symbol), z3.fpIsInf(symbol))))
            elif type_ == t.TIMESTAMP:
                self.facts.append(is_timestamp(symbol))
            elif type_ == t.DURATION:
                self.facts.append(is_duration(symbol))
        return self.by_name[name]


Read = Callable[[str], Term | None]
"""Return the term of a global name; None if it has no formula."""


ReadItems = Callable[[str], "Items | None"]
"""Return the list of a global name; None if it is not spelt out."""

Table = Mapping[str, Row]
"""Rows of a catalog by entry name."""


Scalar = bool | int | float | str

_Outcome = tuple[z3.ExprRef, z3.BoolRef | None]
"""The value of an operation, and when it fails (None: never)."""


class NoFormula(Exception):
    """Raised for an expression whose type the solver does not model."""


class Encoder:
    """Encode one checked expression."""

    def __init__(
        self,
        checked: Checked,
        read: Read,
        unknowns: Unknowns,
        prefix: str = "",
        tables: Mapping[str, Table] | None = None,
        counts: frozenset[str] = frozenset(),
        where: Callable[[str], str] = lambda variable: "",
        items: ReadItems = lambda name: None,
        meaning: Callable[[Iterable[str]], tuple[str, frozenset[str]]] = lambda names: ("", frozenset(names)),
        value: Callable[[str], Value] = lambda name: None,
        output: bool = False,
    ) -> None:
        """Prepare the encoder.

        Args:
            checked: the expression.
            read: returns the terms of global names.
            unknowns: where unknowns and facts are collected.
            prefix: distinguishes the unknowns of two requests.
            tables: rows of catalogs by catalog.
            counts: fields that are never negative.
            where: returns a suffix that identifies variables of nested rules.
            items: returns the lists of global names.
            meaning: returns a suffix that identifies what names mean in a policy, and what determines their
                values.
            value: returns the value of a constant.
            output: `output` means the policy's output, not an input.
        """
        self.output = output
        self.scope: dict[str, Term] = {}
        self.read_items = items
        self.meaning = meaning
        self.value = value
        self.where = where
        self.tables = tables or {}
        self.counts = counts
        self.checked = checked
        self.read = read
        self.unknowns = unknowns
        self.prefix = prefix

    def encode(self, node: ast.Node | None = None) -> Term:
        """Return the term of a node, by default the root.

        Raises:
            NoFormula: the solver does not model its type.
        """
        node = node or self.checked.root
        type_ = self.checked.types[node]
        if type_.kind is Kind.WRAPPER:
            return self.not_null(node)
        if type_ not in _SORTS:
            raise NoFormula(type_)
        term = self.known(node, type_)
        return self.opaque(node, type_) if term is None else term

    def known(self, node: ast.Node, type_: Type) -> Term | None:
        if node in self.checked.names:
            return self.read(self.checked.names[node])
        if isinstance(node, ast.Identifier):
            return self.scope.get(node.name)
        if isinstance(node, ast.Comprehension) and node.second is None:
            try:
                return self.comprehension(node)
            except NoFormula:
                return None
        if isinstance(node, ast.Literal):
            return Term(literal(node.value, type_), z3.BoolVal(False))
        if isinstance(node, ast.Select):
            return self.has(node) if node.test else self.field(node, type_)
        call = self.checked.calls.get(node)
        if call is None:
            return None
        try:
            return self.call(call.function, call.arguments, type_)
        except NoFormula:
            return None

    def field(self, node: ast.Select, type_: Type) -> Term | None:
        """Return the term of an input's field; None if it is no scalar of the request."""
        if self.is_catalog(node.operand):
            return self.cell(node.operand, node.field, type_)
        found = self.path(node)
        if found is None:
            return None
        name, text = found
        if self.output and name.rpartition(".")[2] == "output":
            return self.read(text)
        unknown = self.unknowns.get(
            f"{self.prefix}{text}", f"{self.prefix}{text}", type_, opaque=False, reads=frozenset({text})
        )
        if text in self.counts:
            self.unknowns.facts.append(unknown.symbol >= 0)
        return Term(unknown.symbol, self.absent(node.operand))

    def path(self, node: ast.Node) -> tuple[str, str] | None:
        """Return the input that a node reads and its path in a request; None if it reads anything else."""
        path: list[str] = []
        while isinstance(node, ast.Select) and node not in self.checked.names:
            if node.test:
                return None
            path.append(node.field)
            node = node.operand
        name = self.checked.names.get(node)
        if name is None or name.partition(".")[0] in ("variables", "constants", "catalogs"):
            return None
        return name, ".".join([name, *reversed(path)])

    # --- what may be absent ---------------------------------------------------------------------------------

    def has(self, node: ast.Select) -> Term | None:
        """Return the term of `has()` of an optional field of a declared type; None for any other."""
        field_ = replace(node, test=False)
        operand = self.checked.types[node.operand].exact
        objects = self.checked.environment.objects
        if operand.kind is not Kind.OBJECT or not objects[operand.name].declared:
            return None
        if objects[operand.name].fields[node.field].type.kind is not Kind.WRAPPER:
            return Term(z3.BoolVal(True), self.absent(node.operand))
        found = self.path(field_)
        return None if found is None else Term(self.presence(found[1]), self.absent(node.operand))

    def presence(self, text: str) -> z3.BoolRef:
        """Return whether an optional field or input is there."""
        name = f"has({self.prefix}{text})"
        return self.unknowns.get(name, name, t.BOOL, opaque=False, reads=frozenset({text})).symbol

    def absent(self, node: ast.Node) -> z3.BoolRef:
        """Return when reading a field of a node fails: a record on the way is not there."""
        missing = [z3.BoolVal(False)]
        while True:
            found = self.path(node) if self.checked.types[node].kind is Kind.WRAPPER else None
            if found is not None:
                missing.append(z3.Not(self.presence(found[1])))
            if not isinstance(node, ast.Select) or node in self.checked.names:
                return z3.simplify(z3.Or(missing))
            node = node.operand

    def nullable(self, node: ast.Node) -> tuple[z3.BoolRef, Term]:
        """Return whether a value is not null, and its term then.

        Raises:
            NoFormula: the solver does not model it.
        """
        type_ = self.checked.types[node]
        if type_.kind is not Kind.WRAPPER:
            return z3.BoolVal(True), self.encode(node)
        found = self.path(node)
        if found is None or type_.element not in _SORTS or (self.output and "output" in found[0]):
            raise NoFormula(type_)
        text = found[1]
        name = f"{self.prefix}{text}"
        unknown = self.unknowns.get(name, name, type_.element, opaque=False, reads=frozenset({text}))
        above = z3.BoolVal(False)
        if isinstance(node, ast.Select) and node not in self.checked.names:
            above = self.absent(node.operand)
        return self.presence(text), Term(unknown.symbol, above)

    def not_null(self, node: ast.Node) -> Term:
        """Return the term of a value that must not be null where it is read."""
        there, term = self.nullable(node)
        return Term(term.value, z3.Or(term.error, z3.Not(there)))

    def equal_or_null(self, function: str, arguments: tuple[ast.Node, ...]) -> Term:
        """Return the term of `==` or `!=` of values that may be null."""
        nulls = [self.checked.types[each].kind is Kind.NULL for each in arguments]
        parts = [self.nullable(each) for each, null in zip(arguments, nulls, strict=True) if not null]
        error = z3.Or([term.error for _, term in parts])
        if any(nulls):
            equal = z3.Not(z3.Or([there for there, _ in parts])) if parts else z3.BoolVal(True)
        else:
            (first, one), (second, other) = parts
            type_ = self.checked.types[arguments[0]].exact
            if type_ != self.checked.types[arguments[1]].exact:
                raise NoFormula(type_)
            same = z3.And(first, second, _equal(one.value, other.value, type_))
            equal = z3.Or(same, z3.And(z3.Not(first), z3.Not(second)))
        return Term(equal if function == "_==_" else z3.Not(equal), error)

    # --- catalogs -------------------------------------------------------------------------------------------

    def is_catalog(self, node: ast.Node) -> bool:
        """Return True for a node of the form `catalogs.NAME[key]`."""
        call = self.checked.calls.get(node)
        if call is None or call.function != "_[_]":
            return False
        return self.checked.names.get(call.arguments[0], "").startswith("catalogs.")

    def cell(self, entry: ast.Node, column: str, type_: Type) -> Term | None:
        """Return the term of a catalog's cell: a choice by the name of the entry."""
        container, key = self.checked.calls[entry].arguments
        table = self.tables.get(self.checked.names[container].partition(".")[2], {})
        values = {name: row[column] for name, row in table.items() if row.get(column) is not None}
        if not values or len(values) < len(table):
            return None
        term = self.encode(key)
        names = [z3.StringVal(name) for name in values]
        cells = [literal(value, type_) for value in values.values()]
        value = cells[-1]
        for name, cell in zip(names[:-1], cells[:-1], strict=True):
            value = z3.If(term.value == name, cell, value)
        missing = z3.Not(z3.Or([term.value == name for name in names]))
        return Term(value, z3.Or(term.error, missing))

    def opaque(self, node: ast.Node, type_: Type) -> Term:
        if any(isinstance(inner, ast.Identifier) and inner.name in self.scope for inner in node.walk()):
            raise NoFormula("a macro variable")
        part = self.checked.part(node)
        text = unparse(self.with_prefix(part), lambda _: None)
        meaning, reads = self.meaning(part.free_names())
        name = text + "".join(self.where(free) for free in part.free_names()) + meaning
        unknown = self.unknowns.get(name, text, type_, opaque=True, reads=reads)
        call = self.checked.calls.get(node)
        if call is not None and call.function in RANGES and type_ == t.INT:
            least, most = RANGES[call.function]
            if self.checked.types[call.arguments[0]] == t.TIMESTAMP:
                self.unknowns.facts.append(z3.And(unknown.symbol >= least, unknown.symbol <= most))
        if call is not None and call.function == "size":
            self.unknowns.facts.append(unknown.symbol >= 0)
            return Term(unknown.symbol, z3.BoolVal(False))
        return Term(unknown.symbol, z3.Bool(f"error of {name}"))

    def with_prefix(self, part: Checked) -> Checked:
        """Return a part with the request's prefix on its names."""
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
            return logic([self.encode(argument) for argument in arguments], decisive=function == "_||_")
        if function == "!_":
            inner = self.encode(arguments[0])
            return Term(z3.Not(inner.value), inner.error)
        if function == "_?_:_":
            return self.conditional(arguments)
        if function == "_in_":
            return self.membership(*arguments)
        if function == "size":
            return self.size(arguments[0])
        if function == "_[_]":
            return self.element(*arguments)
        if function in ("timestamp", "duration"):
            return self.time(arguments[0], type_)
        if function in RANGES:
            return self.part(function, *arguments)
        given = {self.checked.types[argument].kind for argument in arguments}
        if function in ("_==_", "_!=_") and given & {Kind.WRAPPER, Kind.NULL}:
            return self.equal_or_null(function, arguments)
        terms = [self.encode(argument) for argument in arguments]
        types = [self.checked.types[argument].exact for argument in arguments]
        error = z3.Or([term.error for term in terms])
        values = [term.value for term in terms]
        if self.unknowns.coarse and function in _ARITHMETIC and t.DOUBLE in types:
            self.unknowns.skipped = True
            return None
        whole = _compare_integers(function, terms)
        if whole is not None:
            return Term(whole, error)
        if function == "int" and types[0] == t.TIMESTAMP:
            return Term(seconds(values[0]), error, values[0] / SECOND)
        result = _time_operation(function, values, types) or _operation(function, values, types)
        if result is None:
            return None
        value, fails = result
        return Term(value, error if fails is None else z3.Or(error, fails))

    def conditional(self, arguments: tuple[ast.Node, ...]) -> Term:
        condition, yes, no = map(self.encode, arguments)
        value = z3.If(condition.value, yes.value, no.value)
        error = z3.Or(condition.error, z3.If(condition.value, yes.error, no.error))
        return Term(value, error)

    # --- times ----------------------------------------------------------------------------------------------

    def time(self, argument: ast.Node, type_: Type) -> Term | None:
        """Return the term of a conversion to a timestamp or a duration."""
        given = self.checked.types[argument]
        if given == type_:
            return self.encode(argument)
        if given == t.INT:
            term = self.encode(argument)
            value = of_seconds(term.value)
            outside = z3.Not(is_timestamp(value))
            return Term(z3.If(outside, z3.IntVal(0), value), z3.Or(term.error, outside))
        text = self.static(argument)
        if not isinstance(text, str):
            return None
        try:
            parsed = Timestamp.parse(text) if type_ == t.TIMESTAMP else Duration.parse(text)
        except ValueError:
            return Term(z3.IntVal(0), z3.BoolVal(True))
        return Term(z3.IntVal(parsed.nanoseconds), z3.BoolVal(False))

    def part(self, function: str, target: ast.Node, zone: ast.Node | None = None) -> Term | None:
        """Return the term of a part of a time; None in a time zone that changes its offset."""
        term = self.encode(target)
        if self.checked.types[target] == t.DURATION:
            value = part_of_duration(function, term.value)
            return None if value is None else Term(value, term.error)
        offset: int | None = 0
        if zone is not None:
            text = self.static(zone)
            offset = fixed_offset(text) if isinstance(text, str) else None
        if offset is None or self.checked.types[target] != t.TIMESTAMP:
            return None
        local = term.value + offset * SECOND if offset else term.value
        outside = z3.Not(is_timestamp(local))
        shifted = z3.If(outside, z3.IntVal(0), local) if offset else local
        calendar = Calendar(self.unknowns.facts, self.unknowns.years)
        value, integer = part_of_timestamp(function, shifted, calendar)
        return Term(value, z3.Or(term.error, outside) if offset else term.error, integer)

    def static(self, node: ast.Node) -> Value:
        """Return the value of a literal or a constant; None for anything else."""
        if isinstance(node, ast.Literal):
            return node.value
        name = self.checked.names.get(node, "")
        return self.value(name.partition(".")[2]) if name.startswith("constants.") else None

    # --- lists ----------------------------------------------------------------------------------------------

    def items(self, node: ast.Node) -> Items | None:
        """Return the elements of a list that is spelt out: of literals, a constant, or made of such lists.

        Raises:
            NoFormula: the solver does not model the type of its elements.
        """
        type_ = self.checked.types[node]
        if type_.kind is not Kind.LIST or type_.element not in _SORTS:
            return None
        if node in self.checked.names:
            return self.read_items(self.checked.names[node])
        if isinstance(node, ast.ListLiteral):
            if node.optionals:
                return None
            if any(self.checked.types[element] != type_.element for element in node.elements):
                return None
            terms = [self.encode(element) for element in node.elements[:_MOST_ELEMENTS]]
            if len(terms) < len(node.elements):
                return None
            elements = tuple((z3.BoolVal(True), Term(term.value, z3.BoolVal(False))) for term in terms)
            return Items(elements, type_.element, z3.Or([term.error for term in terms]))
        if isinstance(node, ast.Comprehension) and node.macro in ("filter", "map") and not node.second:
            return self.mapped(node, type_.element)
        call = self.checked.calls.get(node)
        if call is not None and call.function == "_+_":
            first, second = map(self.items, call.arguments)
            if first is None or second is None:
                return None
            return Items(first.elements + second.elements, first.type, z3.Or(first.error, second.error))
        return None

    def mapped(self, node: ast.Comprehension, type_: Type) -> Items | None:
        """Return the elements of `filter` or `map`."""
        source = self.items(node.range)
        if source is None:
            return None
        elements: list[tuple[z3.BoolRef, Term]] = []
        errors = [source.error]
        for guard, element in source.elements:
            condition = node.body if node.macro == "filter" else node.condition
            kept = guard
            if condition is not None:
                test = self.within(node.variable, element, condition)
                errors.append(z3.And(guard, test.error))
                kept = z3.simplify(z3.And(guard, test.value))
                if z3.is_false(kept):
                    continue
            if node.macro == "map":
                result = self.within(node.variable, element, node.body)
                errors.append(z3.And(kept, result.error))
                element = Term(result.value, z3.BoolVal(False))
            elements.append((kept, element))
        return Items(tuple(elements), type_, z3.Or(errors))

    def within(self, variable: str, value: Term, node: ast.Node) -> Term:
        """Encode a macro's part for one element."""
        kept = dict(self.scope)
        self.scope[variable] = value
        try:
            return self.encode(node)
        finally:
            self.scope = kept

    def comprehension(self, node: ast.Comprehension) -> Term | None:
        """Return the term of `all`, `exists` or `exists_one` over a list that is spelt out."""
        source = self.items(node.range) if node.macro in ("all", "exists", "exists_one") else None
        if source is None:
            return None
        bodies = [
            (guard, self.within(node.variable, element, node.body)) for guard, element in source.elements
        ]
        if node.macro == "exists_one":
            held = [z3.If(z3.And(guard, body.value), z3.IntVal(1), z3.IntVal(0)) for guard, body in bodies]
            failed = z3.Or([source.error, *(z3.And(guard, body.error) for guard, body in bodies)])
            return Term(z3.Sum([z3.IntVal(0), *held]) == 1, failed)
        decisive = node.macro == "exists"
        terms = [
            Term(
                z3.And(guard, body.value) if decisive else z3.Or(z3.Not(guard), body.value),
                z3.And(guard, body.error),
            )
            for guard, body in bodies
        ]
        result = logic(terms, decisive=decisive)
        return Term(result.value, z3.Or(source.error, result.error))

    def size(self, node: ast.Node) -> Term | None:
        """Return the term of the size of a list that is spelt out, or of a string's length."""
        source = self.items(node)
        if source is None:
            return None
        one, none = z3.BitVecVal(1, 64), z3.BitVecVal(0, 64)
        total = none
        for guard, _ in source.elements:
            total = total + z3.If(guard, one, none)
        return Term(z3.simplify(total), source.error)

    def element(self, container: ast.Node, index: ast.Node) -> Term | None:
        """Return the term of an element of a list of which all elements are always there."""
        if self.checked.types[index] != t.INT:
            return None
        source = self.items(container)
        if (
            source is None
            or not source.elements
            or not all(z3.is_true(guard) for guard, _ in source.elements)
        ):
            return None
        position = self.encode(index)
        value = source.elements[-1][1].value
        for number, (_, element) in enumerate(source.elements[:-1]):
            value = z3.If(position.value == number, element.value, value)
        outside = z3.Or(position.value < 0, position.value >= len(source.elements))
        return Term(value, z3.Or(source.error, position.error, outside))

    def membership(self, item: ast.Node, container: ast.Node) -> Term | None:
        name = self.checked.names.get(container, "")
        if name.startswith("catalogs.") and self.checked.types[item] == t.STRING:
            key = self.encode(item)
            entries = self.tables.get(name.partition(".")[2], {})
            return Term(z3.Or([key.value == z3.StringVal(entry) for entry in entries]), key.error)
        source = self.items(container)
        if source is None or source.type != self.checked.types[item]:
            return None
        first = self.encode(item)
        equal = [
            z3.And(guard, _equal(first.value, element.value, source.type))
            for guard, element in source.elements
        ]
        return Term(z3.Or(equal), z3.Or(first.error, source.error))


def allowed(symbol: z3.ExprRef, type_: Type) -> list[z3.BoolRef]:
    """Return what a type's bounds say of its values."""
    bounds = type_.bounds or Bounds()
    facts = []
    if bounds.enum:
        facts.append(z3.Or([_equal(symbol, literal(value, type_), type_) for value in bounds.enum]))
    if bounds.minimum is not None:
        facts.append(_at_most(literal(bounds.minimum, type_), symbol, type_))
    if bounds.maximum is not None:
        facts.append(_at_most(symbol, literal(bounds.maximum, type_), type_))
    return facts


def _at_most(first: z3.ExprRef, second: z3.ExprRef, type_: Type) -> z3.BoolRef:
    compared = _comparison("_<=_", first, second, type_)
    return first <= second if compared is None else compared


def literal(value: Value, type_: Type) -> z3.ExprRef:
    """Convert a Python value to the solver's.

    Raises:
        NoFormula: the solver does not model its type.
    """
    if type_ == t.BOOL:
        return z3.BoolVal(value)
    if type_ in (t.INT, t.UINT):
        return z3.BitVecVal(int(value), 64)
    if type_ == t.DOUBLE:
        return z3.FPVal(value, _DOUBLE)
    if type_ == t.STRING:
        return z3.StringVal(value)
    if type_ in _TIMES:
        return z3.IntVal(value.nanoseconds)
    raise NoFormula(type_)


def plain(value: z3.ExprRef, type_: Type) -> Scalar:
    """Convert the solver's value to Python."""
    result: Scalar
    if type_ == t.BOOL:
        result = z3.is_true(value)
    elif type_ == t.INT:
        result = value.as_signed_long()
    elif type_ == t.UINT:
        result = value.as_long()
    elif type_ == t.STRING:
        result = value.as_string()
    elif type_ in _TIMES:
        make = Timestamp if type_ == t.TIMESTAMP else Duration
        result = str(make(value.as_long()))
    elif value.isNaN():
        result = math.nan
    else:
        bits = z3.simplify(z3.fpToIEEEBV(value)).as_long()
        (result,) = struct.unpack("<d", struct.pack("<Q", bits))
    return result


def logic(terms: list[Term], *, decisive: bool) -> Term:
    """Return the term of `&&` or `||`: one operand may decide even if the other fails."""

    def decides(term: Term) -> z3.BoolRef:
        return z3.And(z3.Not(term.error), term.value if decisive else z3.Not(term.value))

    decided = z3.Or([decides(term) for term in terms])
    error = z3.And(z3.Not(decided), z3.Or([term.error for term in terms]))
    return Term(decided if decisive else z3.Not(decided), error)


def _equal(first: z3.ExprRef, second: z3.ExprRef, type_: Type) -> z3.BoolRef:
    return z3.fpEQ(first, second) if type_ == t.DOUBLE else first == second


_ARITHMETIC = ("_+_", "_-_", "_*_", "_/_")


def _compare_integers(function: str, terms: list[Term]) -> z3.BoolRef | None:
    """Return the comparison of ints, one without bounds and both known as such or literals."""
    if function not in _RELATIONS or len(terms) != 2 or all(term.integer is None for term in terms):
        return None
    numbers = [
        z3.IntVal(term.value.as_signed_long())
        if term.integer is None and z3.is_bv_value(term.value)
        else term.integer
        for term in terms
    ]
    if any(number is None for number in numbers):
        return None
    return _RELATIONS[function](*numbers)


_RELATIONS: dict[str, Callable[[z3.ExprRef, z3.ExprRef], z3.BoolRef]] = {
    "_<_": operator.lt,
    "_<=_": operator.le,
    "_>_": operator.gt,
    "_>=_": operator.ge,
    "_==_": operator.eq,
    "_!=_": operator.ne,
}


def _time_operation(function: str, values: list[z3.ExprRef], types: list[Type]) -> _Outcome | None:
    """Return the value of an operation on times, and when it fails (None: never)."""
    if not types or types[0] not in _TIMES:
        return None
    if len(values) != 2 or types[1] not in _TIMES:
        return None
    first, second = values
    if function in _RELATIONS and types[0] == types[1]:
        return _RELATIONS[function](first, second), None
    if function not in ("_+_", "_-_"):
        return None
    result = first + second if function == "_+_" else first - second
    # A timestamp on one side alone gives a timestamp, anything else a duration.
    valid = is_timestamp(result) if types[0] != types[1] else is_result(result)
    return z3.If(valid, result, z3.IntVal(0)), z3.Not(valid)


def _operation(function: str, values: list[z3.ExprRef], types: list[Type]) -> _Outcome | None:
    """Return the value of an operation on equal types, and when it fails (None: never)."""
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
        tests = {"startsWith": z3.PrefixOf(part, whole), "endsWith": z3.SuffixOf(part, whole)}
        return tests.get(function, z3.Contains(whole, part)), None
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


def _comparison(function: str, first: z3.ExprRef, second: z3.ExprRef, type_: Type) -> z3.BoolRef | None:
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


def _int_operation(function: str, values: list[z3.ExprRef]) -> _Outcome | None:
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


def _double_operation(function: str, values: list[z3.ExprRef]) -> _Outcome | None:
    if function == "-_":
        return z3.fpNeg(values[0]), None
    operations = {"_+_": z3.fpAdd, "_-_": z3.fpSub, "_*_": z3.fpMul, "_/_": z3.fpDiv}
    if function not in operations:
        return None
    return operations[function](_ROUND, *values), None


def opaque_texts(unknowns: Unknowns) -> Iterator[str]:
    """Yield the source of expressions without a formula."""
    return (unknown.text for unknown in unknowns.by_name.values() if unknown.opaque)
