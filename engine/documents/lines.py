"""Lines of JSON, read one at a time from a stream, and decoded strictly."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import BinaryIO

import msgspec

from engine.base.errors import DocumentError
from engine.base.jsontypes import Json
from engine.base.records import record
from engine.documents.json_source import decode_json

_encode = msgspec.json.Encoder().encode

LONGEST_LINE = 16 * 1024 * 1024
"""Bytes; a longer line is an error, and is never held in memory as a whole."""

_ENDLESS = 16 * LONGEST_LINE
"""Bytes; a line that is longer ends the run: nothing says that it ever ends."""

_BLANK = 4 * 1024 * 1024
"""Bytes of blank lines in a row that end the run in the same way."""


@record
class Line:
    """One line that is not blank; of one longer than `LONGEST_LINE`, just more than so much.

    `number` counts from 1, blank lines too; `size` is in bytes, with what isn't kept. Rows of tables come as
    lines of JSON, too.
    """

    number: int
    text: bytes
    size: int


def read_lines(source: BinaryIO, name: str = "<stdin>") -> Iterator[Line]:
    """The lines of a stream, one at a time.

    Raises:
        DocumentError: a line without an end, or blank lines without one.
    """
    number = blank = 0
    while text := source.readline(LONGEST_LINE + 1):
        number += 1
        size, rest = len(text), text
        while not rest.endswith(b"\n") and (rest := source.readline(LONGEST_LINE)):
            size += len(rest)
            if size > _ENDLESS:
                raise DocumentError(f"{name}: line {number} is longer than {_ENDLESS // 2**20} MiB")
        if text.strip():
            blank = 0
            yield Line(number, text, size)
        else:
            blank += size
            if blank > _BLANK:
                raise DocumentError(
                    f"{name}: more than {_BLANK // 2**20} MiB of blank lines up to line {number}"
                )


def decode_line(text: bytes) -> Json:
    """The value of a line, as strict as `decode_json`: no NaN, no duplicate keys.

    Raises:
        DocumentError: not JSON, or refused; with the column where there is one.
    """
    try:
        value: Json = msgspec.json.decode(text)
        if names_are_unique(text, value):
            return value
    except (msgspec.MsgspecError, RecursionError, OverflowError, ValueError):
        pass
    return _decode(text)


def _decode(text: bytes) -> Json:
    if len(text) > LONGEST_LINE:
        raise DocumentError(f"a line of more than {LONGEST_LINE // 2**20} MiB")
    try:
        return decode_json(text.decode("utf-8-sig"))
    except json.JSONDecodeError as error:
        reason = f"{error.msg[:1].lower()}{error.msg[1:]}"
        raise DocumentError(f"not valid JSON at column {error.colno}: {reason}") from None
    except UnicodeDecodeError as error:
        raise DocumentError(f"not UTF-8 text: byte 0x{text[error.start]:02x}") from None
    except ValueError as error:
        raise DocumentError(str(error)) from None


def names_are_unique(text: bytes, value: object) -> bool:
    """Return True if no mapping of a JSON text has duplicate keys; False may also mean: look closer.

    Decoding drops a duplicate key and its colon, so the value, encoded again, has fewer colons than the text.
    An escape may stand for a colon.
    """
    # Looking for one byte takes a thirtieth of looking for two.
    return (b"\\" not in text or b"\\u" not in text) and text.count(b":") == _encode(value).count(b":")
