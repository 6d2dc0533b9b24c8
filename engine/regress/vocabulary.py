"""Values that a policy's own expressions mention, and the parts of its inputs that they read.

Decisions change at these values, so searches, explanations and mutants draw from them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice

from engine.base.records import field, record
from engine.cel import celtypes as t
from engine.cel import syntax as ast
from engine.cel.celtypes import Kind, Type
from engine.cel.checker import Checked
from engine.cel.declarations import Overload
from engine.cel.times import Duration, Timestamp
from engine.cel.values import Value
from engine.policy.compiled import CompiledPolicy, CompiledRule, uses

_COMPARISONS = ("_<_", "_<=_", "_>_", "_>=_", "_==_", "_!=_")
_LOGIC = ("_&&_", "_||_", "!_")
_NUMBERS = (t.INT, t.UINT, t.DOUBLE)


@record(frozen=False, eq=False)
class Shape:
    """What expressions read of one part of an input.

    Attributes:
        fields: parts by name: fields of an object, keys of a map.
        element: elements of a list, values of a map.
        kinds: names of the types that operations on it take; `timestamp` and `duration` also mean text that
            is converted to them.
        values: values that it is compared with.
        patterns: regular expressions that it is matched with.
        sized: its size is read.
        tested: `has()` or `in` asks whether it is there.
        fixed: it is no part of an input: its values are those of a constant or a list of literals.
    """

    fields: dict[str, Shape] = field(default_factory=dict)
    element: Shape | None = None
    kinds: set[str] = field(default_factory=set)
    values: list[object] = field(default_factory=list)
    patterns: list[str] = field(default_factory=list)
    sized: bool = False
    tested: bool = False
    fixed: bool = False

    def part(self, name: str) -> Shape:
        """Return the shape of a field, created on first use."""
        return self.fields.setdefault(name, Shape())

    def elements(self) -> Shape:
        """Return the shape of the elements, created on first use."""
        if self.element is None:
            self.element = Shape()
        return self.element

    def meet(self, value: object) -> None:
        """Add a value that it is compared with, to a part of an input."""
        if self.fixed:
            return
        if not any(type(known) is type(value) and known == value for known in self.values):
            self.values.append(value)


@record(frozen=False, eq=False)
class Vocabulary:
    """Literals and constants of policies, by type, in the order of the files; and the shapes of inputs."""

    texts: dict[str, None] = field(default_factory=dict)
    integers: set[int] = field(default_factory=set)
    doubles: set[float] = field(default_factory=set)
    bytes: dict[bytes, None] = field(default_factory=dict)
    timestamps: set[Timestamp] = field(default_factory=set)
    durations: set[Duration] = field(default_factory=set)
    inputs: dict[str, Shape] = field(default_factory=dict)

    def shape(self, name: str) -> Shape:
        """Return the shape of an input."""
        return self.inputs.setdefault(name, Shape())

    def add(self, value: object) -> None:
        """Add a literal or a constant; of lists and maps, what they hold."""
        if isinstance(value, bool) or value is None:
            return
        if isinstance(value, str):
            self.texts.setdefault(value)
            self.add_times(value)
        elif isinstance(value, bytes):
            self.bytes.setdefault(value)
        elif isinstance(value, Timestamp):
            self.timestamps.add(value)
        elif isinstance(value, Duration):
            self.durations.add(value)
        elif isinstance(value, int):
            self.integers.add(int(value))
        elif isinstance(value, float):
            self.doubles.add(value)
        elif isinstance(value, Mapping):
            for key, element in value.items():
                self.add(key)
                self.add(element)
        elif isinstance(value, (list, tuple)):
            for element in value:
                self.add(element)

    def add_times(self, text: str) -> None:
        """Add the timestamp or the duration that a text is, if it is one."""
        timestamp, duration = timestamp_of(text), duration_of(text)
        if timestamp is not None:
            self.timestamps.add(timestamp)
        elif duration is not None and text[-1].isalpha():
            self.durations.add(duration)


def timestamp_of(text: str) -> Timestamp | None:
    """Return the timestamp that a text is, or None."""
    try:
        return Timestamp.parse(text)
    except ValueError:
        return None


def duration_of(text: str) -> Duration | None:
    """Return the duration that a text is, or None."""
    try:
        return Duration.parse(text) if text else None
    except ValueError:
        return None


def vocabulary(policies: Iterable[CompiledPolicy]) -> Vocabulary:
    """Return the vocabulary of some policies that take the same inputs."""
    words = Vocabulary()
    for policy in policies:
        for constant in policy.constants.values():
            words.add(constant.value)
        _Reader(policy, words).read()
    return words


Scope = Mapping[str, Shape | None]
"""Parts of inputs by the names of macro variables."""

_MOST_TEXTS = 100
"""Texts that one expression may be, as far as they are listed."""


class _Reader:
    """Reads the expressions of one policy."""

    def __init__(self, policy: CompiledPolicy, words: Vocabulary) -> None:
        self.policy = policy
        self.words = words
        self.variables: dict[str, Shape | None] = {}
        self.expressions: dict[str, Checked] = {}

    def read(self) -> None:
        """Add all literals, then all shapes."""
        _collect(self.policy.rule, self.expressions)
        for use in uses(self.policy):
            if use.match is not None and use.expression is use.match.explanation:
                continue
            checked = use.expression.checked
            for node in checked.root.walk():
                if isinstance(node, ast.Literal):
                    self.words.add(node.value)
            shape = self.locate(checked, checked.root, {})
            if shape is not None and use.match is not None and use.expression is use.match.condition:
                shape.kinds.add("bool")

    def locate(self, checked: Checked, node: ast.Node, scope: Scope) -> Shape | None:
        """Return the part of an input that a node is, or None; note what is done with its parts."""
        name = checked.names.get(node)
        if name is not None:
            return self.named(name)
        if isinstance(node, ast.Identifier):
            return scope.get(node.name)
        if isinstance(node, ast.Select):
            operand = self.locate(checked, node.operand, scope)
            if operand is None:
                return None
            part = operand.part(node.field)
            part.tested = part.tested or node.test
            return None if node.test else part
        if isinstance(node, ast.Comprehension):
            return self.comprehension(checked, node, scope)
        if isinstance(node, ast.Bind):
            value = self.locate(checked, node.value, scope)
            return self.locate(checked, node.body, {**scope, node.variable: value})
        if isinstance(node, ast.Call):
            return self.call(checked, node, scope)
        if isinstance(node, ast.ListLiteral):
            listed = _fixed(self.texts(checked, node, scope))
            if listed is not None:
                return listed
        for child in node.children():
            self.locate(checked, child, scope)
        return None

    def named(self, name: str) -> Shape | None:
        namespace, _, rest = name.partition(".")
        if namespace == "constants":
            return _fixed(self.policy.constants[rest].value)
        if namespace == "variables":
            return self.variable(rest)
        return self.words.shape(name) if name in self.policy.inputs else None

    def variable(self, name: str) -> Shape | None:
        """Return the part of an input that a variable is."""
        if name not in self.variables:
            self.variables[name] = None
            checked = self.expressions.get(name)
            if checked is not None:
                self.variables[name] = self.locate(checked, checked.root, {})
        return self.variables[name]

    def comprehension(self, checked: Checked, node: ast.Comprehension, scope: Scope) -> Shape | None:
        target = self.locate(checked, node.range, scope)
        keys = checked.types[node.range].kind is Kind.MAP
        if target is not None and not keys:
            target.kinds.add("list")
        element = None if target is None or keys else target.elements()
        inner = {**scope, node.variable: element}
        if node.second is not None:
            inner = {**scope, node.variable: None, node.second: element}
        if node.condition is not None:
            self.locate(checked, node.condition, inner)
        body = self.locate(checked, node.body, inner)
        if node.macro != "map":
            if body is not None and node.macro.startswith("transform"):
                return None
            if body is not None:
                body.kinds.add("bool")
            return target if node.macro == "filter" else None
        return None if body is None else Shape(element=body, kinds={"list"})

    def call(self, checked: Checked, node: ast.Call, scope: Scope) -> Shape | None:
        resolved = checked.calls.get(node)
        arguments = node.children() if resolved is None else resolved.arguments
        function = node.function if resolved is None else resolved.function
        shapes = [self.locate(checked, argument, scope) for argument in arguments]
        if function == "_[_]" and shapes[0] is not None:
            return _indexed(shapes[0], arguments[1], checked.types[arguments[1]])
        if function == "_?_:_":
            return shapes[1] or shapes[2]
        if function == "dyn":
            return shapes[0]
        if function == "_in_":
            self.membership(checked, arguments, shapes)
        elif function in _COMPARISONS:
            self.comparison(checked, arguments, shapes, scope)
        elif function in _LOGIC:
            _kind(shapes, "bool")
        elif function == "size" and shapes[0] is not None:
            shapes[0].sized = True
        elif function in ("timestamp", "duration"):
            _kind(shapes, function)
        elif function == "matches" and shapes[0] is not None:
            shapes[0].kinds.add("string")
            pattern = self.literal(checked, arguments[-1])
            if isinstance(pattern, str):
                shapes[0].patterns.append(pattern)
        elif resolved is not None:
            if len(shapes) > 1 and shapes[0] is not None:
                for value in self.texts(checked, arguments[1], scope):
                    shapes[0].meet(value)
            for position, shape in enumerate(shapes):
                if shape is not None:
                    shape.kinds |= set(_parameters(resolved.overloads, position))
        return None

    def texts(self, checked: Checked, node: ast.Node, scope: Scope) -> list[str]:
        """Return the texts that an expression of literals, constants and their elements may be."""
        value = self.literal(checked, node)
        if value is not None:
            return [text for text in (value if isinstance(value, list) else [value]) if isinstance(text, str)]
        if isinstance(node, ast.Identifier):
            shape = scope.get(node.name)
            known = shape.values if shape is not None and shape.fixed else []
            return [text for text in known if isinstance(text, str)]
        call = checked.calls.get(node)
        if call is not None and call.function == "_+_":
            first, second = (self.texts(checked, argument, scope) for argument in call.arguments)
            return list(islice((a + b for a in first for b in second), _MOST_TEXTS))
        return []

    def comparison(
        self, checked: Checked, arguments: tuple[ast.Node, ...], shapes: list[Shape | None], scope: Scope
    ) -> None:
        for shape, other in zip(shapes, reversed(arguments), strict=True):
            if shape is None:
                continue
            value = self.literal(checked, other)
            for met in self.texts(checked, other, scope) if value is None else [value]:
                shape.meet(met)
            type_ = checked.types[other]
            if type_.kind is Kind.PRIMITIVE:
                shape.kinds.add(type_.name)

    def membership(
        self, checked: Checked, arguments: tuple[ast.Node, ...], shapes: list[Shape | None]
    ) -> None:
        item, container = arguments
        if shapes[1] is not None:
            value = self.literal(checked, item)
            if isinstance(value, str) and checked.types[container].kind is not Kind.LIST:
                shapes[1].part(value).tested = True
            if checked.types[container].kind is not Kind.MAP:
                shapes[1].elements().kinds |= {checked.types[item].name} & set(t.PRIMITIVES)
                if value is not None:
                    shapes[1].elements().meet(value)
        listed = self.literal(checked, container)
        if shapes[0] is not None and isinstance(listed, (list, dict)):
            for value in listed:
                shapes[0].meet(value)

    def literal(self, checked: Checked, node: ast.Node) -> Value:
        """Return the value of a literal or of a constant; None for anything else."""
        if isinstance(node, ast.Literal):
            return node.value
        name = checked.names.get(node, "")
        if name.startswith("constants."):
            return self.policy.constants[name.partition(".")[2]].value
        if isinstance(node, ast.ListLiteral):
            values = [self.literal(checked, element) for element in node.elements]
            return [value for value in values if value is not None]
        call = checked.calls.get(node)
        if call is not None and call.function in ("int", "uint", "double", "string", "timestamp", "duration"):
            return self.literal(checked, call.arguments[0])
        return None


def _fixed(value: object) -> Shape | None:
    """Return a shape of a list's elements; None for any other value."""
    if not isinstance(value, list) or not value:
        return None
    return Shape(element=Shape(values=list(value), fixed=True), fixed=True)


def _collect(rule: CompiledRule, expressions: dict[str, Checked]) -> None:
    """Add the variables of a rule and its nested rules; of one name, the outermost."""
    for name, variable in rule.variables.items():
        expressions.setdefault(name, variable.expression.checked)
    for match in rule.matches:
        if match.rule is not None:
            _collect(match.rule, expressions)


def _indexed(shape: Shape, key: ast.Node, type_: Type) -> Shape:
    if isinstance(key, ast.Literal) and isinstance(key.value, str):
        return shape.part(key.value)
    if type_ in _NUMBERS:
        shape.kinds.add("list")
    return shape.elements()


def _kind(shapes: Iterable[Shape | None], kind: str) -> None:
    for shape in shapes:
        if shape is not None:
            shape.kinds.add(kind)


def _parameters(overloads: Iterable[Overload], position: int) -> Iterator[str]:
    """Yield the names of the types that some overloads take at a position."""
    for overload in overloads:
        type_ = overload.parameters[min(position, len(overload.parameters) - 1)]
        if type_.kind in (Kind.PRIMITIVE, Kind.LIST, Kind.MAP):
            yield type_.name
