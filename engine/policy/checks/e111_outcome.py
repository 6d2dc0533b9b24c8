"""A match has no outcome, two outcomes, or another kind than its neighbors.

A match has exactly one of `plan`, `output` and `rule`. All matches of a policy make plans, or all return
outputs of one type, so that readers of a decision know what to expect.
"""

from __future__ import annotations

from engine.policy.checks.check import Check

CHECK = Check("E111", "outcome", "error")
