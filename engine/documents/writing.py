"""Files that appear when they are complete, and survive a power failure from then on."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress

from engine.base.errors import DocumentError


def write_whole(path: str | os.PathLike[str], text: str) -> None:
    """Write a text as a file that is either the old one or the new one, whole, at any time.

    Raises:
        DocumentError: it can't be written; the old file is as it was.
    """
    try:
        replace_file(path, text.encode())
    except OSError as error:
        raise unwritable(path, error) from None


def replace_file(path: str | os.PathLike[str], data: bytes) -> None:
    """As `write_whole`, of bytes.

    Raises:
        OSError: it can't be written; the old file is as it was.
    """
    # A name that nobody can guess and nobody else writes to, opened only where there is nothing yet.
    part = f"{os.fspath(path)}.part-{secrets.token_hex(8)}"
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        publish(part, path)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(part)
        raise


def publish(part: str | os.PathLike[str], path: str | os.PathLike[str]) -> None:
    """Give a file or folder whose content is on disk its name, and have the name on disk, too.

    Raises:
        OSError: it can't have that name.
    """
    os.replace(part, path)
    sync_folder(os.path.dirname(os.path.abspath(path)))


def sync_folder(folder: str | os.PathLike[str]) -> None:
    """Have the names in a folder on disk; where folders can't be synced, nothing happens."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:  # Windows, or a folder that may be written but not read
        return
    try:
        with suppress(OSError):  # some network file systems
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def unwritable(path: str | os.PathLike[str], error: OSError, hint: str | None = None) -> DocumentError:
    """The error of a file that can't be written, as people read it."""
    return DocumentError(f"{os.fspath(path)}: {(error.strerror or str(error)).lower()}", hint=hint)
