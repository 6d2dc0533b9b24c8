"""An overlay does not fit its base.

It changes a constant, match, requirement, score, variable or input that the base does not have, gives a
constant a value of another type, or its base is missing or is based on the overlay. The base may have changed
since the overlay was written: name a version that still has what is changed, or adapt the overlay.
"""

from __future__ import annotations

from engine.policy.checks.check import Check

CHECK = Check("E121", "overlay", "error")
