"""A library cannot be used.

It is missing, uses itself, needs an input that the policy neither declares nor gives under `with`, or reads
another version of a catalog than the policy.
"""

from __future__ import annotations

from engine.policy.checks.check import Check

CHECK = Check("E120", "library", "error")
