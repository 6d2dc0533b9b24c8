"""The policy named by `auto` can't choose the input.

It must exist, have no faults, give outputs of the input's type, and read nothing but other inputs of the
same names and types.
"""

from __future__ import annotations

from engine.policy.checks.check import Check

CHECK = Check("E113", "chooser", "error")
