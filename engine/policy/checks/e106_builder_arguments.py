"""A builder lacks an argument, or receives an unknown one.

An unknown argument would have no effect, so it is rejected.
"""

from __future__ import annotations

from engine.policy.checks.check import Check

CHECK = Check("E106", "builder-arguments", "error")
