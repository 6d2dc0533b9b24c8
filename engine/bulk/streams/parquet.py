"""Parquet: read rows as JSON lines, write decisions as columns."""

from __future__ import annotations

import importlib
import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import ModuleType
from typing import BinaryIO, cast

import msgspec

from engine.base.errors import DocumentError
from engine.base.jsontypes import JsonObject
from engine.base.lifetime import SAFE_PATH
from engine.bulk.streams.expansion import Expansion
from engine.bulk.streams.parquet_rows import END, HEADER, MEMORY
from engine.bulk.streams.targets import Bytes
from engine.documents.lines import LONGEST_LINE, Line

_ROWS = 1024
"""Rows in one written row group."""

_LEAST = 64
"""Bytes that a row counts at least: a row without values is answered too."""


def read_rows(source: BinaryIO, name: str) -> Iterator[Line]:
    """Read the rows of a Parquet file as requests, one line of JSON each, without nulls.

    Raises:
        DocumentError: the file is damaged, not Parquet, or needs too much memory; pyarrow is missing.
    """
    if importlib.util.find_spec("pyarrow") is None:
        raise _missing(name)
    expansion = Expansion(name, "write its rows as JSON lines")
    expansion.add(os.fstat(source.fileno()).st_size, 0)
    process = subprocess.Popen(
        [sys.executable, "-c", _READER, str(os.getpid()), str(LONGEST_LINE), *sys.path],
        stdin=source,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # pyarrow writes here when it runs out of memory
        env={**os.environ, **SAFE_PATH, "ARROW_DEFAULT_MEMORY_POOL": "system"},
    )
    assert process.stdout is not None
    try:
        with process.stdout:
            yield from _lines(cast(BinaryIO, process.stdout), name, expansion)
    finally:
        process.kill()
        process.wait()


_READER = "import sys; sys.path[:] = sys.argv[3:]; from engine.bulk.streams.parquet_rows import main; main()"


def _lines(rows: BinaryIO, name: str, expansion: Expansion) -> Iterator[Line]:
    number = 0
    while True:
        header = rows.read(HEADER.size)
        if len(header) < HEADER.size:
            message = f"the reader failed, possibly for lack of memory (limit {MEMORY // 2**30} GiB)"
            raise _damaged(name, message)
        size, kept = HEADER.unpack(header)
        text = rows.read(kept)
        if size == END:
            if text:
                raise _damaged(name, text.decode())
            return
        number += 1
        expansion.add(0, max(size, _LEAST))
        yield Line(number, text, size)


def _damaged(name: str, reason: str) -> DocumentError:
    return DocumentError(f"{name}: invalid or damaged Parquet file: {reason}")


class ParquetTarget:
    """Write decisions as a Parquet file, one row each, from lines of JSON."""

    def __init__(self, file: Bytes, name: str) -> None:
        arrow, parquet = _pyarrow(name)
        self.fault = arrow.ArrowException
        columns = [
            *(("id", arrow.string()), ("line", arrow.int64()), ("policy", arrow.string())),
            *(("digest", arrow.string()), ("outcome", arrow.string()), ("match", arrow.string())),
            *(("explanation", arrow.string()), ("strategy", arrow.string())),
            *(("tensor_parallel", arrow.int64()), ("pipeline_parallel", arrow.int64())),
            *(("data_parallel", arrow.int64()), ("shards", arrow.int64())),
            *(("total_memory_bytes", arrow.int64()), ("estimated_tokens_per_sec", arrow.float64())),
            *(("fits_in_memory", arrow.bool_()), ("quantization", arrow.string())),
            *(("warnings", arrow.list_(arrow.string())), ("error", arrow.string())),
            ("decision", arrow.string()),
        ]
        self.batch = arrow.RecordBatch.from_pylist
        self.schema = arrow.schema(columns)
        with self.faults():
            self.writer = parquet.ParquetWriter(
                arrow.PythonFile(_Sink(file), mode="w"), self.schema, compression="zstd"
            )
        self.buffer: list[JsonObject] = []

    def write(self, content: bytes) -> None:
        """Write rows, one JSON line each; `line` is the line number in the input."""
        self.buffer += msgspec.json.decode(b"[" + b",".join(content.splitlines()) + b"]")
        if len(self.buffer) >= _ROWS:
            self.flush()

    def flush(self) -> None:
        """Write buffered rows as one row group."""
        if self.buffer:
            with self.faults():
                self.writer.write_batch(self.batch(self.buffer, schema=self.schema))
            self.buffer = []

    def close(self) -> None:
        """Write buffered rows and the footer."""
        self.flush()
        with self.faults():
            self.writer.close()

    def abandon(self) -> None:
        """Close the library's writer now; otherwise it would write when it is collected."""
        with suppress(OSError), self.faults():
            self.writer.close()
        self.writer.is_open = False

    @contextmanager
    def faults(self) -> Iterator[None]:
        """Turn the library's errors into OSError, as every target raises it."""
        try:
            yield
        except self.fault as error:
            raise OSError(str(error).partition("\n")[0]) from None


class _Sink:
    """A file for the library, which closes its files."""

    def __init__(self, file: Bytes) -> None:
        self.write = file.write
        self.closed = False

    def flush(self) -> None:
        """Do nothing: nothing is buffered."""

    def close(self) -> None:
        """Leave the file open."""
        self.closed = True


def _pyarrow(name: str) -> tuple[ModuleType, ModuleType]:
    try:
        return importlib.import_module("pyarrow"), importlib.import_module("pyarrow.parquet")
    except ImportError:
        raise _missing(name) from None


def _missing(name: str) -> DocumentError:
    return DocumentError(
        f"{name}: pyarrow is not installed", hint="pip install 'shard-policy-engine[parquet]'"
    )
