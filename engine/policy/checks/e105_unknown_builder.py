"""A plan names a builder that doesn't exist.

Builders are the few functions of the engine that turn arguments into a plan; `docs/writing-policies.md`
lists them.
"""

from __future__ import annotations

from engine.policy.checks.check import Check

CHECK = Check("E105", "unknown-builder", "error")
