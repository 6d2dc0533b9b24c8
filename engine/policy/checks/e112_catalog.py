"""A catalog is missing or invalid.

Without the catalog's columns most expressions of the policy would be reported too, so they are checked only
once the catalog is valid.
"""

from __future__ import annotations

from engine.policy.checks.check import Check

CHECK = Check("E112", "catalog", "error")
