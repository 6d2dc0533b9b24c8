"""Parquet: rows in as lines of JSON, decisions out as columns."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from engine.errors import DocumentError
from engine.streams.lines import Line

_ROWS = 1024
"""Rows that are held at once."""

_WHOLE = ("inventory", "registry", "model", "expected")
"""Columns that may hold JSON as text in place of a structure."""


def read_rows(source: BinaryIO, name: str) -> Iterator[Line]:
    """The rows of a Parquet file as requests, one line of JSON each; what is null is left out.

    Raises:
        DocumentError: not a Parquet file, or a damaged one; or pyarrow isn't installed.
    """
    arrow, parquet = _pyarrow(name)
    number = 0
    try:
        for batch in parquet.ParquetFile(source).iter_batches(_ROWS):
            for row in batch.to_pylist():
                number += 1
                text = msgspec.json.encode(_request(row))
                yield Line(number, text, len(text))
    except (arrow.ArrowException, OSError) as error:
        raise DocumentError(f"{name}: not a whole Parquet file: {_first_line(error)}") from None


def _request(row: dict[str, Any]) -> dict[str, Any]:
    request: dict[str, Any] = _without_nulls(row)
    for column in _WHOLE:
        if isinstance(request.get(column), str):
            request[column] = msgspec.Raw(request[column].encode())
    return request


def _without_nulls(value: Any) -> Any:
    """Parquet gives every row every field of a structure, null where it has none."""
    if isinstance(value, dict):
        return {name: _without_nulls(each) for name, each in value.items() if each is not None}
    if isinstance(value, list):
        return [_without_nulls(each) for each in value]
    return value


class ParquetTarget:
    """A file of decisions, one row each; it is given the rows as lines of JSON."""

    def __init__(self, path: Path, name: str) -> None:
        arrow, parquet = _pyarrow(name)
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
        self.writer = parquet.ParquetWriter(str(path), self.schema, compression="zstd")
        self.waiting: list[dict[str, Any]] = []

    def write(self, content: bytes) -> None:
        """Rows, one line each; `line` names the line of the input."""
        self.waiting += msgspec.json.decode(b"[" + b",".join(content.splitlines()) + b"]")
        if len(self.waiting) >= _ROWS:
            self.flush()

    def flush(self) -> None:
        """Write what waits as one group of rows."""
        if self.waiting:
            self.writer.write_batch(self.batch(self.waiting, schema=self.schema))
            self.waiting = []

    def close(self) -> None:
        """Complete the file."""
        self.flush()
        self.writer.close()


def _pyarrow(name: str) -> tuple[Any, Any]:
    try:
        return importlib.import_module("pyarrow"), importlib.import_module("pyarrow.parquet")
    except ImportError:
        raise DocumentError(
            f"{name}: pyarrow is not installed", hint="pip install 'shard-policy-engine[parquet]'"
        ) from None


def _first_line(error: Exception) -> str:
    text = str(error).partition("\n")[0].partition(". ")[0].rstrip(".")
    return f"{text[:1].lower()}{text[1:]}"
