"""CEL's timestamps and durations, to the nanosecond.

Python's datetime and timedelta end at microseconds, so both are a number of nanoseconds here. Ranges are
those of the CEL specification; the results of arithmetic on durations, and the differences of timestamps,
must fit 64 bits, as in cel-go and C++ CEL.
"""

from __future__ import annotations

import datetime
import functools
import re

SECOND = 10**9
"""Nanoseconds."""

FIRST_TIMESTAMP = -62_135_596_800 * SECOND
"""0001-01-01T00:00:00Z, in nanoseconds from the Unix epoch."""
LAST_TIMESTAMP = 253_402_300_800 * SECOND - 1
"""9999-12-31T23:59:59.999999999Z."""
LONGEST_DURATION = 315_576_000_001 * SECOND - 1
"""About 10,000 years: the seconds and nanoseconds that google.protobuf.Duration holds."""
LONGEST_RESULT = 2**63 - 1
"""Longest result of arithmetic on durations and timestamps: about 292 years."""

_EPOCH = datetime.datetime.fromtimestamp(0, datetime.UTC)
_MICROSECOND = datetime.timedelta(microseconds=1)
# Compiled when they are first used: start-up time.
_RFC_3339 = (
    r"(?a)(?P<seconds>\d{4}-\d\d-\d\d[Tt](?:[01]\d|2[0-3]):\d\d:\d\d)(?:\.(?P<fraction>\d+))?"
    r"(?P<zone>[Zz]|[+-]\d\d:\d\d)\Z"
)
_DURATION = r"(?a)[-+]?(?:0|(?:(?:\d+\.?\d*|\.\d+)(?:ns|us|µs|μs|ms|s|m|h))+)\Z"
_DURATION_PART = r"(?a)(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)"
_NANOSECONDS = {
    "ns": 1, "us": 1_000, "µs": 1_000, "μs": 1_000, "ms": 1_000_000,
    "s": SECOND, "m": 60 * SECOND, "h": 3600 * SECOND,
}  # fmt: skip
_LONGEST_TEXT = 100


class TimeRangeError(ValueError):
    """A timestamp or duration beyond CEL's range."""

    def __init__(self, what: str) -> None:
        super().__init__(f"range error: {what}")


@functools.total_ordering
class Timestamp:
    """A point in time; `nanoseconds` counts from the Unix epoch."""

    __slots__ = ("nanoseconds",)

    def __init__(self, nanoseconds: int) -> None:
        """Make a timestamp.

        Raises:
            TimeRangeError: before the year 1 or after the year 9999.
        """
        if not FIRST_TIMESTAMP <= nanoseconds <= LAST_TIMESTAMP:
            raise TimeRangeError("timestamps are from 0001-01-01T00:00:00Z to 9999-12-31T23:59:59.999999999Z")
        self.nanoseconds = nanoseconds

    @classmethod
    def parse(cls, text: str) -> Timestamp:
        """Read RFC 3339 text; digits beyond nanoseconds are dropped.

        Raises:
            ValueError: the text is of another form, has no zone, or is out of range (TimeRangeError).
        """
        match = re.match(_RFC_3339, text)
        if match is None:
            raise ValueError(f"cannot parse {text[:40]!r}")
        zone = "+00:00" if match["zone"] in "Zz" else match["zone"]
        if match["seconds"].startswith("0000"):
            raise TimeRangeError("year 0 is out of range")
        moment = datetime.datetime.fromisoformat(match["seconds"].upper() + zone)
        # The difference is exact where the moment in UTC is out of datetime's range.
        seconds = (moment - _EPOCH) // datetime.timedelta(seconds=1)
        return cls(seconds * SECOND + int((match["fraction"] or "0")[:9].ljust(9, "0")))

    @classmethod
    def of(cls, moment: datetime.datetime) -> Timestamp:
        """Return the timestamp of an aware datetime."""
        return cls((moment - _EPOCH) // _MICROSECOND * 1_000)

    def datetime(self, zone: datetime.tzinfo = datetime.UTC) -> datetime.datetime:
        """Return the time in a zone, to the microsecond.

        Raises:
            OverflowError: the year is not from 1 to 9999 in that zone.
        """
        utc = _EPOCH + datetime.timedelta(microseconds=self.nanoseconds // 1_000)
        return utc.astimezone(zone)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Timestamp) and self.nanoseconds == other.nanoseconds

    def __lt__(self, other: Timestamp) -> bool:
        return self.nanoseconds < other.nanoseconds if isinstance(other, Timestamp) else NotImplemented

    def __hash__(self) -> int:
        return hash(("timestamp", self.nanoseconds))

    def __add__(self, other: Duration) -> Timestamp:
        return (
            Timestamp(self.nanoseconds + other.nanoseconds) if isinstance(other, Duration) else NotImplemented
        )

    def __sub__(self, other: Timestamp | Duration) -> Timestamp | Duration:
        if isinstance(other, Timestamp):
            return _result(self.nanoseconds - other.nanoseconds)
        return (
            Timestamp(self.nanoseconds - other.nanoseconds) if isinstance(other, Duration) else NotImplemented
        )

    def __str__(self) -> str:
        seconds, rest = divmod(self.nanoseconds, SECOND)
        moment = _EPOCH + datetime.timedelta(seconds=seconds)
        return moment.strftime("%Y-%m-%dT%H:%M:%S").rjust(19, "0") + _fraction(rest) + "Z"

    def __repr__(self) -> str:
        return f"Timestamp('{self}')"


@functools.total_ordering
class Duration:
    """A length of time, which may be negative."""

    __slots__ = ("nanoseconds",)

    def __init__(self, nanoseconds: int) -> None:
        """Make a duration.

        Raises:
            TimeRangeError: longer than about 10,000 years in either direction.
        """
        if not -LONGEST_DURATION <= nanoseconds <= LONGEST_DURATION:
            raise TimeRangeError("the duration is too long")
        self.nanoseconds = nanoseconds

    @classmethod
    def parse(cls, text: str) -> Duration:
        """Read text such as '1h30m' or '-0.5s'; fractions of a nanosecond are dropped.

        Raises:
            ValueError: the text is of another form, or is out of range (TimeRangeError).
        """
        if len(text) > _LONGEST_TEXT or not re.match(_DURATION, text):
            raise ValueError(f"cannot parse {text[:40]!r}")
        total = 0
        for number, unit in re.findall(_DURATION_PART, text):
            whole, _, digits = number.partition(".")
            total += int(whole or 0) * _NANOSECONDS[unit] * 10**_LONGEST_TEXT
            total += int(digits or 0) * _NANOSECONDS[unit] * 10 ** (_LONGEST_TEXT - len(digits))
        total //= 10**_LONGEST_TEXT
        return cls(-total if text[0] == "-" else total)

    @classmethod
    def of(cls, length: datetime.timedelta) -> Duration:
        """Return the duration of a timedelta."""
        return cls(length // _MICROSECOND * 1_000)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Duration) and self.nanoseconds == other.nanoseconds

    def __lt__(self, other: Duration) -> bool:
        return self.nanoseconds < other.nanoseconds if isinstance(other, Duration) else NotImplemented

    def __hash__(self) -> int:
        return hash(("duration", self.nanoseconds))

    def __add__(self, other: Timestamp | Duration) -> Timestamp | Duration:
        if isinstance(other, Timestamp):
            return other + self
        return (
            _result(self.nanoseconds + other.nanoseconds) if isinstance(other, Duration) else NotImplemented
        )

    def __sub__(self, other: Duration) -> Duration:
        return (
            _result(self.nanoseconds - other.nanoseconds) if isinstance(other, Duration) else NotImplemented
        )

    def __str__(self) -> str:
        seconds, rest = divmod(abs(self.nanoseconds), SECOND)
        return f"{'-' if self.nanoseconds < 0 else ''}{seconds}{_fraction(rest)}s"

    def __repr__(self) -> str:
        return f"Duration('{self}')"


def _result(nanoseconds: int) -> Duration:
    """Return a result of arithmetic.

    Raises:
        TimeRangeError: it does not fit 64 bits.
    """
    if not -LONGEST_RESULT <= nanoseconds <= LONGEST_RESULT:
        raise TimeRangeError("the duration is too long")
    return Duration(nanoseconds)


def _fraction(nanoseconds: int) -> str:
    return f".{nanoseconds:09d}".rstrip("0") if nanoseconds else ""
