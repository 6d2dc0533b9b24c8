"""A catalog patch does not fit its catalog.

Its base is missing, it adds a column that is there, or a row under a name that is another row's alias. A
wrong column or type in a row is reported as in a catalog (E112).
"""

from __future__ import annotations

from engine.policy.checks.check import Check

CHECK = Check("E122", "catalog-patch", "error")
