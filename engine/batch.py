"""Many requests, one JSON line each: lines in, answers out, one at a time and in order."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, BinaryIO

import jsonschema_rs  # noqa: F401  (documents.quick uses it where it is loaded)
import msgspec

from engine.decide import Decision, Policy
from engine.documents.json_source import decode_json
from engine.errors import DocumentError, EngineError, Problem
from engine.records import record
from engine.request import Request

LONGEST_LINE = 16 * 1024 * 1024
"""Bytes; a longer line is an error, and is never held in memory as a whole."""


@record
class Line:
    """One line that is not blank; of one longer than `LONGEST_LINE`, just more than so much.

    `number` counts from 1, blank lines too; `size` is in bytes, with what isn't kept.
    """

    number: int
    text: bytes
    size: int


@record
class Answer:
    """A line's decision, or the problem that it has instead."""

    line: Line
    id: str | int | None
    decision: Decision | None = None
    problem: Problem | None = None


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


def decide_line(policy: Policy, line: Line, runtime: str) -> Answer:
    """The answer to one line; what is wrong with a line is part of its answer and never raised."""
    mapping: Any = None
    try:
        mapping = decode_line(line.text)
        decision = policy.decide(Request.from_dict(mapping), runtime=runtime)
    except EngineError as error:
        return Answer(line, _id(mapping), problem=error.problems[0])
    return Answer(line, decision.id, decision)


def decode_line(text: bytes) -> Any:
    """The value of a line, as strict as `decode_json`: no NaN, no duplicate keys.

    Raises:
        DocumentError: not JSON, or refused; with the column where there is one.
    """
    try:
        value = msgspec.json.decode(text)
        # A key that stands twice is dropped, and its colon with it. Written out anew, the value has as many
        # colons as the text unless that has happened; an escape may stand for one, and is looked at closely.
        if b"\\u" not in text and text.count(b":") == msgspec.json.encode(value).count(b":"):
            return value
    except (msgspec.MsgspecError, RecursionError, OverflowError, ValueError):
        pass
    return _decode(text)


def _decode(text: bytes) -> Any:
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


def _id(mapping: Any) -> str | int | None:
    found = mapping.get("id") if isinstance(mapping, dict) else None
    return found if isinstance(found, (str, int)) and not isinstance(found, bool) else None
