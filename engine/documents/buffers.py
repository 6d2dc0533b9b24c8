"""Files that are open in an editor: what is read of them is their text there, not what is saved."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

_OPEN: ContextVar[Mapping[str, bytes] | None] = ContextVar("open_buffers", default=None)


@contextmanager
def open_buffers(buffers: Mapping[str, bytes]) -> Iterator[None]:
    """Have files read as they are in an editor.

    Args:
        buffers: their contents by real path (`os.path.realpath`).
    """
    token = _OPEN.set(buffers)
    try:
        yield
    finally:
        _OPEN.reset(token)


def buffer(path: str | os.PathLike[str]) -> bytes | None:
    """Return the content of a file in the editor; None if it is not open there."""
    buffers = _OPEN.get()
    return buffers.get(os.path.realpath(path)) if buffers else None
