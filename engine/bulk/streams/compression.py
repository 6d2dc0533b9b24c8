"""Compressed streams: gzip and zstd, by file name."""

from __future__ import annotations

import gzip
import importlib
import io
from types import ModuleType
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from engine.base.errors import DocumentError
from engine.bulk.streams.expansion import Expansion
from engine.bulk.streams.targets import Bytes, PackedTarget, PlainTarget, Target

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_WINDOW = 128 * 1024 * 1024
"""Largest zstd window in bytes: the limit of `zstd` without --long."""

_SLICE = 1024
"""Bytes of zstd to decompress at once. Four bytes can expand to 128 KiB, so a slice to 32 MiB."""


def reader(raw: BinaryIO, name: str) -> BinaryIO:
    """Return a reader of the decompressed content.

    Raises:
        DocumentError: the file is compressed with zstd, which is not installed.
    """
    if name.endswith(".gz"):
        return cast(BinaryIO, gzip.GzipFile(fileobj=raw))
    if name.endswith(".zst"):
        return io.BufferedReader(_ZstdReader(raw, name, _zstandard(name)))
    return raw


class _ZstdReader(io.RawIOBase):
    """Decompress consecutive zstd frames.

    The library's own reader takes a truncated file for a complete one.
    """

    def __init__(self, raw: BinaryIO, name: str, zstandard: ModuleType) -> None:
        self.raw = raw
        self.new = zstandard.ZstdDecompressor(max_window_size=_WINDOW).decompressobj
        self.frame: Any = None
        self.unpacked = memoryview(b"")
        self.expansion = Expansion(name, "zstdcat FILE | engine batch -")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        while not self.unpacked:
            data = self.raw.read(_SLICE)
            if not data:
                if self.frame is not None:
                    raise EOFError("Compressed file ended before the end-of-stream marker was reached")
                return 0
            self.unpacked = memoryview(self.unpack(data))
            self.expansion.add(len(data), len(self.unpacked))
        target = memoryview(buffer)
        taken = self.unpacked[: len(target)]
        self.unpacked = self.unpacked[len(taken) :]
        target[: len(taken)] = taken
        return len(taken)

    def unpack(self, data: bytes) -> bytes:
        pieces: list[bytes] = []
        while data:
            self.frame = self.frame or self.new()
            pieces.append(self.frame.decompress(data))
            data = self.frame.unused_data if self.frame.eof else b""
            if self.frame.eof:
                self.frame = None
        return b"".join(pieces)


def writer(file: Bytes, name: str) -> Target:
    """Return the writer that compresses lines as the final name of the file implies.

    Raises:
        DocumentError: zstd is required and not installed.
    """
    if name.endswith(".gz"):
        # Without name and time in the header, equal answers give equal bytes.
        return PackedTarget(gzip.GzipFile(filename="", fileobj=cast(Any, file), mode="wb", mtime=0))
    if name.endswith(".zst"):
        return PackedTarget(_zstandard(name).ZstdCompressor().stream_writer(file, closefd=False))
    return PlainTarget(file)


def faults() -> tuple[type[Exception], ...]:
    """Return the exceptions for damaged compressed files, besides OSError and EOFError."""
    import zlib

    try:
        return (zlib.error, importlib.import_module("zstandard").ZstdError)
    except ImportError:
        return (zlib.error,)


def _zstandard(name: str) -> ModuleType:
    try:
        return importlib.import_module("zstandard")
    except ImportError:
        raise DocumentError(
            f"{name}: zstd is not installed", hint="pip install 'shard-policy-engine[zstd]'"
        ) from None
