"""A plan names an unknown builder.

Builders turn evaluated arguments into a plan; `docs/writing-policies.md` lists them.
"""

from __future__ import annotations

from engine.policy.checks.check import Check

CHECK = Check("E105", "unknown-builder", "error")
