"""Decode CEL's literals by the language definition (cel-spec: "Syntax", "String and Bytes Values")."""

from __future__ import annotations

import math
import re

INT_MIN, INT_MAX, UINT_MAX = -(2**63), 2**63 - 1, 2**64 - 1

_SIMPLE = {
    "a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v",
    "\\": "\\", "?": "?", '"': '"', "'": "'", "`": "`",
}  # fmt: skip
_ESCAPE = (
    r"\\(?:[xX](?P<hex>[0-9a-fA-F]{2})|u(?P<u4>[0-9a-fA-F]{4})|U(?P<u8>[0-9a-fA-F]{8})"
    r"|(?P<octal>[0-3][0-7]{2})|(?P<simple>[abfnrtv\\?\"'`])|(?P<bad>[\s\S]?))"
)


class LiteralError(ValueError):
    """A literal that the grammar accepts and CEL does not."""

    hint: str | None = None


def decode_int(text: str) -> int:
    """Decode a decimal or hexadecimal int within 64 bits."""
    value = _integer(text)
    if not INT_MIN <= value <= INT_MAX:
        raise LiteralError(f"{text} does not fit a 64-bit int")
    return value


def decode_uint(text: str) -> int:
    """Decode a uint (with its `u`) within 64 bits."""
    value = _integer(text[:-1])
    if not 0 <= value <= UINT_MAX:
        raise LiteralError(f"{text} does not fit a 64-bit uint")
    return value


def decode_double(text: str) -> float:
    """Decode a finite double."""
    if text.endswith("."):
        raise LiteralError(f"a digit is missing after the point of {text}")
    value = float(text)
    if math.isinf(value):
        raise LiteralError(f"{text} does not fit a double")
    return value


def decode_string(text: str) -> str:
    """Decode a string literal with any kind of quotes."""
    body, raw = _unquote(text)
    return body if raw else re.sub(_ESCAPE, _text_escape, body)


def decode_bytes(text: str) -> bytes:
    """Decode a bytes literal: characters give their UTF-8 bytes, \\x and octal escapes single bytes."""
    body, raw = _unquote(text.lstrip("bB") if text[0] in "bB" else text[0] + text[2:])
    if raw:
        return body.encode("utf-8")
    pieces: list[bytes] = []
    last = 0
    for match in re.finditer(_ESCAPE, body):
        pieces.append(body[last : match.start()].encode("utf-8"))
        pieces.append(_byte_escape(match))
        last = match.end()
    pieces.append(body[last:].encode("utf-8"))
    return b"".join(pieces)


def _integer(text: str) -> int:
    if len(text) > 32:
        raise LiteralError(f"{text[:20]}… does not fit 64 bits")
    return int(text, 16) if "x" in text else int(text, 10)


def _unquote(text: str) -> tuple[str, bool]:
    raw = text[0] in "rR"
    text = text[1:] if raw else text
    width = 3 if text[:3] in ('"""', "'''") and len(text) >= 6 else 1
    return text[width:-width], raw


def _code_point(digits: str) -> str:
    value = int(digits, 16)
    if value > 0x10FFFF or 0xD800 <= value <= 0xDFFF:
        raise LiteralError(f"\\u{digits} is not a Unicode code point")
    return chr(value)


def _text_escape(match: re.Match[str]) -> str:
    if match["simple"]:
        return _SIMPLE[match["simple"]]
    if match["octal"]:
        return chr(int(match["octal"], 8))
    digits = match["hex"] or match["u4"] or match["u8"]
    if digits:
        return _code_point(digits)
    error = LiteralError(f"unknown escape {match[0]}")
    error.hint = f"write \\{match[0]}, or a raw text: r'…{match[0]}…'"
    raise error


def _byte_escape(match: re.Match[str]) -> bytes:
    if match["hex"]:
        return bytes([int(match["hex"], 16)])
    if match["octal"]:
        return bytes([int(match["octal"], 8)])
    if match["u4"] or match["u8"]:
        raise LiteralError(f"{match[0]}: no Unicode escape in bytes")
    return _text_escape(match).encode("utf-8")
