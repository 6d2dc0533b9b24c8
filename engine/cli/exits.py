"""Exit codes, and the recursion limit."""

from __future__ import annotations

YES, NO, BAD_INPUT = 0, 1, 2
"""Success; a negative answer; bad usage or bad input."""

INTERNAL_FAULT = 70
"""An internal error or out of memory; EX_SOFTWARE of sysexits.h."""

INTERRUPTED = 130
BROKEN_PIPE = 141

FRAMES = 10_000
"""Python's recursion limit for commands; each variable that reads another adds a dozen frames."""
