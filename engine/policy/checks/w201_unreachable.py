"""A match can never be chosen.

The first match that holds wins. A match after one that always holds, or after one that holds whenever it
does, is never reached; one whose condition is always false is never chosen. Usually the order is wrong,
or a comparison is inverted. Only what is certain is reported: `engine check --prove` looks deeper.
"""

from __future__ import annotations

from collections.abc import Iterator

from engine.base.errors import Path, Problem
from engine.policy.checks.check import Check
from engine.policy.checks.logic import Condition, Effort, condition, excluded, implies
from engine.policy.checks.w202_not_total import is_total
from engine.policy.compiled import CompiledMatch, CompiledPolicy, CompiledRule, collected, rules


def find(policy: CompiledPolicy) -> Iterator[Problem]:
    """Matches that are shown to be out of reach."""
    constants = {name: constant.value for name, constant in policy.constants.items()}
    effort = Effort()
    for rule in rules(policy.rule):
        yield from _in_rule(policy, rule, constants, effort)
        for match in rule.collects:  # each for itself: none keeps another from being collected
            yield from _in_rule(policy, CompiledRule(match.id, {}, (match,)), constants, effort)
        for match in collected(rule.collects):
            if match.rule is not None:
                yield from _in_rule(policy, match.rule, constants, effort)


def _in_rule(
    policy: CompiledPolicy, rule: CompiledRule, constants: dict[str, object], effort: Effort
) -> Iterator[Problem]:
    earlier: list[tuple[CompiledMatch, Condition | None]] = []
    for match in rule.matches:
        own = None if match.condition is None else condition(match.condition.checked, constants)
        reason = _reason(policy, own, earlier, effort)
        if reason is not None:
            yield _problem(policy, match, reason)
        elif match.condition is not None or match.rule is None or is_total(match.rule, constants, effort):
            earlier.append((match, own))


def _reason(
    policy: CompiledPolicy,
    own: Condition | None,
    earlier: list[tuple[CompiledMatch, Condition | None]],
    effort: Effort,
) -> str | None:
    if own is not None and excluded([own], effort):
        return "its condition is always false"
    for match, other in earlier:
        if other is None or implies(Condition("and"), other, effort):
            return f"'{match.id}' in line {_line(policy, match)} always holds"
        if own is not None and implies(own, other, effort):
            return f"'{match.id}' in line {_line(policy, match)} holds wherever it does"
        if effort.looks < 0:
            return None
    return None


def _line(policy: CompiledPolicy, match: CompiledMatch) -> int:
    return policy.document.place(match.path).line


def _problem(policy: CompiledPolicy, match: CompiledMatch, reason: str) -> Problem:
    path: Path = match.path if match.condition is None else match.condition.path
    return Problem(
        f"match '{match.id}' can never be chosen: {reason}", policy.document.place(path), path=path
    )


CHECK = Check("W201", "unreachable-match", "warning", find)
