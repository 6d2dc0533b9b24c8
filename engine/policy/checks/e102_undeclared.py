"""An expression reads an undeclared name.

Declare inputs under `inputs`; read constants as `constants.NAME`, variables as `variables.NAME`, and catalogs
listed under `catalogs` as `catalogs.NAME`.
"""

from __future__ import annotations

from engine.policy.checks.check import Check

CHECK = Check("E102", "undeclared", "error")
