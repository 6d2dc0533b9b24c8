"""gzip and zstd by the names of files."""

from __future__ import annotations

import gzip
import importlib
import io
from pathlib import Path
from typing import Any, BinaryIO, cast

from engine.errors import DocumentError


def reader(raw: BinaryIO, name: str) -> BinaryIO:
    """What is read of a file of that name, unpacked.

    Raises:
        DocumentError: it is packed with zstd, and that isn't installed.
    """
    if name.endswith(".gz"):
        return cast(BinaryIO, gzip.GzipFile(fileobj=raw))
    if name.endswith(".zst"):
        return io.BufferedReader(_ZstdReader(raw, _zstandard(name)))
    return raw


class _ZstdReader(io.RawIOBase):
    """Unpacks zstd frames one after the other. The library's own reader takes a file that is cut off for one
    that is at its end."""

    def __init__(self, raw: BinaryIO, zstandard: Any) -> None:
        self.raw = raw
        self.new = zstandard.ZstdDecompressor().decompressobj
        self.frame: Any = None
        self.unpacked = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self.unpacked:
            data = self.raw.read(1 << 16)
            if not data:
                if self.frame is not None:
                    raise EOFError("Compressed file ended before the end-of-stream marker was reached")
                return 0
            self.unpack(data)
        taken = self.unpacked[: len(buffer)]
        self.unpacked = self.unpacked[len(taken) :]
        buffer[: len(taken)] = taken
        return len(taken)

    def unpack(self, data: bytes) -> None:
        pieces: list[bytes] = []
        while data:
            self.frame = self.frame or self.new()
            pieces.append(self.frame.decompress(data))
            data = self.frame.unused_data if self.frame.eof else b""
            if self.frame.eof:
                self.frame = None
        self.unpacked = b"".join(pieces)


def writer(path: Path, name: str, *, append: bool = False) -> BinaryIO:
    """A file that is packed as its future name says.

    Raises:
        DocumentError: it is to be packed with zstd, and that isn't installed.
        OSError: it can't be written.
    """
    if name.endswith(".gz"):
        return cast(BinaryIO, gzip.open(path, "wb"))
    if name.endswith(".zst"):
        return cast(BinaryIO, _zstandard(name).open(path, "wb"))
    return path.open("ab" if append else "wb")


def faults() -> tuple[type[Exception], ...]:
    """What damaged packed files raise beside OSError and EOFError."""
    import zlib

    try:
        return (zlib.error, importlib.import_module("zstandard").ZstdError)
    except ImportError:
        return (zlib.error,)


def _zstandard(name: str) -> Any:
    try:
        return importlib.import_module("zstandard")
    except ImportError:
        raise DocumentError(
            f"{name}: zstd is not installed", hint="pip install 'shard-policy-engine[zstd]'"
        ) from None
