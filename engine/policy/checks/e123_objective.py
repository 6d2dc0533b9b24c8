"""An objective does not fit the scores.

It names a score that is not there, or names one twice, or a score is in no objective and so decides nothing.
"""

from __future__ import annotations

from engine.policy.checks.check import Check

CHECK = Check("E123", "objective", "error")
