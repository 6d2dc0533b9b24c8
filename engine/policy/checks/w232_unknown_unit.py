"""A unit cannot be read.

Units are names of the catalog `units` with prefixes (GiB, ms, TFLOP/s), their products, quotients and
powers, or the name of what is counted (device, widget). Nothing is inferred from a unit that cannot be
read. Add your own by a patch of `units@1`. [Units](../units.md)
"""

from __future__ import annotations

from engine.policy.checks.check import Check

CHECK = Check("W232", "unknown-unit", "warning")
