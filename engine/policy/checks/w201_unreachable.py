"""A match can never be chosen.

The first match that holds wins. One behind a match that always holds, or behind one that holds wherever
it does, is never looked at; one whose condition is false whatever is asked is never chosen. Most often
the order is wrong, or a threshold stands the wrong way round. Only what can be shown is told: `engine
check --prove` looks deeper.
"""

from __future__ import annotations

from collections.abc import Iterator

from engine.errors import Path, Problem
from engine.policy.checks.check import Check
from engine.policy.checks.logic import Condition, condition, excluded, implies
from engine.policy.checks.w202_not_total import is_total
from engine.policy.compiled import CompiledMatch, CompiledPolicy, CompiledRule, rules


def find(policy: CompiledPolicy) -> Iterator[Problem]:
    """Matches that are shown to be out of reach."""
    constants = {name: constant.value for name, constant in policy.constants.items()}
    for rule in rules(policy.rule):
        yield from _in_rule(policy, rule, constants)


def _in_rule(policy: CompiledPolicy, rule: CompiledRule, constants: dict[str, object]) -> Iterator[Problem]:
    earlier: list[tuple[CompiledMatch, Condition | None]] = []
    for match in rule.matches:
        own = None if match.condition is None else condition(match.condition.checked, constants)
        reason = _reason(policy, own, earlier)
        if reason is not None:
            yield _problem(policy, match, reason)
        elif match.rule is None or is_total(match.rule, constants):
            earlier.append((match, own))


def _reason(
    policy: CompiledPolicy,
    own: Condition | None,
    earlier: list[tuple[CompiledMatch, Condition | None]],
) -> str | None:
    if own is not None and excluded([own]):
        return "its condition is always false"
    for match, other in earlier:
        line = policy.document.place(match.path).line
        if other is None or implies(Condition("and"), other):
            return f"'{match.id}' in line {line} always holds"
        if own is not None and implies(own, other):
            return f"'{match.id}' in line {line} holds wherever it does"
    return None


def _problem(policy: CompiledPolicy, match: CompiledMatch, reason: str) -> Problem:
    path: Path = (*match.path, "condition") if match.condition is not None else match.path
    return Problem(
        f"match '{match.id}' can never be chosen: {reason}", policy.document.place(path), path=path
    )


CHECK = Check("W201", "unreachable-match", "warning", find)
