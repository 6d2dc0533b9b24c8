"""A constant without a description, or a number without a unit.

Constants are what people change. What it is for, and whether 100 is GB/s or Gbit/s, must stand beside it.
A number that has no dimension has the unit `ratio`, `count`, or what is counted.
"""

from __future__ import annotations

from collections.abc import Iterator

from engine.errors import Problem
from engine.policy.checks.check import Check
from engine.policy.compiled import CompiledPolicy


def find(policy: CompiledPolicy) -> Iterator[Problem]:
    """Constants that don't say what they are."""
    for name, constant in policy.constants.items():
        number = isinstance(constant.value, (int, float)) and not isinstance(constant.value, bool)
        lacking = [
            what
            for what, given in (("unit", constant.unit or not number), ("description", constant.description))
            if not given
        ]
        if lacking:
            path = ("constants", name)
            place = policy.document.place(path, key=True)
            yield Problem(
                f"constant '{name}' has no {' and no '.join(lacking)}", place, path=path, at_key=True
            )


CHECK = Check("W206", "undescribed-constant", "warning", find, faulty=True)
