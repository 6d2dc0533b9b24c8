"""The syntax tree of an expression, as the checker and every runtime read it.

Nodes are compared by identity, so that facts about a node (its type, what it refers to) can be kept beside
the tree. `start` and `end` are the node's character offsets, `position` is where a message should point.
"""

from __future__ import annotations

from collections.abc import Iterator

from engine.cel.types import Type
from engine.records import record


@record(eq=False)
class Node:
    """Any expression."""

    start: int
    end: int
    position: int

    def children(self) -> tuple[Node, ...]:
        """The expressions directly inside this one, in source order."""
        return ()

    def walk(self) -> Iterator[Node]:
        """This node and everything below it, parents first."""
        stack: list[Node] = [self]
        while stack:
            node = stack.pop()
            yield node
            stack.extend(reversed(node.children()))


@record(eq=False)
class Literal(Node):
    """A constant; a uint's value is a plain int, `type` tells it apart."""

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
    """A function, a method (with `target`) or an operator (named as CEL names it: `_+_`, `_[_]`, `_?_:_`)."""

    function: str
    arguments: tuple[Node, ...]
    target: Node | None = None

    def children(self) -> tuple[Node, ...]:
        return self.arguments if self.target is None else (self.target, *self.arguments)


@record(eq=False)
class ListLiteral(Node):
    """`[a, b]`."""

    elements: tuple[Node, ...]

    def children(self) -> tuple[Node, ...]:
        return self.elements


@record(eq=False)
class MapLiteral(Node):
    """`{key: value}`."""

    entries: tuple[tuple[Node, Node], ...]

    def children(self) -> tuple[Node, ...]:
        return tuple(node for entry in self.entries for node in entry)


@record(eq=False)
class ObjectLiteral(Node):
    """`Type{field: value}`."""

    type_name: str
    fields: tuple[tuple[str, int, Node], ...]
    """Field name, its offset, its value."""

    def children(self) -> tuple[Node, ...]:
        return tuple(value for _, _, value in self.fields)


@record(eq=False)
class Comprehension(Node):
    """`range.macro(variable, …)` for the macros all, exists, exists_one, filter and map.

    `condition` is the filter of a three-argument `map`.
    """

    macro: str
    range: Node
    variable: str
    body: Node
    condition: Node | None = None

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
