"""Numbers with a unit or a suffix, which CEL has not: `80GB`, `2s`, `1_000`, `0o17`."""

from __future__ import annotations

import re
from collections.abc import Sequence

from engine.cel.errors import CelSyntaxError
from engine.cel.tokens import NUMBERS, Token

_TIMES = {
    **dict.fromkeys(("ns", "us", "µs", "ms"), ""),
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), "s"),
    **dict.fromkeys(("m", "min", "mins", "minute", "minutes"), "m"),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), "h"),
    **dict.fromkeys(("d", "day", "days"), "d"),
    **dict.fromkeys(("w", "wk", "week", "weeks"), "w"),
}
"""Units of time as people write them, and as duration() reads them; it has no days and weeks."""
_HOURS = {"d": 24, "w": 168}
_PARTS = re.compile(r"(?:[0-9]+(?:\.[0-9]+)?(?:ns|us|µs|ms|s|m|h))+")
_SCALES = {
    **{f"{letter}{end}": 1024**power for power, letter in enumerate("KMGTP", 1) for end in ("iB", "i")},
    **{f"{letter}{end}": 1000**power for power, letter in enumerate("KMGTP", 1) for end in ("B", "")},
    **{f"k{end}": 1000 for end in ("B", "")},
}


def amount_of_a_unit(tokens: Sequence[Token], index: int) -> CelSyntaxError | None:
    """Return the error of letters right after a number, or of a unit a space further."""
    token, number = tokens[index], tokens[index - 1]
    if index == 0 or token.kind != "name" or number.kind not in NUMBERS:
        return None
    if token.start != number.end and token.text not in _TIMES.keys() | _SCALES.keys():
        return None
    hint = _hint(number, token.text)
    return CelSyntaxError(f"unexpected {token.text[:40]!r} after {number.text[:40]}", token.start, hint)


def _hint(number: Token, unit: str) -> str:
    amount = number.text
    time = duration_text(f"{amount}{unit}")
    if amount == "0" and re.fullmatch(r"[oO][0-7]+", unit):
        return f"CEL has no octals: write {int(unit[1:], 8)} or 0x{int(unit[1:], 8):x}"
    if amount == "0" and re.fullmatch(r"[bB][01]+", unit):
        return f"CEL has no binary numbers: write {int(unit[1:], 2)} or 0x{int(unit[1:], 2):x}"
    if amount == "0" and re.fullmatch(r"X[0-9a-fA-F]+", unit):
        return f"write 0x{unit[1:]}"
    if unit.startswith("_"):
        return f"digits are not grouped: write {amount}{unit.replace('_', '')}"
    if time is not None:
        return f'a duration is written duration("{time}"); a number of a unit is the number alone'
    if unit in _SCALES:
        decimals = ".0" if number.kind == "double" else ""
        return f"numbers have no units: write {amount} * {_SCALES[unit]}{decimals}"
    if unit in ("f", "F", "D", "l", "L", "n"):
        return f"write {amount}" if number.kind == "double" else f"write {amount}, or {amount}.0 for a double"
    return "numbers have no units; an operator is missing, or quotes around text"


def duration_text(text: str) -> str | None:
    """Return a time as duration() reads it: `30s` for `30 sec`, `48h` for `2d`; None for anything else."""
    squeezed = text.replace(" ", "")
    if _PARTS.fullmatch(squeezed):
        return squeezed
    single = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)([a-zµ]+)", squeezed)
    unit = _TIMES.get(single[2]) if single else None
    if single is None or unit is None:
        return None
    if unit not in _HOURS:
        return f"{single[1]}{unit}"
    hours = float(single[1]) * _HOURS[unit]
    return f"{hours:.0f}h" if hours.is_integer() else f"{hours:.6f}".rstrip("0") + "h"
