"""Variables depend on each other in a circle.

None of them could be computed first.
"""

from __future__ import annotations

from engine.policy.checks.check import Check

CHECK = Check("E107", "cycle", "error")
