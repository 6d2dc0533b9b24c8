"""A match leads to nothing, to two things, or to another kind of thing than its neighbours.

A match has just one of `plan`, `output` and `rule`. All matches of a policy make plans, or all give outputs
of one type, so that whoever reads a decision knows what to expect.
"""

from __future__ import annotations

from engine.policy.checks.check import Check

CHECK = Check("E111", "outcome", "error")
