"""Where the shipped policies and schemas are: inside the wheel, or at the top of a clone."""

from __future__ import annotations

import os

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def shipped(folder: str) -> str:
    """The shipped folder `policies` or `schemas`."""
    inside = packaged(folder)
    return inside if os.path.isdir(inside) else os.path.join(os.path.dirname(_PACKAGE), folder)


def packaged(folder: str) -> str:
    """A folder inside the wheel; `programs` is nowhere else."""
    return os.path.join(_PACKAGE, "_data", folder)
