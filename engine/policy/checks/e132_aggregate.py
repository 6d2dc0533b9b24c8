"""An aggregate holds what it cannot collect.

An aggregate collects the outputs of its matches and of rules nested in it, the first match of each. A plan, a
decision table or another aggregate cannot be one of them; neither can a rule have matches and an aggregate.
"""

from __future__ import annotations

from engine.policy.checks.check import Check

CHECK = Check("E132", "aggregate", "error")
