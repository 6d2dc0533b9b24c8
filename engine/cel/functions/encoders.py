"""cel-go's encoders extension: base64."""

from __future__ import annotations

import binascii
import re

from engine.cel.costs import COPYING
from engine.cel.library import Library
from engine.cel.limits import LONGEST_VALUE
from engine.cel.values import CelError, Value, require_type, too_long

LIBRARY = Library(__name__, "Encoders", source="cel-go encoders extension", namespace="base64")

_ENCODED = r"[A-Za-z0-9+/]*={0,2}\Z"


@LIBRARY.function(
    "base64.encode",
    "base64.encode(bytes) -> string",
    description="Bytes as base64, with padding.",
    example="base64.encode(b'hello') == 'aGVsbG8='",
    cost=COPYING,
    operations=20,
)
def encode(data: Value) -> str:
    """Return `base64.encode(data)`."""
    require_type("base64.encode", data, bytes)
    if len(data) > LONGEST_VALUE * 3 // 4 - 3:
        raise too_long("")
    return binascii.b2a_base64(data, newline=False).decode("ascii")


@LIBRARY.function(
    "base64.decode",
    "base64.decode(string) -> bytes",
    description="The bytes of base64 text; the padding may be left out.",
    example="base64.decode('aGVsbG8') == b'hello'",
    cost=COPYING,
    operations=20,
)
def decode(text: Value) -> bytes:
    """Return `base64.decode(text)`."""
    require_type("base64.decode", text, str)
    stripped = text.rstrip("=")
    padded = stripped + "=" * (-len(stripped) % 4)
    if not re.match(_ENCODED, text) or (text != stripped and text != padded) or len(stripped) % 4 == 1:
        raise CelError(f"base64.decode: {text[:40]!r} is not base64")
    return binascii.a2b_base64(padded)
