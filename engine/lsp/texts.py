"""Positions: the protocol counts lines from 0 and UTF-16 units, the engine characters of the whole text."""

from __future__ import annotations

import re

from engine.base.records import record
from engine.documents import Document

_WORD = re.compile(r"[A-Za-z_][\w-]*|\d[\w.]*|\S")


def normalized(text: str) -> str:
    """Return a text as the engine reads it: without a byte order mark, line ends those of Unix."""
    return text.removeprefix("\ufeff").replace("\r\n", "\n")


def units(text: str) -> int:
    """Return the length of a text in UTF-16 units."""
    return len(text) + sum(character > "\uffff" for character in text)


def offset_at(document: Document, line: int, character: int) -> int:
    """Return the offset of a position of the protocol; past the end of a line or text, that end."""
    starts = document.starts()
    if line >= len(starts):
        return len(document.text)
    left, start = character, starts[max(line, 0)]
    for count, each in enumerate(document.line(line + 1)):
        if left <= 0:
            return start + count
        left -= 2 if each > "\uffff" else 1
    return start + len(document.line(line + 1))


def position_of(document: Document, offset: int) -> tuple[int, int]:
    """Return the line and character of an offset, as the protocol counts them."""
    place = document.place_at(offset)
    return place.line - 1, units(document.line(place.line)[: place.column - 1])


@record(eq=False)
class Stretch:
    """Characters of a document: from `start` up to `end`."""

    document: Document
    start: int
    end: int

    @property
    def text(self) -> str:
        """The characters."""
        return self.document.text[self.start : self.end]


def word_at(document: Document, offset: int) -> Stretch:
    """Return the word, number or character that begins at an offset."""
    found = _WORD.match(document.text, offset)
    return Stretch(document, offset, found.end() if found else offset)
