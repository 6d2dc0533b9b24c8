"""An expression adds or compares values of different units.

`rate <= link` is wrong if one is in Gbit/s and the other in GB/s, though both are numbers. Units are known
from constants, columns of catalogs, fields of requests, inputs and variables. What is compared, added,
listed or chosen between with `? :` must have one unit; a literal, and a value whose unit is not known, go
with any. Multiply one side by a constant that converts: `{value: 0.125, unit: GB/Gbit}`.
[Units](../units.md)
"""

from __future__ import annotations

from engine.policy.checks.check import Check

CHECK = Check("W230", "mixed-units", "warning")
