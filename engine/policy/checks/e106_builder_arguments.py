"""A builder lacks an argument, or is given one that it doesn't have.

What a builder doesn't take would silently have no effect, so it is refused.
"""

from __future__ import annotations

from engine.policy.checks.check import Check

CHECK = Check("E106", "builder-arguments", "error")
