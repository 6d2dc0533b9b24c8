"""A suite does not fit its policy.

It names a policy, an input, a fixture or a match that does not exist, a column that is neither an input nor
an expectation, or two tests alike; or an input is not what its declared type allows, in a test that expects
no error. Such a test fails, or tests something else than its author meant.
"""

from __future__ import annotations

from engine.policy.checks.check import Check

CHECK = Check("E116", "suite", "error")
