"""A released version is not what it was when it was released.

Decisions name the version that made them; a version that changes makes them lie. `engine policies lock`
writes the digests of all versions to `policies.lock`, and whoever changes, renames or removes one of them
later is told here. Make a new file with a new version; only a version that nobody has used yet may be
locked anew, with `engine policies lock --force`.
"""

from __future__ import annotations

from engine.policy.checks.check import Check

CHECK = Check("E110", "changed-release", "error")
