"""A constant is never used.

It looks tunable but has no effect. Remove it, or use it where its number is written now.
"""

from __future__ import annotations

from collections.abc import Iterator

from engine.base.errors import Problem
from engine.policy.checks.check import Check
from engine.policy.compiled import CompiledPolicy, uses


def find(policy: CompiledPolicy) -> Iterator[Problem]:
    """Constants that are in no expression."""
    read = {name for use in uses(policy) for name in use.expression.checked.free_names()}
    for name in policy.constants:
        if f"constants.{name}" not in read:
            path = ("constants", name)
            place = policy.constant_place(name)
            yield Problem(f"constant '{name}' is never read", place, path=path, at_key=True)


CHECK = Check("W203", "unused-constant", "warning", find)
