"""A variable is never used.

It is never evaluated, but readers of the policy look for its effect. A variable that only unused
variables read is unused too.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from engine.base.errors import Path, Problem
from engine.base.records import replace
from engine.policy.checks.check import Check
from engine.policy.compiled import CompiledMatch, CompiledPolicy, CompiledRule, CompiledSearch, Expression


def find(policy: CompiledPolicy) -> Iterator[Problem]:
    """Variables that no match needs."""
    yield from _in_rule(policy, policy.rule, ("rule",))


def _in_rule(policy: CompiledPolicy, rule: CompiledRule, path: Path) -> Iterator[Problem]:
    needed: set[str] = set()
    waiting = list(_needed_by_matches(rule))
    while waiting:
        name = waiting.pop()
        if name in rule.variables and name not in needed:
            needed.add(name)
            waiting += _reads(rule.variables[name].expression)
    places = dict(_declared(_at(policy, path).get("variables", []), (*path, "variables")))
    for name in rule.variables:
        if name not in needed and name in places:  # not a library's: those that are unused are left out
            own = (*places[name], "name")
            noun = "column" if "." in name else "variable"
            yield Problem(f"{noun} '{name}' is never read", policy.document.place(own), path=own)
    for match in rule.matches:
        if match.rule is not None:
            yield from _in_rule(policy, match.rule, (*match.path, "rule"))
        if match.search is not None:
            yield from _in_search(policy, match, match.search)


def _declared(variables: list[dict[str, Any]], path: Path) -> Iterator[tuple[str, Path]]:
    """Yield the variables of a rule, and the columns of lists of records, with where they are declared."""
    for position, variable in enumerate(variables):
        own: Path = (*path, position)
        yield variable["name"], own
        for number, column in enumerate(variable.get("columns", ())):
            yield f"{variable['name']}.{column['name']}", (*own, "columns", number)


def _in_search(policy: CompiledPolicy, match: CompiledMatch, search: CompiledSearch) -> Iterator[Problem]:
    """Variables of candidates that nothing of the search needs."""
    asking = CompiledMatch(match.id, match.path, explanation=match.explanation, arguments=_said_of(search))
    rule = replace(search.rule, matches=(*search.rule.matches, asking))
    yield from _in_rule(policy, rule, (*match.path, "plan", "candidate"))


def _said_of(search: CompiledSearch) -> dict[str, Expression]:
    return {**search.results, **{f"prefer {each.id}": each.expression for each in search.scores}}


def _needed_by_matches(rule: CompiledRule) -> Iterator[str]:
    """Variables that the rule's matches read, those of nested rules too."""
    for match in rule.matches:
        for expression in (match.condition, match.output, match.explanation, *match.arguments.values()):
            if expression is not None:
                yield from _reads(expression)
        if match.search is not None:
            for each in match.search.remedies:
                for expression in each.expressions:
                    yield from _reads(expression)
            if (bounds := match.search.negotiation) is not None:
                yield from (*_reads(bounds.most_candidates), *_reads(bounds.most_combinations))
            for expression in _said_of(match.search).values():
                yield from _reads(expression)
            yield from _needed_by_matches(match.search.rule)
            for variable in match.search.rule.variables.values():
                yield from _reads(variable.expression)
        if match.rule is not None:
            yield from _needed_by_matches(match.rule)
            for name, variable in match.rule.variables.items():
                yield from (each for each in _reads(variable.expression) if each != name)
                if variable.shadows_itself:
                    yield name


def _reads(expression: Expression) -> Iterator[str]:
    for name in expression.checked.free_names():
        namespace, _, variable = name.partition(".")
        if namespace == "variables":
            yield variable


def _at(policy: CompiledPolicy, path: Path) -> dict[str, list[dict[str, Any]]]:
    value = policy.document.value
    for step in path:
        value = value[step]
    return value  # type: ignore[no-any-return]


CHECK = Check("W204", "unused-variable", "warning", find)
