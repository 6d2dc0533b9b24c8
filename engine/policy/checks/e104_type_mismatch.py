"""A value has the wrong type.

CEL has no implicit conversions: `int` and `double` do not mix (write `double(n)`, or `2.0` instead of `2`),
a condition is a `bool`, and an argument of a builder has the type that the builder declares. A default, and
the `enum`, `minimum` and `maximum` of a type have the type that they belong to.
"""

from __future__ import annotations

from engine.policy.checks.check import Check

CHECK = Check("E104", "type-mismatch", "error")
