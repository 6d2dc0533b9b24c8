"""Child process that reads a Parquet file and writes its rows as JSON, with a memory limit.

The decompressed size of a page and the repetitions of a dictionary entry are known only after decoding. So
decoding runs in a process of its own, which the system keeps below `MEMORY`; a file that crashes the library
ends only that process.
"""

from __future__ import annotations

import importlib
import os
import struct
import sys
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, BinaryIO

HEADER = struct.Struct(">QI")
"""Header of a row: its size in bytes, and the number of bytes that follow."""

END = 2**64 - 1
"""In place of a size: an error message follows, empty after the last row."""

MEMORY = 2 * 1024 * 1024 * 1024
"""Bytes beyond the usage of Python and the library after import."""

_ROWS = 64
"""Rows to decode at once: as many of the longest lines take half of `MEMORY`."""

_BATCH = 8 * 1024 * 1024
"""Bytes to decode at once, according to the file's metadata."""

_COLUMNS = 10_000

_WHOLE = ("inventory", "registry", "model", "expected")
"""Columns that may hold JSON text instead of a structure."""


def main() -> None:
    """Read a Parquet file from standard input; argv holds the parent's process id and the longest line."""
    from engine.base.lifetime import end_with

    end_with(int(sys.argv[1]))
    target = sys.stdout.buffer
    try:
        message = ""
        try:
            _write_rows(sys.stdin.buffer, int(sys.argv[2]), target)
        except MemoryError:
            message = f"it needs more than {MEMORY // 2**30} GiB of memory"
        except Exception as error:  # for a damaged file, the library raises anything
            message = _first_line(error)
        content = message.encode(errors="replace")
        target.write(HEADER.pack(END, len(content)) + content)
        target.flush()
    except BrokenPipeError:
        pass  # the parent stopped reading
    os._exit(0)  # after a failure, the library may hang in its own cleanup


def _write_rows(source: BinaryIO, longest: int, target: BinaryIO) -> None:
    import msgspec

    parquet = importlib.import_module("pyarrow.parquet")
    _limit_memory()
    for row in _rows(parquet.ParquetFile(source, pre_buffer=False, buffer_size=1 << 20)):
        text = msgspec.json.encode(_request(row))
        kept = text[: longest + 1]
        target.write(HEADER.pack(len(text), len(kept)))
        target.write(kept)


def _rows(file: Any) -> Iterator[dict[str, object]]:
    metadata = file.metadata
    if metadata.num_columns > _COLUMNS:
        raise ValueError(f"it has {metadata.num_columns} columns, at most {_COLUMNS} are allowed")
    size = 0
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        sizes = [group.column(column).total_uncompressed_size for column in range(group.num_columns)]
        if group.num_rows < 0 or any(column_size < 0 for column_size in sizes):
            raise ValueError("negative sizes in its metadata")
        size += sum(sizes)
    row_size = size // max(metadata.num_rows, 1) + 1
    for batch in file.iter_batches(max(1, min(_ROWS, _BATCH // row_size)), use_threads=False):
        yield from batch.to_pylist()


def _limit_memory() -> None:
    """Limit the address space; on systems without that, only batches are bounded."""
    with suppress(ImportError, OSError, ValueError):
        import resource

        with open("/proc/self/statm", encoding="ascii") as file:
            used = int(file.read().split()[0]) * resource.getpagesize()
        limit = used + MEMORY
        _, most = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (limit if most < 0 else min(limit, most), most))


def _request(row: dict[str, object]) -> dict[str, object]:
    import msgspec

    request = {name: _without_nulls(value) for name, value in row.items() if value is not None}
    for column in _WHOLE:
        text = request.get(column)
        if isinstance(text, str):
            request[column] = msgspec.Raw(text.encode())
    return request


def _without_nulls(value: object) -> object:
    """Drop null fields: Parquet gives every row all fields of a structure."""
    if isinstance(value, dict):
        return {name: _without_nulls(inner) for name, inner in value.items() if inner is not None}
    if isinstance(value, list):
        return [_without_nulls(element) for element in value]
    return value


def _first_line(error: Exception) -> str:
    text = str(error).partition("\n")[0].partition(". ")[0].rstrip(".")
    return f"{text[:1].lower()}{text[1:]}" or type(error).__name__
