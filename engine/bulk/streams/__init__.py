"""Streams of requests and decisions: JSON Lines, plain or compressed, and Parquet, by file name."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

from engine.base.errors import DocumentError
from engine.bulk.streams import compression
from engine.bulk.streams.targets import Bytes, PlainTarget, Target
from engine.documents.lines import Line, read_lines

__all__ = [
    "PlainTarget",
    "Target",
    "is_parquet",
    "is_plain",
    "kind",
    "open_target",
    "read",
]

_KINDS = {".gz": "gzip", ".zst": "zstd", ".parquet": "parquet"}


def is_parquet(name: str) -> bool:
    """Return True for the name of a Parquet file."""
    return name.endswith(".parquet")


def is_plain(name: str) -> bool:
    """Return True for the name of an uncompressed file, which may be truncated after any line."""
    return kind(name) == "lines"


def kind(name: str) -> str:
    """Return the format for a file name: `lines`, `gzip`, `zstd` or `parquet`."""
    return next((format_ for ending, format_ in _KINDS.items() if name.endswith(ending)), "lines")


def read(raw: BinaryIO, name: str) -> Iterator[Line]:
    """Read requests from an open file in the format that its name implies.

    Raises:
        DocumentError: the file is damaged, or the library for its format is not installed.
    """
    if is_parquet(name):
        yield from _read_table(raw, name)
        return
    faults: tuple[type[Exception], ...] = (OSError, EOFError, *compression.faults())
    try:
        yield from read_lines(compression.reader(raw, name), name)
    except faults as error:
        reason = str(error).removeprefix("zstd decompressor error: ").partition(":")[0]
        raise DocumentError(f"{name}: {reason[:1].lower()}{reason[1:]}") from None


def _read_table(raw: BinaryIO, name: str) -> Iterator[Line]:
    from engine.bulk.streams.parquet import read_rows

    yield from read_rows(raw, name)


def open_target(file: Bytes, name: str) -> Target:
    """Return the writer for an open file, in the format that its final name implies.

    Raises:
        DocumentError: the library for the format is not installed.
        OSError: the file cannot be written.
    """
    if is_parquet(name):
        from engine.bulk.streams.parquet import ParquetTarget

        return ParquetTarget(file, name)
    return compression.writer(file, name)
