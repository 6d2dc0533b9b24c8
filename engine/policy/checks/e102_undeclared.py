"""An expression reads a name that nothing declares.

Inputs are declared under `inputs`, constants are read as `constants.NAME`, variables as `variables.NAME`,
catalogs, which are listed under `catalogs`, as `catalogs.NAME`.
"""

from __future__ import annotations

from engine.policy.checks.check import Check

CHECK = Check("E102", "undeclared", "error")
