"""Limit on decompression: a small file must not keep a machine busy for days or fill its disk."""

from __future__ import annotations

from engine.base.errors import DocumentError

_FREE = 1024 * 1024 * 1024
"""Bytes that any file may expand to, whatever its ratio."""

_RATIO = 1032
"""Largest expansion ratio beyond that: the maximum of the gzip format."""


class Expansion:
    """Count compressed and decompressed bytes of a file.

    Args:
        name: the file, for errors.
        otherwise: a command for users who trust the file.
    """

    def __init__(self, name: str, otherwise: str) -> None:
        self.name = name
        self.otherwise = otherwise
        self.read = self.unpacked = 0

    def add(self, read: int, unpacked: int) -> None:
        """Count further bytes.

        Raises:
            DocumentError: the file expands too far.
        """
        self.read += read
        self.unpacked += unpacked
        if self.unpacked > _FREE and self.unpacked > _RATIO * self.read:
            raise DocumentError(
                f"{self.name}: expands to more than {_RATIO:,} times its size, beyond {_FREE // 2**30} GiB",
                hint=f"if this is intended, decompress it first: {self.otherwise}",
            )
