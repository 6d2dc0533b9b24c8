"""Units: what `unit` means, and the inference that finds expressions that mix units."""

from __future__ import annotations

from engine.policy.units.policy_units import UnitReport, catalog_units, policy_units
from engine.policy.units.table import UnitError, UnitTable, load_units

__all__ = ["UnitError", "UnitReport", "UnitTable", "catalog_units", "load_units", "policy_units"]
