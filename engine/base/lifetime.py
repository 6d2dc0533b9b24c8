"""Processes that end with the one that started them."""

from __future__ import annotations

import os
import signal
import sys

SAFE_PATH = {"PYTHONSAFEPATH": "1"}
"""The environment of a Python that is started: it imports nothing from the folder that it is started in."""

_PR_SET_PDEATHSIG = 1


def end_with(parent: int) -> None:
    """Have the kernel kill this process when its parent ends; only Linux can."""
    if not sys.platform.startswith("linux"):
        return
    import ctypes

    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it ended before the kernel was asked
        os._exit(1)
