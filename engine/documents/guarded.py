"""Files whose content is trusted: folders and files that only this user (or root) can have written.

Other users may share a machine and a temporary folder. A file is opened without following a link and without
waiting for a writer, and looked at before a byte of it is read.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress

_FLAGS = 0
for _name in ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "O_NOCTTY", "O_BINARY"):
    _FLAGS |= getattr(os, _name, 0)

_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_MOST_LINKS = 40
"""Symbolic links on the way to a folder; as many as Linux follows."""
_HAS_OWNERS = hasattr(os, "geteuid")
"""Windows has neither owners nor modes here; what keeps others out there is the profile's access list."""


def read_shipped(path: str, most: int) -> bytes | None:
    """The content of a file that belongs to the package; None unless it is an ordinary file of at most `most`
    bytes that only its owner can write.

    Its owner is whoever installed the package, whose code runs anyway.
    """
    return _read(path, most, own=False, others=_OTHERS_WRITE)


def read_own(path: str, most: int, *, secret: bool = False) -> bytes | None:
    """The content of a file of this user's; None unless nobody else can write it (or read it, if `secret`).

    It is an ordinary file of at most `most` bytes that has no second name.
    """
    return _read(path, most, own=True, others=_OTHERS if secret else _OTHERS_WRITE)


def _read(path: str, most: int, *, own: bool, others: int) -> bytes | None:
    try:
        descriptor = os.open(path, os.O_RDONLY | _FLAGS)
    except (OSError, ValueError):
        return None
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_size > most:
            return None
        if _HAS_OWNERS and status.st_mode & others:
            return None
        # A file that is being replaced has no name left; one with a second name may be somebody's bait.
        if own and _HAS_OWNERS and (status.st_uid != os.geteuid() or status.st_nlink > 1):
            return None
        return _content(descriptor, most)
    except OSError:
        return None
    finally:
        os.close(descriptor)


def _content(descriptor: int, most: int) -> bytes | None:
    """All that is in a file; None where it has grown beyond `most` bytes."""
    pieces = []
    size = 0
    while piece := os.read(descriptor, most + 1 - size):
        pieces.append(piece)
        size += len(piece)
        if size > most:
            return None
    return b"".join(pieces)


def own_folder(path: str, *, make: bool = False) -> str | None:
    """A folder's path without links, if nobody else can change what is in it or put another in its place.

    The folder is this user's and only the user can write it. Each folder above it belongs to the user or to
    root, and others can't write it, unless they can't take away what isn't theirs (as in /tmp). Symbolic
    links on the way are followed where they are the user's or root's.

    Args:
        path: the folder.
        make: make it where it doesn't exist, and the folders above it, for this user alone.

    Raises:
        OSError: there is none, or it can't be made.
    """
    if not _HAS_OWNERS:
        if make:
            os.makedirs(path, exist_ok=True)
        return os.path.realpath(path)
    user = os.geteuid()
    at = os.sep
    status = os.lstat(at)
    rest = _steps(os.path.abspath(path))
    links = 0
    while rest:
        if not _is_safe_above(status, user):
            return None
        parent, at = at, os.path.join(at, rest.pop())
        status = _status(at, make)
        if stat.S_ISLNK(status.st_mode):
            links += 1
            if status.st_uid not in (user, 0) or links > _MOST_LINKS:
                return None
            # Resolved here rather than by the kernel, so that each folder on the way is looked at.
            rest += _steps(os.path.normpath(os.path.join(parent, os.readlink(at))))
            at, status = os.sep, os.lstat(os.sep)
    is_own = stat.S_ISDIR(status.st_mode) and status.st_uid == user and not status.st_mode & _OTHERS_WRITE
    return at if is_own else None


def _steps(path: str) -> list[str]:
    """The names in an absolute path, the last one first."""
    return [each for each in reversed(path.split(os.sep)) if each]


def _is_safe_above(status: os.stat_result, user: int) -> bool:
    if not stat.S_ISDIR(status.st_mode) or status.st_uid not in (user, 0):
        return False
    return not status.st_mode & _OTHERS_WRITE or bool(status.st_mode & stat.S_ISVTX)


def _status(path: str, make: bool) -> os.stat_result:
    if make:
        with suppress(FileExistsError):  # as it mostly does
            os.mkdir(path, 0o700)
    return os.lstat(path)


def write_own(path: str, data: bytes) -> None:
    """Write a file for this user alone; it appears when it is complete, in place of what has its name.

    It isn't forced onto the disk: what a power cut damages is noticed when it is read.

    Raises:
        OSError: it can't be written; nothing of it is left then.
    """
    part = f"{path}.{os.getpid()}.{os.urandom(6).hex()}.part"
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _FLAGS, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        os.replace(part, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(part)
        raise
