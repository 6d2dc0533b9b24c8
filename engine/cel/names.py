"""The runtimes' names, apart from what importing a runtime costs."""

from __future__ import annotations

RUNTIMES = ("compiled", "cel-cpp", "cel-python")
"""By the names of `--runtime`; the first is the default."""
