"""Where the shipped policies and schemas are: inside the wheel, or at the top of a clone."""

from __future__ import annotations

import os

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def shipped(folder: str) -> str:
    """The shipped folder `policies`, `schemas` or `programs`."""
    packaged = os.path.join(_PACKAGE, "_data", folder)
    return packaged if os.path.isdir(packaged) else os.path.join(os.path.dirname(_PACKAGE), folder)
