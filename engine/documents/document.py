"""Documents: plain data with the position of every value."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from engine.base.errors import Path, Place
from engine.base.records import field, record
from engine.documents.scalars import source_offset, value_offset
from engine.documents.spans import Span


@record
class Limits:
    """Limits on the size of a document."""

    bytes: int = 16 * 1024 * 1024
    depth: int = 64
    nodes: int = 2_000_000
    infinite: bool = False
    """JSON may hold NaN and Infinity, as Python writes them."""
    keys: bool = False
    """Keys of YAML may be whole numbers and bools, as they are written: inputs may be maps that have such."""


@record
class Positions:
    """The spans of a document's values and of its mapping keys, by path."""

    values: Mapping[Path, Span] = field(default_factory=dict)
    keys: Mapping[Path, Span] = field(default_factory=dict)


Origin = tuple["Document", Path]
"""A document, and the path of a value in it."""


@record
class Piece:
    """Characters of a text that is put together from scalars: where they are written.

    `start` counts in the text; `offset` is where the piece begins in the scalar at `path` of `document`.
    """

    start: int
    document: Document = field(repr=False)
    path: Path
    offset: int = 0


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
    _starts: list[int] | None = field(repr=False, default=None)
    origins: Mapping[Path, Origin] = field(repr=False, default_factory=dict)
    """If it is composed of others (engine.documents.composed), where its values come from, by path."""
    parts: tuple[Document, ...] = field(repr=False, default=())
    """The documents that it is composed of; none for a file."""
    pieces: Mapping[Path, tuple[Piece, ...]] = field(repr=False, default_factory=dict)
    """Of texts that are put together from scalars, the pieces in order."""

    @property
    def sources(self) -> tuple[Document, ...]:
        """The documents that it is composed of, itself if it is a file."""
        return self.parts or (self,)

    def origin(self, path: Path) -> Origin:
        """Return the document and path that a value comes from: its own, unless it is composed of others."""
        for length in range(len(path), -1, -1) if self.origins else ():
            found = self.origins.get(path[:length])
            if found is not None:
                return found[0], (*found[1], *path[length:])
        return self, path

    @property
    def positions(self) -> Positions:
        """The positions of all values and keys."""
        if self._positions is None:
            self._positions = self.locate()
        return self._positions

    def place(self, path: Path, *, key: bool = False) -> Place:
        """The place of the value at `path` (of its key with `key`), or of the nearest parent that has one."""
        if self.origins:
            document, path = self.origin(path)
            if document is not self:
                return document.place(path, key=key)
        positions = self.positions
        if key and path in positions.keys:
            return self.place_of(positions.keys[path])
        for length in range(len(path), -1, -1):
            if path[:length] in positions.values:
                return self.place_of(positions.values[path[:length]])
        return Place(self.name, 1, 1, self.line(1))

    def place_of(self, span: Span) -> Place:
        """Return the place where a span begins."""
        return Place(self.name, span.line, span.column, self.line(span.line))

    def place_at(self, offset: int) -> Place:
        """The place of the character at `offset` in the text."""
        offset = max(0, min(offset, len(self.text)))
        from bisect import bisect_right

        starts = self.starts()
        line = bisect_right(starts, offset)
        return Place(self.name, line, offset - starts[line - 1] + 1, self.line(line))

    def line(self, number: int) -> str:
        """The text of one line, counted from 1; empty past the end."""
        starts = self.starts()
        if not 1 <= number <= len(starts):
            return ""
        end = starts[number] - 1 if number < len(starts) else len(self.text)
        return self.text[starts[number - 1] : end].rstrip("\r")

    def starts(self) -> list[int]:
        """Return the offset of each line, computed once."""
        if self._starts is None:
            starts, end = [0], self.text.find("\n")
            while end >= 0:
                starts.append(end + 1)
                end = self.text.find("\n", end + 1)
            self._starts = starts
        return self._starts

    def place_in_scalar(self, path: Path, offset: int) -> Place:
        """The place of the character at `offset` of the *value* of the scalar at `path`.

        Folding, indentation and escapes are undone: offset 5 of a folded block is where the fifth
        character of its value is written in the file.
        """
        value = self.at(path)
        if path in self.pieces:
            piece = max(
                (each for each in self.pieces[path] if each.start <= offset),
                key=lambda each: each.start,
                default=self.pieces[path][0],
            )
            return piece.document.place_in_scalar(piece.path, piece.offset + max(0, offset - piece.start))
        if self.origins:
            document, inner = self.origin(path)
            if document is not self:
                written = document.at(inner) == value
                return document.place_in_scalar(inner, offset) if written else document.place(inner)
        span = self.positions.values.get(path)
        if span is None or span.style is None or not isinstance(value, str):
            return self.place(path)
        return self.place_at(source_offset(self.text, span, value, offset))

    def is_plain(self, path: Path) -> bool:
        """Return True for a scalar that is written without quotes, in YAML."""
        document, inner = self.origin(path) if self.origins else (self, path)
        span = document.positions.values.get(inner)
        return span is not None and span.style == ""

    def is_cut(self, path: Path) -> bool:
        """Return True for a plain scalar before a comment that looks like its end: `name == "a #b"`."""
        document, inner = self.origin(path) if self.origins else (self, path)
        span = document.positions.values.get(inner)
        if span is None or span.style != "":
            return False
        rest = document.text[span.end :].partition("\n")[0]
        return re.match(r"""[ \t]+#.*["')\]]""", rest) is not None

    def offset_in_scalar(self, path: Path, position: int) -> int:
        """The offset in the *value* of the scalar at `path` of what is at `position` of the file's text."""
        value, span = self.at(path), self.positions.values.get(path)
        if span is None or span.style is None or not isinstance(value, str):
            return 0
        return value_offset(self.text, span, value, position)

    def offset_of(self, place: Place) -> int:
        """The offset of a place in the file's text."""
        starts = self.starts()
        line = min(max(place.line, 1), len(starts))
        return min(starts[line - 1] + place.column - 1, len(self.text))

    def at(self, path: Path) -> Any:
        """Return the value at a path; None if there is none."""
        value = self.value
        for step in path:
            try:
                value = value[step]
            except (KeyError, IndexError, TypeError):
                return None
        return value
