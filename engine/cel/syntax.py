"""The syntax tree of an expression, which the checker and every runtime read.

Nodes are compared by identity, so that facts about a node (its type, what it refers to) can be kept beside
the tree. `start` and `end` are the node's character offsets, `position` is where a message should point.
"""

from __future__ import annotations

from collections.abc import Iterator

from engine.base.records import record
from engine.cel.celtypes import Type


@record(eq=False)
class Node:
    """Any expression."""

    start: int
    end: int
    position: int

    def children(self) -> tuple[Node, ...]:
        """Return the direct subexpressions, in source order."""
        return ()

    def walk(self) -> Iterator[Node]:
        """Yield this node and everything below it, parents first."""
        stack: list[Node] = [self]
        while stack:
            node = stack.pop()
            yield node
            stack.extend(reversed(node.children()))


@record(eq=False)
class Literal(Node):
    """A constant; the value of a uint is a plain int, distinguished by `type`."""

    value: object
    type: Type


@record(eq=False)
class Identifier(Node):
    """A simple name."""

    name: str


@record(eq=False)
class Select(Node):
    """`operand.field`, or `has(operand.field)` where `test` is set."""

    operand: Node
    field: str
    test: bool = False

    def children(self) -> tuple[Node, ...]:
        return (self.operand,)


@record(eq=False)
class Call(Node):
    """A function, a method (with `target`) or an operator.

    Operators have the names that CEL gives them: `_+_`, `_[_]`, `_?_:_`, and for optionals `_?._`, `_[?_]`.
    """

    function: str
    arguments: tuple[Node, ...]
    target: Node | None = None

    def children(self) -> tuple[Node, ...]:
        return self.arguments if self.target is None else (self.target, *self.arguments)


@record(eq=False)
class ListLiteral(Node):
    """`[a, b]`; `optionals` are the positions of elements written `?a`, which may be left out."""

    elements: tuple[Node, ...]
    optionals: frozenset[int] = frozenset()

    def children(self) -> tuple[Node, ...]:
        return self.elements


@record(eq=False)
class MapLiteral(Node):
    """`{key: value}`; `optionals` are the positions of entries written `?key: value`."""

    entries: tuple[tuple[Node, Node], ...]
    optionals: frozenset[int] = frozenset()

    def children(self) -> tuple[Node, ...]:
        return tuple(node for entry in self.entries for node in entry)


@record(eq=False)
class ObjectLiteral(Node):
    """`Type{field: value}`."""

    type_name: str
    fields: tuple[tuple[str, int, Node], ...]
    """Field name, its offset, its value."""
    optionals: frozenset[int] = frozenset()
    """The positions of fields written `?field: value`."""

    def children(self) -> tuple[Node, ...]:
        return tuple(value for _, _, value in self.fields)


@record(eq=False)
class Comprehension(Node):
    """`range.macro(variable, …)` for the macros all, exists, exists_one, filter, map and transform….

    `condition` is the filter of `map(x, p, t)`. With two variables, the first is bound to an index or a key,
    `second` to the element or value.
    """

    macro: str
    range: Node
    variable: str
    body: Node
    condition: Node | None = None
    second: str | None = None

    @property
    def variables(self) -> tuple[str, ...]:
        """Return the names that the macro binds."""
        return (self.variable,) if self.second is None else (self.variable, self.second)

    def children(self) -> tuple[Node, ...]:
        return (self.range, *((self.condition,) if self.condition else ()), self.body)


@record(eq=False)
class Bind(Node):
    """`cel.bind(variable, value, body)`."""

    variable: str
    value: Node
    body: Node

    def children(self) -> tuple[Node, ...]:
        return (self.value, self.body)


def dotted_name(node: Node) -> str | None:
    """`a.b.c` where `node` is a chain of selections on a simple name, else None."""
    parts: list[str] = []
    while isinstance(node, Select) and not node.test:
        parts.append(node.field)
        node = node.operand
    if not isinstance(node, Identifier):
        return None
    return ".".join([node.name, *reversed(parts)])
