"""The policy named by `auto` cannot choose the input.

It must exist, be valid, return outputs of the input's type, and read only inputs of the same names and types.
"""

from __future__ import annotations

from engine.policy.checks.check import Check

CHECK = Check("E113", "chooser", "error")
