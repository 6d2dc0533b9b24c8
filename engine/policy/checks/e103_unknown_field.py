"""A type has no such field.

Types are defined in `schemas/types.schema.json`. A catalog that describes a type adds its fields and columns
if the policy lists it under `catalogs`.
"""

from __future__ import annotations

from engine.policy.checks.check import Check

CHECK = Check("E103", "unknown-field", "error")
