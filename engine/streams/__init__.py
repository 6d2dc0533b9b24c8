"""Files of many requests or decisions: JSON Lines, plain or packed, and Parquet, by their names."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Protocol

from engine.errors import DocumentError
from engine.streams import compression
from engine.streams.lines import LONGEST_LINE, Line, read_lines

__all__ = ["LONGEST_LINE", "Line", "Target", "is_parquet", "is_plain", "open_target", "read", "read_lines"]


class Target(Protocol):
    """What answers are written to."""

    def write(self, content: bytes, /) -> object:
        """Whole lines."""
        ...

    def close(self) -> None:
        """Complete the file."""
        ...


def is_parquet(name: str) -> bool:
    """Whether a file of that name is a table."""
    return name.endswith(".parquet")


def is_plain(name: str) -> bool:
    """Whether a file of that name can be cut off after any line."""
    return not name.endswith((".gz", ".zst", ".parquet"))


def read(raw: BinaryIO, name: str) -> Iterator[Line]:
    """The requests in an open file of that name.

    Raises:
        DocumentError: it is damaged, or what reads it isn't installed.
    """
    if is_parquet(name):
        yield from _read_table(raw, name)
        return
    source = compression.reader(raw, name)
    faults: tuple[type[Exception], ...] = (OSError, EOFError, *compression.faults())
    try:
        yield from read_lines(source)
    except faults as error:
        reason = str(error).partition(":")[0]
        raise DocumentError(f"{name}: {reason[:1].lower()}{reason[1:]}") from None


def _read_table(raw: BinaryIO, name: str) -> Iterator[Line]:
    from engine.streams.parquet import read_rows

    yield from read_rows(raw, name)


def open_target(path: Path, name: str, *, append: bool = False) -> Target:
    """A file that is written as its future name says.

    Raises:
        DocumentError: what writes it isn't installed.
        OSError: it can't be written.
    """
    if is_parquet(name):
        from engine.streams.parquet import ParquetTarget

        return ParquetTarget(path, name)
    return compression.writer(path, name, append=append)
