"""Documents composed of others: overlays, patches and parts, with the place where each value is written.

A document is opened into a tree of nodes that remember where they come from, the tree is edited, and closed
into a document again. Messages about the composed document point into the files that it was composed of.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from engine.base.errors import Path, Problem
from engine.base.jsontypes import Json
from engine.documents.document import Document, Origin, Piece

SEPARATOR = "\n---\n"
"""Between the texts of the parts of a document: each is a YAML document of a stream."""


class Node:
    """A value with its origin: a scalar, a list of nodes, or nodes by key."""

    __slots__ = ("document", "path", "pieces", "value")

    def __init__(self, value: Any, document: Document, path: Path, pieces: tuple[Piece, ...] = ()) -> None:
        self.value = value
        self.document = document
        self.path = path
        self.pieces = pieces

    def __getitem__(self, key: str | int) -> Node:
        node: Node = self.value[key]
        return node

    def __contains__(self, key: object) -> bool:
        return key in self.value

    def __iter__(self) -> Iterator[Any]:
        return iter(self.value)

    def get(self, key: str) -> Node | None:
        """Return the node of a key; None if there is none."""
        found: Node | None = self.value.get(key)
        return found

    def inner(self, path: Path) -> Node:
        """Return the node at a path within this one, or the nearest one that holds it."""
        node = self
        for step in path:
            held = node.value
            steps = held if isinstance(held, dict) else range(len(held) if isinstance(held, list) else 0)
            if step not in steps:
                break
            node = node[step]
        return node

    def items(self) -> Iterator[tuple[str, Node]]:
        """Yield keys and their nodes."""
        yield from self.value.items()

    def plain(self) -> Any:
        """Return the value without origins."""
        if isinstance(self.value, dict):
            return {key: node.plain() for key, node in self.value.items()}
        if isinstance(self.value, list):
            return [node.plain() for node in self.value]
        return self.value

    def section(self, key: str, empty: type[dict[str, Node]] | type[list[Node]]) -> Node:
        """Return the node of a key, made empty if there is none."""
        if key not in self.value:
            self.value[key] = Node(empty(), self.document, self.path)
        return self[key]

    def derived(self, value: object) -> Node:
        """Return a node of another value, generated from this one: messages about it point here."""
        if isinstance(value, dict):
            value = {
                key: each if isinstance(each, Node) else self.derived(each) for key, each in value.items()
            }
        elif isinstance(value, list):
            value = [each if isinstance(each, Node) else self.derived(each) for each in value]
        return Node(value, self.document, self.path)

    def problem(
        self, message: str, hint: str | None = None, *, code: str | None = None, key: bool = False
    ) -> Problem:
        """Return a problem at this node, or at its key."""
        return Problem(
            message, self.document.place(self.path, key=key), hint, self.path, at_key=key, code=code
        )


def open_document(document: Document) -> Node:
    """Return a document's value as nodes that can be edited."""

    def node(value: Json, path: Path) -> Node:
        origin = document.origin(path)
        if isinstance(value, dict):
            return Node({key: node(inner, (*path, key)) for key, inner in value.items()}, *origin)
        if isinstance(value, list):
            return Node([node(inner, (*path, number)) for number, inner in enumerate(value)], *origin)
        return Node(value, *origin, document.pieces.get(path, ()))

    return node(document.value, ())


def close_document(root: Node, name: str, parts: tuple[Document, ...]) -> Document:
    """Return edited nodes as a document.

    Args:
        root: the nodes.
        name: the document's name in messages.
        parts: the documents that it is composed of, the one that says most about it first.
    """
    origins: dict[Path, Origin] = {}
    pieces: dict[Path, tuple[Piece, ...]] = {}

    def value(node: Node, path: Path) -> Json:
        origins[path] = node.document, node.path
        if node.pieces:
            pieces[path] = node.pieces
        if isinstance(node.value, dict):
            return {key: value(inner, (*path, key)) for key, inner in node.value.items()}
        if isinstance(node.value, list):
            return [value(inner, (*path, number)) for number, inner in enumerate(node.value)]
        scalar: str | int | float | bool | None = node.value
        return scalar

    flat = tuple(dict.fromkeys(source.name for part in parts for source in part.sources))
    sources = {source.name: source for part in parts for source in part.sources}
    text = SEPARATOR.join(part.text for part in parts)
    composed = value(root, ())
    files = tuple(sources[each] for each in flat)
    return Document(name, text, composed, origins=origins, parts=files, pieces=pieces)
