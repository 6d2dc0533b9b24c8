"""An assertion of a suite does not hold.

Under `assert`, a suite states what must hold for all requests. `engine check --prove` asks the SMT solver z3
for a counterexample, and it found one. Either the policy or the assertion is wrong. The solver does not model
lists: values computed from them are unconstrained, so check whether the counterexample can occur.
"""

from __future__ import annotations

from engine.policy.checks.check import Check

CHECK = Check("E115", "refuted-assertion", "error")
