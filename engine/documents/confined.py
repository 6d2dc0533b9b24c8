"""Files that documents name: inside one folder, through no link, regular and of bounded size.

A document may come from people who are not trusted, and the files it names are opened with the rights of
whoever runs the engine. Each folder on the way is opened from its parent's descriptor, through
no link: the file that is checked is the one that is read or written, whatever is swapped in between.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from engine.documents.buffers import buffer

LONGEST = 16 * 1024 * 1024
"""Bytes of a file that a document names."""

_DRIVE = re.compile(r"[A-Za-z]:")
_FOLDER = (
    os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
)
_FILE = (
    os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)
)
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)


class ConfinedError(ValueError):
    """A name that leaves its folder, or something other than a regular file under it."""


def parts_of(name: str) -> tuple[str, ...]:
    """Split a name into folders and a file, without touching the file system.

    Raises:
        ConfinedError: an absolute path, `..`, a drive, a backslash, a control character, or no file name.
    """
    if any(character < " " or character == "\x7f" for character in name):
        raise ConfinedError("a file's name without control characters")
    if name.startswith("/") or "\\" in name or _DRIVE.match(name):
        raise ConfinedError("a relative path with '/' between folders")
    parts = tuple(part for part in name.split("/") if part not in ("", "."))
    if ".." in parts:
        raise ConfinedError("a path without '..'")
    if not parts or name.endswith(("/", "/.")):
        raise ConfinedError("the name of a file")
    return parts


def read_below(folder: str | os.PathLike[str], name: str, limit: int = LONGEST) -> bytes | None:
    """Read a file below a folder.

    Returns:
        Its bytes; None where it, or a folder on the way to it, doesn't exist.

    Raises:
        ConfinedError: the name leaves the folder or goes through a link, or isn't a regular file of at
            most `limit` bytes.
        OSError: it can't be read.
    """
    parts = parts_of(name)
    try:
        with _parent(folder, parts[:-1], make=False) as parent:
            descriptor = _open(parts[-1], _FILE, parent)
    except FileNotFoundError:
        return None
    with open(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise ConfinedError(f"a regular file, '{parts[-1]}' is {kind_of(status)}")
        open_text = buffer(os.path.join(folder, *parts))
        data = file.read(limit + 1) if open_text is None else open_text
    if len(data) > limit:
        raise ConfinedError(f"a file of at most {limit // 2**20} MiB")
    return data


def write_below(folder: str | os.PathLike[str], name: str, data: bytes) -> None:
    """Write a file below a folder, whole or not at all; folders on the way are made.

    Raises:
        ConfinedError: the name leaves the folder or goes through a link, or is taken by something other
            than a regular file.
        OSError: it can't be written.
    """
    parts = parts_of(name)
    last = parts[-1]
    with _parent(folder, parts[:-1], make=True) as parent:
        with suppress(FileNotFoundError):
            status = os.stat(last, dir_fd=parent, follow_symlinks=False)
            if not stat.S_ISREG(status.st_mode):
                raise ConfinedError(f"a regular file, '{last}' is {kind_of(status)}")
        part = f".{last[:200]}.{os.urandom(8).hex()}.part"
        descriptor = os.open(part, _NEW, 0o666, dir_fd=parent)
        try:
            with open(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(descriptor)
            os.replace(part, last, src_dir_fd=parent, dst_dir_fd=parent)
        except BaseException:
            with suppress(OSError):
                os.unlink(part, dir_fd=parent)
            raise


def is_below(path: str | os.PathLike[str], *folders: str | os.PathLike[str]) -> bool:
    """Whether a file, with all links followed, is inside one of some folders."""
    real = os.path.realpath(path)
    return any(os.path.commonpath((real, top)) == top for top in map(os.path.realpath, folders))


def kind_of(status: os.stat_result) -> str:
    """What something is that is no regular file: `a directory`, `a FIFO`."""
    for test, words in (
        (stat.S_ISDIR, "a directory"),
        (stat.S_ISLNK, "a symbolic link"),
        (stat.S_ISFIFO, "a FIFO"),
        (stat.S_ISSOCK, "a socket"),
        (stat.S_ISCHR, "a device"),
        (stat.S_ISBLK, "a device"),
    ):
        if test(status.st_mode):
            return words
    return "a regular file"


@contextmanager
def _parent(folder: str | os.PathLike[str], parts: tuple[str, ...], *, make: bool) -> Iterator[int]:
    """A descriptor of the folder that a file is in; `folder` itself, named by the user, may be a link."""
    descriptor = os.open(folder, _FOLDER & ~getattr(os, "O_NOFOLLOW", 0))
    try:
        for part in parts:
            if make:
                with suppress(FileExistsError):
                    os.mkdir(part, dir_fd=descriptor)
            inner = _open(part, _FOLDER, descriptor)
            os.close(descriptor)
            descriptor = inner
        yield descriptor
    finally:
        os.close(descriptor)


def _open(name: str, flags: int, parent: int) -> int:
    try:
        return os.open(name, flags, dir_fd=parent)
    except OSError as error:
        # Linux says ELOOP of a link, with O_DIRECTORY ENOTDIR; FreeBSD says EMLINK. A socket is ENXIO.
        if error.errno not in (errno.ELOOP, errno.ENOTDIR, errno.EMLINK, errno.ENXIO):
            raise
        found = os.stat(name, dir_fd=parent, follow_symlinks=False)
        raise ConfinedError(f"no link on the way, '{name}' is {kind_of(found)}") from None
