"""Writers of answers."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer as Buffer


class Bytes(Protocol):
    """An open file whose writes are complete or fail."""

    def write(self, data: Buffer, /) -> object:
        """Write all bytes."""
        ...


class Target(Protocol):
    """A writer of answers into an open file, which it leaves open."""

    def write(self, content: bytes, /) -> object:
        """Write whole lines."""
        ...

    def close(self) -> None:
        """Write buffered data and the end of the format."""
        ...

    def abandon(self) -> None:
        """Stop writing after a failure; no effect after `close`."""
        ...


class PlainTarget:
    """Write uncompressed lines."""

    def __init__(self, file: Bytes) -> None:
        self.write = file.write

    def close(self) -> None:
        """Do nothing: plain lines have no end marker."""

    def abandon(self) -> None:
        """Do nothing: plain lines are not buffered."""


class Compressor(Bytes, Protocol):
    """A compressing writer that does not close the file under it."""

    def close(self) -> None:
        """Write buffered data and the end of the stream."""
        ...


class PackedTarget:
    """Write lines through a compressor."""

    def __init__(self, packer: Compressor) -> None:
        self.packer = packer
        self.write = packer.write

    def close(self) -> None:
        """Write buffered data and the end of the stream."""
        self.packer.close()

    def abandon(self) -> None:
        """Close the compressor now; otherwise it would write when it is collected."""
        with suppress(OSError, ValueError):
            self.packer.close()
