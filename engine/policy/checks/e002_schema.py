"""A document doesn't keep to its schema.

A field that the schema doesn't know is most often a misspelt one, which would have no effect; a missing or
mistyped one leaves open what is meant. `schemas/policy.schema.json` says what there is; an editor that
reads the `yaml-language-server` line offers it while you type.
"""

from __future__ import annotations

from engine.policy.checks.check import Check

CHECK = Check("E002", "schema", "error")
