"""Timestamps and durations as formulas: whole numbers of nanoseconds, and their parts.

Years follow the proleptic Gregorian calendar, as in CEL. Numbers here are z3's integers, which have no
bounds; parts become 64-bit ints where expressions read them.
"""

from __future__ import annotations

import re

import z3

from engine.cel.times import FIRST_TIMESTAMP, LAST_TIMESTAMP, LONGEST_DURATION, LONGEST_RESULT, SECOND

_DAY = 86_400
_FIRST_DAY = -719_162
"""0001-01-01, in days from the Unix epoch."""
_OFFSET = re.compile(r"(?a)([+-]?)(\d\d?):(\d\d)\Z")
_MONTH_ENDS = (31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334)
"""Days before the end of each month but the last, in a year that is no leap year."""

RANGES = {
    "getFullYear": (1, 9999),
    "getMonth": (0, 11),
    "getDate": (1, 31),
    "getDayOfMonth": (0, 30),
    "getDayOfWeek": (0, 6),
    "getDayOfYear": (0, 365),
    "getHours": (0, 23),
    "getMinutes": (0, 59),
    "getSeconds": (0, 59),
    "getMilliseconds": (0, 999),
}
"""Least and most value of each part of a timestamp."""

_UNITS = {"getHours": 3600 * SECOND, "getMinutes": 60 * SECOND, "getSeconds": SECOND}
_MOST_CASES = 400
"""Values of a part that are listed; larger parts are converted by the solver."""


def is_timestamp(value: z3.ArithRef) -> z3.BoolRef:
    """Return when a number of nanoseconds is a timestamp."""
    return z3.And(value >= FIRST_TIMESTAMP, value <= LAST_TIMESTAMP)


def is_duration(value: z3.ArithRef) -> z3.BoolRef:
    """Return when a number of nanoseconds is a duration."""
    return z3.And(value >= -LONGEST_DURATION, value <= LONGEST_DURATION)


def is_result(value: z3.ArithRef) -> z3.BoolRef:
    """Return when a number of nanoseconds is a result of arithmetic on durations."""
    return z3.And(value >= -LONGEST_RESULT, value <= LONGEST_RESULT)


def of_seconds(value: z3.BitVecRef) -> z3.ArithRef:
    """Return the nanoseconds of 64-bit Unix seconds."""
    return z3.BV2Int(value, is_signed=True) * SECOND


def seconds(value: z3.ArithRef) -> z3.BitVecRef:
    """Return Unix seconds, rounded down, as a 64-bit int."""
    return z3.Int2BV(value / SECOND, 64)


def part_of_duration(name: str, value: z3.ArithRef) -> z3.BitVecRef | None:
    """Return a part of a duration as a 64-bit int: whole hours, minutes or seconds, or milliseconds."""
    size = z3.If(value < 0, -value, value)
    if name in _UNITS:
        whole = size / _UNITS[name]
    elif name == "getMilliseconds":
        whole = size / (SECOND // 1000) % 1000
    else:
        return None
    return z3.Int2BV(z3.If(value < 0, -whole, whole), 64)


def part_of_timestamp(name: str, value: z3.ArithRef, calendar: Calendar) -> tuple[z3.BitVecRef, z3.ArithRef]:
    """Return a part of a timestamp in UTC, as a 64-bit int and as a number without bounds."""
    least, most = RANGES[name]
    part = _part(name, value, calendar)
    if most >= _MOST_CASES:
        return z3.Int2BV(part, 64), part
    result = z3.BitVecVal(most, 64)
    for number in range(most - 1, least - 1, -1):
        result = z3.If(part == number, z3.BitVecVal(number, 64), result)
    return result, part


def _part(name: str, value: z3.ArithRef, calendar: Calendar) -> z3.ArithRef:
    if name == "getMilliseconds":
        return value / (SECOND // 1000) % 1000
    unix = value / SECOND
    clock = {"getHours": 3600, "getMinutes": 60, "getSeconds": 1}
    if name in clock:
        return unix % _DAY / clock[name] % (24 if name == "getHours" else 60)
    day = unix / _DAY
    if name == "getDayOfWeek":
        return (day + 4) % 7
    year, start, leap = calendar.year(day)
    if name == "getFullYear":
        return year
    if name == "getDayOfYear":
        return day - start
    month, begins = z3.IntVal(0), z3.IntVal(0)
    for index, days in enumerate(_MONTH_ENDS):
        end = z3.IntVal(days) if index == 0 else z3.If(leap, z3.IntVal(days + 1), z3.IntVal(days))
        reached = day - start >= end
        month, begins = z3.If(reached, z3.IntVal(index + 1), month), z3.If(reached, end, begins)
    if name == "getMonth":
        return month
    return day - start - begins + (1 if name == "getDate" else 0)


Year = tuple[z3.ArithRef, z3.ArithRef, z3.BoolRef]
"""A year, its first day, and whether it is a leap year."""

Years = list[tuple[z3.ArithRef, Year]]
"""Days, each with its year."""


class Calendar:
    """The years of days: each an unknown that the day determines."""

    def __init__(self, facts: list[z3.BoolRef], years: Years) -> None:
        """Prepare.

        Args:
            facts: collects what determines the years.
            years: the years that are known.
        """
        self.facts = facts
        self.years = years

    def year(self, day: z3.ArithRef) -> Year:
        """Return the year of a day, the day on which it begins, and whether it is a leap year."""
        for known, parts in self.years:
            if known.eq(day):
                return parts
        before = z3.Int(f"years before {len(self.years)}")
        leap = z3.And(before % 4 == 3, z3.Or(before % 100 != 99, before % 400 == 399))
        start = before * 365 + before / 4 - before / 100 + before / 400 + _FIRST_DAY
        length = z3.If(leap, z3.IntVal(366), z3.IntVal(365))
        self.facts += [before >= 0, before < 9999, start <= day, day < start + length]
        self.years.append((day, (before + 1, start, leap)))
        return self.years[-1][1]


def fixed_offset(zone: str) -> int | None:
    """Return the seconds of a zone that is a fixed offset or UTC; None for a zone of the database."""
    if zone in ("", "UTC"):
        return 0
    match = _OFFSET.match(zone)
    if match is None:
        return None
    offset = 3600 * int(match[2]) + 60 * int(match[3])
    return -offset if match[1] == "-" else offset
