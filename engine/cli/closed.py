"""Replacements for standard streams that the caller closed (`>&-`), which Python sets to None."""

from __future__ import annotations

import os
import sys


def stand_in() -> None:
    """Replace each closed stream.

    Reading standard input and writing to standard output then fail with the operating system's "bad file
    descriptor"; standard error is discarded. Descriptors 0 to 2 are occupied, so no other file gets one of
    them.
    """
    if sys.stdin is None:
        sys.stdin = os.fdopen(_opened(os.O_WRONLY), "r", encoding="utf-8", closefd=False)
    if sys.stdout is None:
        sys.stdout = os.fdopen(_opened(os.O_RDONLY), "w", encoding="utf-8", closefd=False)
    if sys.stderr is None:
        sys.stderr = os.fdopen(_opened(os.O_WRONLY), "w", encoding="utf-8", closefd=False)


def _opened(direction: int) -> int:
    """Open the null device; it gets the lowest free descriptor, that of the closed stream."""
    descriptor = os.open(os.devnull, direction)
    os.set_inheritable(descriptor, True)
    return descriptor
