"""A released version was changed.

Decisions name the version that made them, so a version must never change. `engine policies lock` writes
the digests of all versions to `policies.lock`; afterwards, a change, a new name or a removal is
reported. Create a new file with a new version. Re-lock with `engine policies lock --force` only if
nobody has used the version.
"""

from __future__ import annotations

from engine.policy.checks.check import Check

CHECK = Check("E110", "changed-release", "error")
