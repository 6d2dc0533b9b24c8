"""What a check is: a code with a name and a severity, and for some a function that finds faults."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal

from engine.base.errors import Problem
from engine.base.records import record
from engine.policy.compiled import CompiledPolicy

Severity = Literal["error", "warning"]

Find = Callable[[CompiledPolicy], Iterator[Problem]]


@record
class Check:
    """One check.

    `find` looks through a policy that compiles; a check without it is found by whoever reads or compiles the
    policy, who puts the code on the problem.
    """

    code: str
    name: str
    severity: Severity
    find: Find | None = None
    faulty: bool = False
    """It says nothing wrong of a policy whose faulty expressions are left out."""
