"""A property that a suite states does not hold.

Under `assert`, a suite states what must hold for all requests. `engine check --prove` has the SMT solver
z3 look for a request for which it doesn't, and found one. Either the policy or the statement is wrong.
Lists are beyond the solver: what is computed from them is taken to have any value, so look whether the
values that it found can come about.
"""

from __future__ import annotations

from engine.policy.checks.check import Check

CHECK = Check("E115", "refuted-assertion", "error")
