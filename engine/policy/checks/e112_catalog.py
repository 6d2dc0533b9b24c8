"""A catalog is missing or faulty.

Without the catalog's columns most expressions of the policy would seem wrong too, so they are looked at
only when the catalog is right.
"""

from __future__ import annotations

from engine.policy.checks.check import Check

CHECK = Check("E112", "catalog", "error")
