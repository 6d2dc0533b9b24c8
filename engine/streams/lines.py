"""Lines of a stream, one at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

from engine.records import record

LONGEST_LINE = 16 * 1024 * 1024
"""Bytes; a longer line is an error, and is never held in memory as a whole."""


@record
class Line:
    """One line that is not blank; of one longer than `LONGEST_LINE`, just more than so much.

    `number` counts from 1, blank lines too; `size` is in bytes, with what isn't kept. Rows of tables come as
    lines of JSON, too.
    """

    number: int
    text: bytes
    size: int


def read_lines(source: BinaryIO) -> Iterator[Line]:
    """The lines of a stream, one at a time."""
    number = 0
    while text := source.readline(LONGEST_LINE + 1):
        number += 1
        size, rest = len(text), text
        while not rest.endswith(b"\n") and (rest := source.readline(LONGEST_LINE)):
            size += len(rest)
        if text.strip():
            yield Line(number, text, size)
