"""A variable, column, argument or result is in another unit than it is declared in.

What reads `wait_ms` trusts its `unit`. Where the expression gives seconds, every use is off by a factor of
1000. Correct the unit, or multiply by a constant that converts: `{value: 1000.0, unit: ms/s}`.
[Units](../units.md)
"""

from __future__ import annotations

from engine.policy.checks.check import Check

CHECK = Check("W231", "wrong-unit", "warning")
