"""A file can't be read, or is neither YAML nor JSON.

Nothing in such a file can be looked at, so this is all that is told of it. YAML that a reader could take in
two ways is refused too: a key that stands twice, `010`, which is 8 to some and 10 to others.
"""

from __future__ import annotations

from engine.policy.checks.check import Check

CHECK = Check("E001", "unreadable", "error")
