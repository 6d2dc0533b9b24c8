"""A JSON Schema cannot be read as a type.

`types: {Pod: {schema: pod.json}}` makes a type of a JSON Schema (2020-12) in the policy's folder. Keywords
that declared types have no counterpart for, such as `oneOf` or `pattern`, are reported with their place in
the schema: requests would not be held to them. Remove them, name them under `ignore`, or declare the type
in the policy. The file must be inside the policy's folder, and no link.
"""

from __future__ import annotations

from engine.policy.checks.check import Check

CHECK = Check("E140", "schema", "error")
