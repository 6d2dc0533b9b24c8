"""Two things of one kind have one name.

The second would hide the first, or a decision's match id would mean either. This goes for match ids in the
whole policy, for variables of one rule, for inputs and catalogs, and for names that already mean something
in CEL.
"""

from __future__ import annotations

from engine.policy.checks.check import Check

CHECK = Check("E108", "duplicate", "error")
