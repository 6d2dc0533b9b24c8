"""Timestamps and durations: conversions and their parts."""

from __future__ import annotations

import datetime
import functools
import re
from collections.abc import Callable

from engine.base.errors import quote
from engine.cel.costs import CHARGING, REWRITING, Spend
from engine.cel.library import Library
from engine.cel.times import SECOND, Duration, TimeRangeError, Timestamp
from engine.cel.values import CelError, Value, no_overload

LIBRARY = Library(__name__, "Dates and times", source="CEL standard library")

_OFFSET = r"(?a)([+-]?)(\d\d?):(\d\d)\Z"


@LIBRARY.function(
    "timestamp",
    "timestamp(T) -> timestamp",
    types="timestamp string int",
    description="Convert to timestamp: from RFC 3339 text or from Unix seconds.",
    example="timestamp(0) == timestamp('1970-01-01T00:00:00Z')",
    cost=REWRITING,
    operations=60,
)
def to_timestamp(value: Value) -> Timestamp:
    """Return `timestamp(value)`, to the nanosecond."""
    if isinstance(value, Timestamp):
        return value
    try:
        if type(value) is int:
            return Timestamp(value * SECOND)
        if isinstance(value, str):
            return Timestamp.parse(value)
    except TimeRangeError as error:
        raise CelError(str(error)) from None
    except ValueError as error:
        raise CelError(f"timestamp: {error}") from None
    raise no_overload("timestamp", value)


@LIBRARY.function(
    "duration",
    "duration(T) -> duration",
    types="duration string",
    description="Convert to duration: from text such as '1h30m'.",
    example="duration('90s') == duration('1m30s')",
    cost=REWRITING,
    operations=300,
)
def to_duration(value: Value) -> Duration:
    """Return `duration(value)`, to the nanosecond."""
    if isinstance(value, Duration):
        return value
    if not isinstance(value, str):
        raise no_overload("duration", value)
    try:
        return Duration.parse(value)
    except TimeRangeError as error:
        raise CelError(str(error)) from None
    except ValueError as error:
        raise CelError(f"duration: {error}") from None


_ZONE = 500
"""Steps for a time zone, which may have to be read from a file."""


@functools.lru_cache(maxsize=64)
def _zone(name: str) -> datetime.tzinfo:
    offset = re.match(_OFFSET, name)
    if offset:
        delta = datetime.timedelta(hours=int(offset[2]), minutes=int(offset[3]))
        return datetime.timezone(-delta if offset[1] == "-" else delta)
    if not name:  # Go's and C++'s word for UTC
        return datetime.UTC
    from zoneinfo import ZoneInfo  # deferred: start-up time

    try:
        return ZoneInfo(name)
    except (ValueError, OSError, LookupError):
        raise CelError(f"unknown time zone {quote(name)}") from None


def _part(
    name: str,
    value: int,
    description: str,
    of_moment: Callable[[datetime.datetime], int],
    of_duration: Callable[[int], int] | None = None,
) -> None:
    """Add a part of a timestamp, in UTC or a zone, and of a duration, by its nanoseconds.

    Args:
        name: the method.
        value: its value in the example.
        description: what it returns.
        of_moment: the part of a timestamp.
        of_duration: the part of a duration's nanoseconds, if durations have that part.
    """
    signatures = [f"timestamp.{name}() -> int", f"timestamp.{name}(string) -> int"]
    if of_duration is not None:
        signatures.append(f"duration.{name}() -> int")

    @LIBRARY.function(
        name,
        *signatures,
        description=f"{description} In UTC, or in the time zone.",
        example=f"timestamp('2020-03-01T14:05:06Z').{name}() == {value}",
        cost=CHARGING,
        operations=30,
    )
    def part(spend: Spend, value: Value, *zones: Value) -> int:
        if isinstance(value, Duration) and of_duration is not None and not zones:
            whole = of_duration(abs(value.nanoseconds))
            return -whole if value.nanoseconds < 0 else whole
        zone = zones[0] if zones else "UTC"
        if not isinstance(value, Timestamp) or not isinstance(zone, str):
            raise no_overload(name, value, *zones)
        if zones:
            spend(steps=_ZONE + len(zone))
        try:
            return of_moment(value.datetime(_zone(zone)))
        except (OverflowError, ValueError) as error:
            raise CelError(f"range error: {error}") from None


_part("getFullYear", 2020, "The year.", lambda moment: moment.year)
_part("getMonth", 2, "The month; January is 0.", lambda moment: moment.month - 1)
_part("getDate", 1, "The day of the month, from 1.", lambda moment: moment.day)
_part("getDayOfMonth", 0, "The day of the month, from 0.", lambda moment: moment.day - 1)
_part("getDayOfWeek", 0, "The day of the week; Sunday is 0.", lambda moment: moment.isoweekday() % 7)
_part("getDayOfYear", 60, "The day of the year, from 0.", lambda moment: moment.timetuple().tm_yday - 1)
_part(
    "getHours",
    14,
    "The hour, or the whole hours of a duration.",
    lambda moment: moment.hour,
    lambda nanoseconds: nanoseconds // (3600 * SECOND),
)
_part(
    "getMinutes",
    5,
    "The minute, or the whole minutes of a duration.",
    lambda moment: moment.minute,
    lambda nanoseconds: nanoseconds // (60 * SECOND),
)
_part(
    "getSeconds",
    6,
    "The second, or the whole seconds of a duration.",
    lambda moment: moment.second,
    lambda nanoseconds: nanoseconds // SECOND,
)
_part(
    "getMilliseconds",
    0,
    "The milliseconds within the second.",
    lambda moment: moment.microsecond // 1000,
    lambda nanoseconds: nanoseconds // 1_000_000 % 1000,
)
