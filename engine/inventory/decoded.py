"""Fields of decoded JSON, where a tool may have printed any shape."""

from __future__ import annotations

from engine.base.errors import DocumentError
from engine.base.jsontypes import Json, JsonObject


def mapping(value: Json) -> JsonObject:
    """Return a mapping; an empty one if the value is something else."""
    return value if isinstance(value, dict) else {}


def mappings(value: Json) -> list[JsonObject]:
    """Return the mappings in a list; none if the value is no list."""
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []


def text_of(value: Json) -> str | None:
    """Return a text; None if it is empty, "N/A" or no text."""
    return value if isinstance(value, str) and value not in ("", "N/A") else None


def number_of(entry: JsonObject, name: str, tool: str) -> int:
    """Return the number of a device.

    Raises:
        DocumentError: it is missing, negative or no whole number.
    """
    number = entry.get(name)
    if not isinstance(number, int) or isinstance(number, bool) or number < 0:
        raise DocumentError(f"{tool}: a device has no number")
    return number
