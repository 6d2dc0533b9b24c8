"""Infer the unit of every node of a checked expression, and report the nodes that mix units."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from fractions import Fraction

from engine.base.records import record
from engine.cel import Checked, ResolvedCall
from engine.cel import celtypes as t
from engine.cel import syntax as ast
from engine.policy.units.measure import (
    Known,
    Measure,
    all_joined,
    fits,
    joined,
    multiplied,
    of_literal,
    of_unit,
    raised,
)
from engine.policy.units.table import UnitTable
from engine.policy.units.unit import NUMBER, Unit, conversion, quotient

_NUMBERS = (t.INT, t.UINT, t.DOUBLE)
_HOLDING = (t.Kind.LIST, t.Kind.MAP, t.Kind.WRAPPER, t.Kind.OPTIONAL)
_SOURCE = 60

_SAME = frozenset(
    {
        *("-_", "double", "int", "uint", "dyn", "sum", "min", "max", "sort", "distinct", "reverse", "slice"),
        *(
            "flatten",
            "layers.deal",
            "first",
            "last",
            "@sortByAssociatedKeys",
            "optional.of",
            "optional.ofNonZeroValue",
        ),
        *("value", "math.abs", "math.ceil", "math.floor", "math.round", "math.trunc", "optional.unwrap"),
    }
)
"""Functions whose result has the unit of their first argument."""
_JOINING = frozenset({"_+_", "_-_", "math.greatest", "math.least", "or", "orValue"})
"""Functions whose arguments have one unit, which their result has."""
_COMPARING = frozenset(
    {
        *("_<_", "_<=_", "_>_", "_>=_", "_==_", "_!=_"),
        *("sets.contains", "sets.equivalent", "sets.intersects"),
    }
)
_COUNTING = frozenset({"size", "indexOf", "lastIndexOf", "lists.range", "math.sign"})
_MAPPING = frozenset({"map", "transformList", "transformMap"})
_PARTS_OF_DURATION = {
    "getHours": "h",
    "getMinutes": "min",
    "getSeconds": "s",
    "getMilliseconds": "ms",
}


@record
class Mix:
    """Two sides of different units, or a value in another unit than declared."""

    node: ast.Node
    message: str
    hint: str | None


Names = Callable[[str], Known]
"""The measure of a global name: a constant, a variable, an input."""


class Inference:
    """Infers the units of one expression."""

    def __init__(self, checked: Checked, names: Names, table: UnitTable, *, score: bool = False) -> None:
        """Prepare for one expression.

        Args:
            checked: the expression.
            names: what is known of global names.
            table: the units of fields.
            score: it is a score, which may be another quantity for each objective.
        """
        self.checked = checked
        self.names = names
        self.table = table
        self.mixes: list[Mix] = []
        self.measures: dict[ast.Node, Known] = {}
        self.free: set[ast.Node] = {checked.root} if score else set()
        """Lists and conditionals whose values need no common unit: arguments of format(), scores."""

    def run(self) -> Known:
        """Return the measure of the whole expression."""
        return self.visit(self.checked.root, {})

    def visit(self, node: ast.Node, scope: Mapping[str, Known]) -> Known:
        measure = self.measure(node, scope)
        self.measures[node] = measure
        return measure

    def measure(self, node: ast.Node, scope: Mapping[str, Known]) -> Known:
        if isinstance(node, ast.Literal):
            return of_literal(node.value) if is_number(node.type) else None  # type: ignore[arg-type]
        if isinstance(node, ast.Identifier):
            return scope[node.name] if node.name in scope else self.named(node)
        if isinstance(node, ast.Select):
            return self.select(node, scope)
        if isinstance(node, ast.Call):
            return self.call(node, scope)
        if isinstance(node, ast.ListLiteral):
            measures = [self.visit(each, scope) for each in node.elements]
            if node in self.free or not measures or not is_number(self.checked.types[node]):
                return all_joined(measures)
            return self.joined_all(node, node.elements, measures, "the list")
        if isinstance(node, ast.MapLiteral):
            return self.map_literal(node, scope)
        if isinstance(node, ast.Comprehension):
            return self.comprehension(node, scope)
        if isinstance(node, ast.Bind):
            value = self.visit(node.value, scope)
            return self.visit(node.body, {**scope, node.variable: value})
        for child in node.children():
            self.visit(child, scope)
        return None

    def named(self, node: ast.Node) -> Known:
        name = self.checked.names.get(node)
        return None if name is None else self.names(name)

    def select(self, node: ast.Select, scope: Mapping[str, Known]) -> Known:
        if node in self.checked.names:
            return self.named(node)
        operand = self.visit(node.operand, scope)
        return None if node.test else self.field(node.operand, node.field, operand)

    def field(self, node: ast.Node, name: str, operand: Known) -> Known:
        """Return the measure of a field of an object, an optional one too, or of a value of a map."""
        type_ = self.checked.types.get(node, t.DYN)
        while type_.kind in (t.Kind.OPTIONAL, t.Kind.WRAPPER):
            type_ = type_.element
        if type_.kind is t.Kind.MAP:
            return _part(operand, name)
        if type_.kind is not t.Kind.OBJECT:
            return None
        field = self.checked.environment.objects[type_.name].fields.get(name)
        unit = self.table.find(field.unit) if field is not None and is_number(field.type) else None
        return None if unit is None else of_unit(unit)

    def map_literal(self, node: ast.MapLiteral, scope: Mapping[str, Known]) -> Known:
        parts: dict[str, Known] = {}
        for number, (key, value) in enumerate(node.entries):
            self.visit(key, scope)
            name = key.value if isinstance(key, ast.Literal) else None
            parts[name if isinstance(name, str) else f"\0{number}"] = self.visit(value, scope)
        whole = all_joined(parts.values())
        return Measure(whole.readings if whole else (), bool(whole and whole.literal), parts)

    def comprehension(self, node: ast.Comprehension, scope: Mapping[str, Known]) -> Known:
        listed = self.visit(node.range, scope)
        type_ = self.checked.types.get(node.range)
        is_list = type_ is not None and type_.kind is t.Kind.LIST
        inner = {**scope, node.variable: listed if is_list else None}
        if node.second is not None:
            inner |= {node.variable: of_unit(NUMBER) if is_list else None, node.second: listed}
        if node.condition is not None:
            self.visit(node.condition, inner)
        body = self.visit(node.body, inner)
        if node.macro in _MAPPING:
            return body
        return listed if node.macro == "filter" and is_list else None

    # --- calls --------------------------------------------------------------------------------------------

    def call(self, node: ast.Call, scope: Mapping[str, Known]) -> Known:
        call = self.checked.calls.get(node)
        if call is None:
            for child in node.children():
                self.visit(child, scope)
            return None
        name, arguments = call.function, call.arguments
        if name == "_?_:_" and node in self.free:
            self.free |= {*arguments[1:]}
        if name == "format":
            self.free |= {each for each in arguments if isinstance(each, ast.ListLiteral)}
        if name == "_/_" and (added := self.rounded_up(*arguments)) is not None:
            divided = self.visit(added, scope)
            return multiplied(divided, self.visit(arguments[1], scope), -1)
        measures = [self.visit(each, scope) for each in arguments]
        if name in ("_*_", "_/_"):
            return multiplied(measures[0], measures[1], 1 if name == "_*_" else -1)
        if name in _COMPARING:
            self.joined_all(node, arguments, measures, _shown(name))
            return None
        if name == "_in_":
            if self.checked.types[arguments[1]].kind is t.Kind.LIST:
                self.joined_all(node, arguments, measures, "'in'")
            return None
        if name == "_?_:_" and node in self.free:
            return None
        if name == "_?_:_":
            return self.joined_all(node, arguments[1:], measures[1:], "'? :'")
        if name in _JOINING:
            return self.joined_all(node, arguments, measures, _shown(name))
        if name == "optional.none":
            return of_literal(0)
        if not arguments or not (is_number(self.checked.types[node]) or self.checked.types[node] == t.DYN):
            return None
        return self.result(name, call, measures)

    def result(self, name: str, call: ResolvedCall, measures: list[Known]) -> Known:
        """Return the measure of a call whose arguments may have any units."""
        first = self.checked.types[call.arguments[0]]
        if name == "_?._" and isinstance(call.arguments[1], ast.Literal):
            return self.field(call.arguments[0], str(call.arguments[1].value), measures[0])
        if name in ("_[_]", "_[?_]"):
            index = call.arguments[1]
            key = index.value if isinstance(index, ast.Literal) else None
            return _part(measures[0], key) if isinstance(key, str) else measures[0]
        if name == "_%_":
            return self.remainder(call, measures)
        if name in _SAME:
            return of_unit(self.table.parse("s")) if first == t.TIMESTAMP else measures[0]
        if name in _COUNTING:  # the size of text is in characters, that of bytes in bytes
            return None if name == "size" and first.kind is t.Kind.PRIMITIVE else of_unit(NUMBER)
        if name == "math.sqrt":
            return raised(measures[0], Fraction(1, 2))
        if name in _PARTS_OF_DURATION and first == t.DURATION:
            unit = self.table.find(_PARTS_OF_DURATION[name])
            return None if unit is None else of_unit(unit)
        return None

    def rounded_up(self, dividend: ast.Node, divisor: ast.Node) -> ast.Node | None:
        """Return the `a` of `(a + b - 1) / b`, which rounds a quotient up; None for any other quotient."""
        minus = self.checked.calls.get(dividend)
        if minus is None or minus.function != "_-_":
            return None
        plus, one = self.checked.calls.get(minus.arguments[0]), minus.arguments[1]
        if plus is None or plus.function != "_+_" or not isinstance(one, ast.Literal) or one.value != 1:
            return None
        alike = self.checked.source(plus.arguments[1]) == self.checked.source(divisor)
        return plus.arguments[0] if alike else None

    def remainder(self, call: ResolvedCall, measures: list[Known]) -> Known:
        """Return the unit of a remainder: layers may be divided among devices, bytes by bytes only."""
        left, right = measures
        measured = [each for each in measures if each and each.readings and each.unit.is_measured]
        if len(measured) == 2:
            self.joined_all(call.arguments[0], call.arguments, measures, "'%'")
        return left if right is not None else None

    # --- reports ------------------------------------------------------------------------------------------

    def joined_all(
        self, node: ast.Node, arguments: Iterable[ast.Node], measures: list[Known], what: str
    ) -> Known:
        """Return the measure that arguments share, and report the first that mixes with those before."""
        found: Known = None
        source: ast.Node = node
        unknown = False
        for argument, measure in zip(arguments, measures, strict=True):
            if measure is None or not measure.readings:
                unknown = True
                continue
            if found is None or found.literal:
                found, source = (measure if found is None else joined(found, measure)[0]), argument
                continue
            shared, alike = joined(found, measure)
            if not alike:
                self.mix(node, what, (source, found), (argument, measure))
                return None
            found = shared
        return None if found is not None and found.literal and unknown else found

    def mix(
        self, node: ast.Node, what: str, first: tuple[ast.Node, Measure], second: tuple[ast.Node, Measure]
    ) -> None:
        left, right = first[1].unit, second[1].unit
        sides = [f"{self.source(side)} is {described(measure.unit)}" for side, measure in (first, second)]
        message = f"{what} mixes {described(left)} and {described(right)}: {', '.join(sides)}"
        help_ = hint(right, left, self.source(second[0]), self.checked.types[second[0]])
        self.mixes.append(Mix(node, message, help_))

    def declared(self, measure: Known, unit: Unit, what: str) -> None:
        """Report a value that is not in the unit that is declared for it."""
        if measure is None:
            return
        if not fits(measure, unit):
            self.unfit(self.checked.root, measure, unit, what)
        for node, part in self.parts(measure):
            if part is not None and not fits(part, unit):
                self.unfit(node, part, unit, what)

    def declared_part(self, key: str, unit: Unit, what: str) -> None:
        """Report a value of a map literal that is not in the unit that is declared for its key."""
        root = self.checked.root
        if not isinstance(root, ast.MapLiteral):
            return
        for name, value in root.entries:
            measure = self.measures[value]
            named = isinstance(name, ast.Literal) and name.value == key
            if named and measure is not None and not fits(measure, unit):
                self.unfit(value, measure, unit, what)

    def parts(self, measure: Measure) -> Iterator[tuple[ast.Node, Known]]:
        """Yield the values of a map literal, with their nodes where the expression is that literal."""
        root = self.checked.root
        if isinstance(root, ast.MapLiteral):
            yield from ((value, self.measures[value]) for _, value in root.entries)
        else:
            yield from ((root, part) for part in measure.parts.values())

    def unfit(self, node: ast.Node, measure: Measure, unit: Unit, what: str) -> None:
        message = f"{what} is declared as {unit}, the expression gives {described(measure.unit)}"
        help_ = hint(measure.unit, unit, "it", self.checked.types[node])
        self.mixes.append(Mix(node, message, help_))

    def source(self, node: ast.Node) -> str:
        text = " ".join(self.checked.source(node).split())
        return f"'{text}'" if len(text) <= _SOURCE else f"'{text[: _SOURCE - 1]}…'"


def is_number(type_: t.Type) -> bool:
    """Return True for numbers, and for lists and maps of numbers."""
    while type_.kind in _HOLDING and type_.parameters:
        type_ = type_.parameters[-1]
    return type_ in _NUMBERS


def described(unit: Unit) -> str:
    """Return a unit as messages name it."""
    return "a plain number" if unit.is_number and unit.scale == 1 else str(unit)


def hint(found: Unit, wanted: Unit, what: str, type_: t.Type) -> str | None:
    """Return how to convert a value to another unit of the same dimension; None if there is no way.

    Args:
        found: its unit.
        wanted: the unit of the other side, or the declared one.
        what: the value, as it is written.
        type_: its type: a whole number is divided rather than multiplied by a fraction.
    """
    factor = conversion(found, wanted)
    if factor is None:
        return None
    verb, unit = "multiply", quotient(wanted, found)
    if _is_whole(type_) and factor.denominator != 1:
        verb, unit, factor = "divide", quotient(found, wanted), 1 / factor
    value = written(factor, whole=_is_whole(type_))
    return f"{verb} {what} by a constant that converts: {{value: {value}, unit: {unit}}}"


def _is_whole(type_: t.Type) -> bool:
    while type_.kind in (t.Kind.LIST, t.Kind.WRAPPER):
        type_ = type_.element
    return type_ in (t.INT, t.UINT)


def written(factor: Fraction, *, whole: bool) -> str:
    """Return a factor as the value of a constant."""
    if factor.denominator == 1 and factor < 10**16:
        return f"{factor.numerator}" if whole else f"{factor.numerator}.0"
    return f"{float(factor):.12g}"


def _part(measure: Known, key: str) -> Known:
    if measure is None:
        return None
    if key in measure.parts:
        return measure.parts[key]
    return Measure(measure.readings, measure.literal) if measure.readings else None


def _shown(name: str) -> str:
    return f"'{name.strip('_')}'" if name.startswith("_") else f"{name}()"
