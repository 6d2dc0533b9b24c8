"""Some requests may match nothing.

Their outcome is `no_match`, and the caller gets no answer. End the rule with a match without a condition, so
that the policy states what happens to the rest. Conditions that visibly cover everything, such as `x < 5` and
`x >= 5`, need none. A nested rule with a condition needs a last match of its own: a request that enters it
and finds no match there does not go on to the outer matches.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from engine.base.errors import Problem
from engine.policy.checks.check import Check
from engine.policy.checks.logic import Condition, Effort, condition, excluded
from engine.policy.compiled import CompiledPolicy, CompiledRule
from engine.policy.table_domains import Domains

if TYPE_CHECKING:
    from engine.cel.values import Value


def find(policy: CompiledPolicy) -> Iterator[Problem]:
    """The rule in which requests may end without a match, unless it is shown that there is none."""
    constants = {name: constant.value for name, constant in policy.constants.items()}
    rule = gap(policy.rule, constants, Effort())
    if rule is None or rule.table is not None:  # W220 finds gaps of tables
        return
    path = rule.matches[0].path[:-1]
    nested = rule is not policy.rule
    yield Problem(
        "for some requests no match may hold" + (" in this nested rule" if nested else ""),
        policy.document.place(path, key=True),
        "end it with a match that has no condition; the outer matches are not tried any more"
        if nested
        else "end with a match that has no condition",
        path,
        at_key=True,
    )


def is_total(rule: CompiledRule, constants: Mapping[str, Value], effort: Effort) -> bool:
    """Whether one of the rule's matches surely holds."""
    return gap(rule, constants, effort) is None


def gap(
    rule: CompiledRule,
    constants: Mapping[str, Value],
    effort: Effort,
    known: Sequence[Condition] = (),
) -> CompiledRule | None:
    """Return the rule in which requests may end without a match: this one or a nested one; None for none.

    Args:
        rule: the rule.
        constants: the policy's constants by name.
        effort: what may still be looked at.
        known: conditions that hold wherever the rule is reached.
    """
    if rule.table is not None and Domains(rule.table.columns, rule.table.tests, constants).covers_all():
        return None
    left = list(known)
    for match in rule.matches:
        if match.condition is None:
            # A nested rule without a condition passes on what none of its matches takes.
            if match.rule is None or gap(match.rule, constants, effort, left) is None:
                return None
            continue
        holds = condition(match.condition.checked, constants)
        # A nested rule with a condition keeps what none of its matches takes.
        if match.rule is not None:
            inner = gap(match.rule, constants, effort, [*left, holds])
            if inner is not None:
                return inner
        left.append(holds.negation())
    return None if excluded(left, effort) else rule


CHECK = Check("W202", "no-match", "warning", find)
