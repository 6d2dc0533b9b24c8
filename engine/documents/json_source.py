"""JSON read strictly: no NaN, no duplicate keys; places are worked out only for a report."""

from __future__ import annotations

import json
import math
import re
from typing import NoReturn

from engine.base.errors import DocumentError, quote
from engine.base.jsontypes import Json, JsonObject
from engine.documents.document import Document, Limits, Positions


class _Refused(ValueError):
    """Something that JSON's own grammar lets through and this reader doesn't."""


def decode_json(text: str, *, infinite: bool = False) -> Json:
    """The value in `text`.

    Args:
        text: the document.
        infinite: accept NaN and Infinity, as Python writes them.

    Raises:
        json.JSONDecodeError: not JSON.
        ValueError: NaN or Infinity, a number too large, a duplicate key, nested too deeply.
    """
    try:
        value: Json = (_LENIENT if infinite else _DECODER).decode(text)
        return value
    except RecursionError:
        raise _Refused("nested too deeply") from None


def load_json(text: str, name: str, limits: Limits) -> Document:
    """The document in `text`.

    Raises:
        DocumentError: not JSON, or refused by `decode_json`; with its place where there is one.
    """
    document = Document(name, text, None, lambda: _positions(text, name, limits))
    try:
        document.value = decode_json(text, infinite=limits.infinite)
    except json.JSONDecodeError as error:
        message = f"not valid JSON: {error.msg[:1].lower()}{error.msg[1:]}"
        raise DocumentError(message, place=document.place_at(error.pos)) from None
    except ValueError as error:
        from engine.documents.yaml_source import load_yaml

        # YAML's reader refuses the same things and knows their places.
        load_yaml(text, name, limits)
        message = str(error) if isinstance(error, _Refused) else "a number with too many digits"
        raise DocumentError(message, place=document.place_at(_odd_number(text))) from None
    return document


_STRING_OR_ODD_NUMBER = re.compile(r'"(?:[^"\\]|\\.)*"|(?P<odd>NaN|-?Infinity|-?[0-9]{1000})')


def _odd_number(text: str) -> int:
    """Where the first NaN, Infinity or endless number stands outside of strings."""
    for match in _STRING_OR_ODD_NUMBER.finditer(text):
        if match["odd"]:
            return match.start()
    return 0


def _positions(text: str, name: str, limits: Limits) -> Positions:
    from engine.documents.yaml_source import load_yaml

    try:
        return load_yaml(text, name, limits).positions
    except DocumentError:
        return Positions()  # JSON that YAML can't read, such as escaped surrogate pairs


def _pairs(pairs: list[tuple[str, Json]]) -> JsonObject:
    mapping = dict(pairs)
    if len(mapping) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise _Refused(f"duplicate key {quote(key)}")
            seen.add(key)
    return mapping


def _constant(text: str) -> NoReturn:
    raise _Refused(f"{text} is not a finite number")


def _float(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise _Refused(f"{quote(text)} is too large for a double")
    return value


_DECODER = json.JSONDecoder(object_pairs_hook=_pairs, parse_constant=_constant, parse_float=_float)
_LENIENT = json.JSONDecoder(object_pairs_hook=_pairs, parse_float=_float)
