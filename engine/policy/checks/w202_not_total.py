"""For some requests no match may hold.

The outcome is `no_match` then, and whoever asked is left without an answer. End the rule with a match
that has no condition, so that it is said in the policy what happens to the rest. Conditions that are seen
to cover everything, such as `x < 5` and `x >= 5`, need none.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from engine.errors import Problem
from engine.policy.checks.check import Check
from engine.policy.checks.logic import condition, excluded
from engine.policy.compiled import CompiledPolicy, CompiledRule


def find(policy: CompiledPolicy) -> Iterator[Problem]:
    """The policy's rule, where it is not shown that one of its matches always holds."""
    constants = {name: constant.value for name, constant in policy.constants.items()}
    if not is_total(policy.rule, constants):
        path = ("rule", "match")
        yield Problem(
            "for some requests no match may hold",
            policy.document.place(path, key=True),
            "end with a match that has no condition",
            path,
            at_key=True,
        )


def is_total(rule: CompiledRule, constants: Mapping[str, Any]) -> bool:
    """Whether one of the rule's matches surely holds."""
    left = []
    for match in rule.matches:
        if match.rule is not None and not is_total(match.rule, constants):
            continue
        if match.condition is None:
            return True
        left.append(condition(match.condition.checked, constants).negation())
    return excluded(left)


CHECK = Check("W202", "no-match", "warning", find)
