"""From an offset in a scalar's value back to the offset in the file where it is written."""

from __future__ import annotations

import re

from engine.documents.spans import Span

_ESCAPE = re.compile(r"\\(?:x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|[^\n])")
_LINE_CONTINUATION = re.compile(r"\\\n\s*")


def source_offset(text: str, span: Span, value: str, offset: int) -> int:
    """The offset in `text` of the character at `offset` of a scalar's `value`.

    Walks value and source side by side. White space is matched run by run, because folding and
    indentation change it; everything else is matched character by character, escapes undone.
    """
    position = _content_start(text, span)
    offset = min(offset, len(value))
    prefix = value[: offset + 1]
    if text.startswith(prefix, position) and (span.style != '"' or "\\" not in prefix):  # written as it is
        return min(position + offset, max(span.start, span.end - 1))
    index = 0
    while index < offset and position < span.end:
        if value[index].isspace() and text[position].isspace():
            index = _skip_space(value, index)
            position = _skip_space(text, position)
        else:
            index += 1
            position = _after_character(text, position, span)
        position = _skip_continuation(text, position, span)
    # An offset inside a run of white space is placed where the run ends; good enough for a caret.
    if offset < len(value) and not value[offset].isspace():
        position = _skip_space(text, position) if index == offset else position
    return min(position, max(span.start, span.end - 1))


def value_offset(text: str, span: Span, value: str, position: int) -> int:
    """The offset in a scalar's `value` of what is at `position` of `text`: `source_offset`, inverted."""
    low, high = 0, len(value)
    while low < high:
        middle = (low + high + 1) // 2
        if source_offset(text, span, value, middle) <= position:
            low = middle
        else:
            high = middle - 1
    last = max(len(value) - 1, 0)  # the end of a scalar is clamped to its last character
    return last if low > last and source_offset(text, span, value, last) >= position else low


def _content_start(text: str, span: Span) -> int:
    """Where the scalar's own characters begin: behind the quote, or on the line after a block's header."""
    if span.style in ("'", '"'):
        return span.start + 1
    if span.style in ("|", ">"):
        header_end = text.find("\n", span.start)
        start = span.end if header_end < 0 else header_end + 1
        return _skip_space(text, start)
    return span.start


def _after_character(text: str, position: int, span: Span) -> int:
    """The offset behind the character written at `position`."""
    if span.style == '"':
        escape = _ESCAPE.match(text, position)
        return escape.end() if escape else position + 1
    if span.style == "'" and text.startswith("''", position):
        return position + 2
    return position + 1


def _skip_continuation(text: str, position: int, span: Span) -> int:
    if span.style == '"':
        continuation = _LINE_CONTINUATION.match(text, position)
        return continuation.end() if continuation else position
    return position


def _skip_space(text: str, position: int) -> int:
    while position < len(text) and text[position].isspace():
        position += 1
    return position
