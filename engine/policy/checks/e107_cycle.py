"""Variables depend on each other in a cycle, or a type contains itself.

None of the variables could be evaluated first. Chains of more than 500 variables that read each other are
rejected too: they are nested too deeply to be evaluated. A type that contains itself, also through a list
or an optional field, has values without an end; declare the inner part as `dyn`.
"""

from __future__ import annotations

from engine.policy.checks.check import Check

CHECK = Check("E107", "cycle", "error")
