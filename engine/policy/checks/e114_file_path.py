"""A file's name and version are not those of its path.

A reference like `sharding@1.0.0` is found by its path, `sharding/1.0.0.yaml`; a document that says
otherwise would be found under a name that it doesn't have.
"""

from __future__ import annotations

from engine.policy.checks.check import Check

CHECK = Check("E114", "file-path", "error")
