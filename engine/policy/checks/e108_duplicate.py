"""Two things of one kind share a name.

The second would hide the first, or a decision's match id would be ambiguous. This covers match ids in the
whole policy, variables of one rule, inputs, catalogs, and names that already have a meaning in CEL.
"""

from __future__ import annotations

from engine.policy.checks.check import Check

CHECK = Check("E108", "duplicate", "error")
