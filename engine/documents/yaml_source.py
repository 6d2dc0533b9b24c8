"""YAML read from its events: safe, with places, without recursion, with limits.

Scalars follow YAML 1.2's core schema, so that `no` is text and `1e3` a number; what YAML 1.1 and 1.2 read
differently without a sign of it (`010`) is refused.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import TypeVar, cast

import yaml

from engine.base.errors import DocumentError, Path, Place, quote
from engine.base.jsontypes import Json, JsonObject
from engine.base.records import field, record
from engine.documents.document import Document, Limits, Positions
from engine.documents.spans import Span
from engine.documents.yaml_faults import Stop, find_fault

_Scalar = str | int | float | bool | None
_Number = TypeVar("_Number", int, float)

_LOADER: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_NULL = r"(?:~|null|Null|NULL|)\Z"
_FIRST_OF_NAMES = "nNtTfF"
"""Of null, true and false."""
_BOOL = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INT = r"[-+]?(?:0|[1-9][0-9_]*)\Z"
_PREFIXED_INT = r"[-+]?0(?:x[0-9a-fA-F_]+|o[0-7_]+)\Z"
_OCTAL_TRAP = r"[-+]?0[0-9_]+\Z"
_FLOAT = r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?\Z"
_NOT_FINITE = r"(?:[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))\Z"

_TAG = "tag:yaml.org,2002:"
_COLLECTION_TAGS = {None, "!", _TAG + "map", _TAG + "seq"}
_SCALAR_TAGS: dict[str, type | tuple[type, ...]] = {
    _TAG + "int": int,
    _TAG + "float": (int, float),
    _TAG + "bool": bool,
    _TAG + "null": type(None),
}


@record(frozen=False)
class _Frame:
    """A collection that is still open."""

    container: JsonObject | list[Json]
    path: Path
    start: Span
    anchor: str | None
    first_node: int
    key: str | None = None
    keys: dict[str, Span] = field(default_factory=dict)


class _Builder:
    """Turns a stream of events into plain data and positions."""

    def __init__(self, text: str, name: str, limits: Limits) -> None:
        self.document = Document(name, text, None)
        self.limits = limits
        self.values: dict[Path, Span] = {}
        self.keys: dict[Path, Span] = {}
        self.anchors: dict[str, tuple[Json, int]] = {}
        self.stack: list[_Frame] = []
        self.nodes = 0
        self.root: Json = None
        self.documents = 0

    def fail(self, message: str, event: yaml.Event, hint: str | None = None) -> DocumentError:
        mark = event.start_mark
        assert mark is not None
        place = Place(self.document.name, mark.line + 1, mark.column + 1, self.document.line(mark.line + 1))
        return DocumentError(message, place=place, hint=hint)

    def feed(self, event: yaml.Event) -> None:
        if isinstance(event, yaml.DocumentStartEvent):
            self.documents += 1
            if self.documents > 1:
                raise self.fail("a second YAML document in one file", event, "keep one document a file")
        elif isinstance(event, yaml.ScalarEvent):
            self.scalar(event)
        elif isinstance(event, yaml.AliasEvent):
            self.alias(event)
        elif isinstance(event, (yaml.MappingStartEvent, yaml.SequenceStartEvent)):
            self.open(event)
        elif isinstance(event, (yaml.MappingEndEvent, yaml.SequenceEndEvent)):
            self.close(event)

    def scalar(self, event: yaml.ScalarEvent) -> None:
        style = event.style or ""
        span = _span(event, style)
        frame = self.stack[-1] if self.stack else None
        if frame is not None and isinstance(frame.container, dict) and frame.key is None:
            self.key(frame, event, span)
            return
        value = self.scalar_value(event)
        if event.anchor:
            self.anchors[event.anchor] = (value, 1)
        self.attach(value, span, event, 1)

    def key(self, frame: _Frame, event: yaml.ScalarEvent, span: Span) -> None:
        key = event.value
        if event.implicit[0] and not event.style:
            value = self.scalar_value(event)
            if self.limits.keys and isinstance(value, int):
                # A document's type says text, which is true of all others.
                key = cast(str, value)
            elif not isinstance(value, str):
                hint = f'write "{key}" in quotes'
                if self.follows_number(event):
                    hint = (
                        "a comma ends a value in { }: the decimal sign is a point, and digits are not grouped"
                    )
                raise self.fail(f"a key must be text, found {key}", event, hint)
        if key == "<<" and not event.style:
            raise self.fail("merge keys (<<) are not supported", event, "write the fields out")
        if key in frame.keys:
            first = frame.keys[key]
            raise self.fail(
                f"duplicate key {quote(key)}", event, f"already defined in line {first.line}; keep one"
            )
        frame.keys[key] = span
        frame.key = key
        self.keys[(*frame.path, key)] = span

    def follows_number(self, event: yaml.Event) -> bool:
        """Return True for what stands right after a number and a comma: `2,5`."""
        mark = event.start_mark
        assert mark is not None
        return re.search(r"[0-9],\Z", self.document.text[max(mark.index - 2, 0) : mark.index]) is not None

    def scalar_value(self, event: yaml.ScalarEvent) -> _Scalar:
        tag, text = event.tag, event.value
        if tag in (None, "!"):
            if not event.implicit[0]:
                return text
            return self.plain_value(event)
        if tag == _TAG + "str":
            return text
        expected = _SCALAR_TAGS.get(tag)
        if expected is None:
            hint = "an unquoted ! begins a tag: put quotes around an expression, and use no tags"
            raise self.fail(f"unknown YAML tag {tag}", event, hint)
        value = self.plain_value(event)
        if not isinstance(value, expected):
            raise self.fail(f"{quote(text)} is not a {tag.removeprefix(_TAG)}", event)
        return value

    def plain_value(self, event: yaml.ScalarEvent) -> _Scalar:
        text = event.value
        # Most scalars are plain words or plain numbers, and patterns have to be compiled first.
        if text[:1].isalpha() and text[0] not in _FIRST_OF_NAMES:
            return text
        if text.isascii() and text.isdigit() and text[0] != "0":
            return self.number(int, text, event)
        if re.match(_NULL, text):
            return None
        if text in _BOOL:
            return _BOOL[text]
        if re.match(_INT, text):
            return self.number(int, text.replace("_", ""), event)
        if re.match(_PREFIXED_INT, text):
            return int(text.replace("_", ""), 0)
        if re.match(_OCTAL_TRAP, text):
            decimal = text.lstrip("+-0") or "0"
            if self.follows_number(event):
                raise self.fail(
                    "a comma inside a number", event, "digits are not grouped: leave the comma out"
                )
            raise self.fail(
                f"{text} is octal in YAML 1.1 and decimal in YAML 1.2",
                event,
                f'write {decimal}, 0o{decimal} or "{text}"',
            )
        if re.match(_FLOAT, text):
            value = self.number(float, text, event)
            if math.isinf(value):
                raise self.fail(f"{quote(text)} is too large for a double", event)
            return value
        if re.match(_NOT_FINITE, text):
            raise self.fail(f"{text} is not a finite number", event, "leave the field out if it is unknown")
        return text

    def number(self, kind: Callable[[str], _Number], text: str, event: yaml.Event) -> _Number:
        try:
            return kind(text)
        except ValueError:
            raise self.fail("a number with too many digits", event) from None

    def alias(self, event: yaml.AliasEvent) -> None:
        if event.anchor not in self.anchors:
            if any(frame.anchor == event.anchor for frame in self.stack):
                raise self.fail(f"alias *{event.anchor} refers to its own container", event)
            hint = "text that begins with * needs quotes around it"
            raise self.fail(f"alias *{event.anchor} has no anchor &{event.anchor} before it", event, hint)
        frame = self.stack[-1]
        if isinstance(frame.container, dict) and frame.key is None:
            raise self.fail("an alias can't be a key", event)
        value, size = self.anchors[event.anchor]
        self.attach(value, _span(event, None), event, size)

    def open(self, event: yaml.CollectionStartEvent) -> None:
        if len(self.stack) >= self.limits.depth:
            raise self.fail(f"nested deeper than {self.limits.depth} levels", event)
        if event.tag not in _COLLECTION_TAGS:
            raise self.fail(f"unknown YAML tag {event.tag}", event, "write plain YAML without tags")
        container: JsonObject | list[Json] = {} if isinstance(event, yaml.MappingStartEvent) else []
        parent = self.stack[-1] if self.stack else None
        path = self.next_path(parent, event)
        self.attach(container, _span(event, None), event, 1)
        self.stack.append(_Frame(container, path, _span(event, None), event.anchor, self.nodes))

    def close(self, event: yaml.CollectionEndEvent) -> None:
        frame = self.stack.pop()
        span = frame.start
        end = event.end_mark
        assert end is not None
        self.values[frame.path] = Span(span.start, end.index, span.line, span.column)
        if frame.anchor:
            self.anchors[frame.anchor] = (frame.container, self.nodes - frame.first_node + 1)

    def next_path(self, parent: _Frame | None, event: yaml.Event) -> Path:
        if parent is None:
            return ()
        if isinstance(parent.container, list):
            return (*parent.path, len(parent.container))
        if parent.key is None:
            hint = "text that begins with { or [ needs quotes around it"
            raise self.fail("a key must be text, found a collection", event, hint)
        return (*parent.path, parent.key)

    def attach(self, value: Json, span: Span, event: yaml.Event, size: int) -> None:
        self.nodes += size
        if self.nodes > self.limits.nodes:
            raise self.fail(
                f"more than {self.limits.nodes} values once aliases are expanded",
                event,
                "aliases that refer to aliases multiply",
            )
        parent = self.stack[-1] if self.stack else None
        path = self.next_path(parent, event)
        self.values[path] = span
        if parent is None:
            self.root = value
        elif isinstance(parent.container, list):
            parent.container.append(value)
        elif parent.key is not None:
            parent.container[parent.key] = value
            parent.key = None


def load_yaml(text: str, name: str, limits: Limits) -> Document:
    """The document in `text`.

    Raises:
        DocumentError: not YAML, several documents, duplicate keys, or over a limit; with its place.
    """
    builder = _Builder(text, name, limits)
    try:
        for event in yaml.parse(text, Loader=_LOADER):
            builder.feed(event)
    except yaml.MarkedYAMLError as error:
        raise _syntax_error(error, builder.document) from None
    except yaml.reader.ReaderError as error:
        place = builder.document.place_at(error.position)
        raise DocumentError(f"a character that YAML doesn't allow: {error.reason}", place=place) from None
    if builder.documents == 0:
        raise DocumentError("the file is empty", place=Place(name, 1, 1))
    positions = Positions(builder.values, builder.keys)
    return Document(name, text, builder.root, lambda: positions)


def _span(event: yaml.Event, style: str | None) -> Span:
    start, end = event.start_mark, event.end_mark
    assert start is not None
    assert end is not None
    return Span(start.index, end.index, start.line + 1, start.column + 1, style)


def _stop(error: yaml.MarkedYAMLError, message: str, document: Document) -> Stop:
    """Return where the reader stopped, for `find_fault`."""
    mark = error.problem_mark or error.context_mark
    assert mark is not None
    began = error.context_mark or mark
    lines = document.text.splitlines()
    return Stop(lines, message, mark.line, mark.column, began.line, began.column)


def _syntax_error(error: yaml.MarkedYAMLError, document: Document) -> DocumentError:
    mark = error.problem_mark or error.context_mark
    if error.context_mark is not None and "end of stream" in (error.problem or ""):
        mark = error.context_mark  # where it begins helps more than where the file ends
    message = error.problem or error.context or "the file can't be read"
    if error.context and error.problem:
        message = f"{error.problem} {error.context}"
    hint = None
    if "nesting depth" in message and mark is not None:
        return DocumentError("nested too deeply", place=document.place_at(mark.index))
    fault = None if mark is None else find_fault(_stop(error, message, document))
    if fault is not None:
        place = Place(document.name, fault.line, fault.column, document.line(fault.line))
        return DocumentError(f"not valid YAML: {fault.message}", place=place, hint=fault.hint)
    if error.context_mark is not None and mark is not None and error.context_mark.line < mark.line:
        hint = f"it begins in line {error.context_mark.line + 1}"
    if mark is None:
        return DocumentError(f"not valid YAML: {message}", place=Place(document.name, 1, 1), hint=hint)
    line = mark.line + 1
    place = Place(document.name, line, mark.column + 1, document.line(line))
    return DocumentError(f"not valid YAML: {message}", place=place, hint=hint)
