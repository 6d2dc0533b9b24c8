"""A decision table does not fit its columns.

A cell is of another type than its column, is no test or is empty, a row has too few cells, a column is of a
type that cells cannot test, or the CSV file is missing or leads out of the policy's folder.
"""

from __future__ import annotations

from engine.policy.checks.check import Check

CHECK = Check("E130", "table", "error")
