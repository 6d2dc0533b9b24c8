"""A document's name and version differ from its path.

A reference such as `sharding@1.0.0` is resolved by path, `sharding/1.0.0.yaml`. A document with another name
would be found under a name that it does not have.
"""

from __future__ import annotations

from engine.policy.checks.check import Check

CHECK = Check("E114", "file-path", "error")
