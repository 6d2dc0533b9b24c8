"""A constant has no description, or a number has no unit.

Constants are what people change. Their purpose, and whether 100 means GB/s or Gbit/s, must be stated.
The unit of a dimensionless number is `ratio`, `count`, or what it counts. [Units](../units.md)
"""

from __future__ import annotations

from collections.abc import Iterator

from engine.base.errors import Problem
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
            place = policy.constant_place(name)
            yield Problem(
                f"constant '{name}' has no {' and no '.join(lacking)}", place, path=path, at_key=True
            )


CHECK = Check("W206", "undescribed-constant", "warning", find, faulty=True)
