"""Exit codes, and how deep Python may go."""

from __future__ import annotations

YES, NO, BAD_INPUT = 0, 1, 2
"""Done or yes; a negative answer; bad usage or bad input."""

INTERRUPTED = 130
BROKEN_PIPE = 141

FRAMES = 10_000
"""Python's recursion limit here: a variable that reads another is a dozen frames deeper."""
