"""A document violates its schema.

An unknown field is usually a typo, and would have no effect. A missing field or one of the wrong type leaves
the meaning open. `schemas/policy.schema.json` defines all fields; an editor that supports the
`yaml-language-server` line completes them as you type.
"""

from __future__ import annotations

from engine.policy.checks.check import Check

CHECK = Check("E002", "schema", "error")
