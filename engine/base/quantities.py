"""Sizes and counts as people write them, kept exact."""

from __future__ import annotations

import re
from functools import lru_cache

_MOST_DIGITS = 18
_QUANTITY = r"\s*(?P<number>[0-9]+(?:_[0-9]+)*(?:\.[0-9]+)?)\s*(?P<unit>[A-Za-z]*)\s*\Z"

_PREFIXES = "kmgtpe"
_SIZES = {
    "": 1,
    "b": 1,
    **{f"{prefix}{ending}": 1000**power for power, prefix in enumerate(_PREFIXES, 1) for ending in ("", "b")},
    **{
        f"{prefix}i{ending}": 1024**power for power, prefix in enumerate(_PREFIXES, 1) for ending in ("", "b")
    },
}
_COUNTS = {"": 1, "k": 10**3, "m": 10**6, "b": 10**9, "t": 10**12}


@lru_cache(maxsize=256)  # the devices of an inventory have the same memory
def parse_bytes(text: str) -> int:
    """Bytes: `80GiB`, `80 GB`, `80Gi`, `85899345920`; i is for powers of 1024.

    Raises:
        ValueError: not a size, or not a whole number of bytes; the message says which.
    """
    return _parse(text, _SIZES, "a size", "80GiB, 24GB or 85899345920")


def parse_count(text: str) -> int:
    """A count: `70B`, `7.24B`, `1.5T`, `350M`, `8030261248`; B is 10^9.

    Raises:
        ValueError: not a count, or not a whole number; the message says which.
    """
    return _parse(text, _COUNTS, "a count", "70B, 350M or 8030261248")


def whole(text: object) -> int | None:
    """The number of a text that is a whole number from 0, of not more digits than 64 bits have."""
    word = str(text)
    return int(word) if word.isascii() and word.isdecimal() and len(word) <= _MOST_DIGITS else None


def _parse(text: str, units: dict[str, int], what: str, examples: str) -> int:
    match = re.match(_QUANTITY, text) if len(text) <= 64 else None
    if match is None or match["unit"].lower() not in units:
        raise ValueError(f"{text[:40]!r} is not {what}: write it like {examples}")
    if match["number"].isdecimal():
        return int(match["number"]) * units[match["unit"].lower()]
    from decimal import Decimal

    exact = Decimal(match["number"].replace("_", "")) * units[match["unit"].lower()]
    if exact != int(exact):
        raise ValueError(f"{text!r} is not a whole number")
    return int(exact)


def format_bytes(value: int) -> str:
    """Bytes for people: `67.06 GiB`, with binary units."""
    size = float(value)
    for unit in ("B", "KiB", "MiB", "GiB", "TiB", "PiB"):
        if abs(size) < 1024 or unit == "PiB":
            return f"{value} B" if unit == "B" else f"{size:.2f} {unit}"
        size /= 1024
    raise AssertionError("unreachable")


def format_count(value: int) -> str:
    """A count for people: `70B`, `7.24B`, exact where it is short."""
    for unit, factor in (("T", 10**12), ("B", 10**9), ("M", 10**6), ("K", 10**3)):
        if value >= factor:
            return f"{value / factor:.4g}{unit}"
    return str(value)
