"""A document: plain data, and the place of every value in its file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from engine.errors import Path, Place
from engine.records import field, record


@record
class Limits:
    """What a document may cost before it is refused."""

    bytes: int = 16 * 1024 * 1024
    depth: int = 64
    nodes: int = 2_000_000


@record
class Span:
    """Where one value stands: character offsets into the text, and how a scalar is written.

    `style` is YAML's: "" plain, "'" and '"' quoted, "|" literal, ">" folded; None for collections.
    """

    start: int
    end: int
    line: int
    column: int
    style: str | None = None


@record
class Positions:
    """The spans of a document's values and of its mapping keys, by path."""

    values: Mapping[Path, Span] = field(default_factory=dict)
    keys: Mapping[Path, Span] = field(default_factory=dict)


@record(frozen=False)
class Document:
    """A file's value with the means to say where each part of it stands.

    `locate` is called the first time that a place is asked for: positions of a JSON file are only
    worked out when there is something to report.
    """

    name: str
    text: str
    value: Any
    locate: Callable[[], Positions] = field(repr=False, default=Positions)
    _positions: Positions | None = field(repr=False, default=None)

    @property
    def positions(self) -> Positions:
        """Where everything stands."""
        if self._positions is None:
            self._positions = self.locate()
        return self._positions

    def place(self, path: Path, *, key: bool = False) -> Place:
        """The place of the value at `path` (of its key with `key`), or of the nearest parent that has one."""
        positions = self.positions
        if key and path in positions.keys:
            return self.place_of(positions.keys[path])
        for length in range(len(path), -1, -1):
            if path[:length] in positions.values:
                return self.place_of(positions.values[path[:length]])
        return Place(self.name, 1, 1, self.line(1))

    def place_of(self, span: Span) -> Place:
        """The place where a span begins."""
        return Place(self.name, span.line, span.column, self.line(span.line))

    def place_at(self, offset: int) -> Place:
        """The place of the character at `offset` in the text."""
        offset = max(0, min(offset, len(self.text)))
        start = self.text.rfind("\n", 0, offset) + 1
        line = self.text.count("\n", 0, offset) + 1
        return Place(self.name, line, offset - start + 1, self.line(line))

    def line(self, number: int) -> str:
        """The text of one line, counted from 1; empty past the end."""
        lines = self.text.split("\n", number)
        return lines[number - 1].rstrip("\r") if number <= len(lines) else ""

    def place_in_scalar(self, path: Path, offset: int) -> Place:
        """The place of the character at `offset` of the *value* of the scalar at `path`.

        Folding, indentation and escapes are undone: offset 5 of a folded block is where the fifth
        character of its value is written in the file.
        """
        from engine.documents.scalars import source_offset

        span = self.positions.values.get(path)
        value = self._at(path)
        if span is None or span.style is None or not isinstance(value, str):
            return self.place(path)
        return self.place_at(source_offset(self.text, span, value, offset))

    def _at(self, path: Path) -> Any:
        value = self.value
        for step in path:
            try:
                value = value[step]
            except (KeyError, IndexError, TypeError):
                return None
        return value
