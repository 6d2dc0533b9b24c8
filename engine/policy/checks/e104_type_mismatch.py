"""A value has another type than is needed there.

CEL has no implicit conversions: `int` and `double` don't mix (write `double(n)`, or `2.0` for `2`), a
condition is a `bool`, an argument of a builder has the type that the builder names.
"""

from __future__ import annotations

from engine.policy.checks.check import Check

CHECK = Check("E104", "type-mismatch", "error")
