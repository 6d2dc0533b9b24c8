"""From a CEL policy, its environment and its tests to the texts of a policy and a suite."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from engine.base.errors import DocumentError, Path, PolicyError, Problem
from engine.base.jsontypes import Json
from engine.base.records import record
from engine.catalogs.store import PolicyStore
from engine.cel import syntax as ast
from engine.documents import Document, check_schema, dump
from engine.documents.composed import Node, close_document, open_document
from engine.policy.compiled import CompiledMatch, CompiledRule, collected, rules
from engine.policy.compiler import compile_policy
from engine.policy.imports.cases import Case, CaseReader
from engine.policy.imports.environment import EnvironmentReader, inputs_of
from engine.policy.imports.rules import RuleReader
from engine.policy.signature import BuilderSignature

_EXPRESSIONS = ("expression", "condition", "output", "explanation")


@record
class Imported:
    """The texts of a policy and its suite by their paths in a folder of policies, and what is left out."""

    name: str
    files: Mapping[str, str]
    cases: int
    notes: tuple[str, ...]


def import_policy(
    policy: Document,
    environment: Document | None,
    tests: Document | None,
    store: PolicyStore,
    builders: Mapping[str, BuilderSignature],
    name: str | None = None,
) -> Imported:
    """Convert a CEL policy; nothing of it is dropped silently, and what is returned compiles.

    Args:
        policy: the policy's document.
        environment: variables and functions.
        tests: its tests.
        store: where policies are found.
        builders: the signatures of plan builders.
        name: the policy's name, if not its own.

    Raises:
        PolicyError: what cannot be imported, and faults of the policy, with places in the given files.
    """
    root = open_document(policy)
    reader, environments = RuleReader(), EnvironmentReader()
    rule = reader.policy(root)
    if environment is not None:
        environments.read(open_document(environment))
    cases = CaseReader(environments.variables)
    read = [] if tests is None else list(cases.read(open_document(tests)))
    inputs, types, clashes = inputs_of(environments.variables, _left_out(environments.variables, read))
    problems = [*reader.problems, *environments.problems, *cases.problems, *clashes]
    if rule is None or problems:
        raise PolicyError(problems)
    chosen = name or reader.text(root.get("name") or root, "name")
    if not re.fullmatch(r"[a-z][a-z0-9_-]*", chosen):
        hint = "lowercase letters, digits, - and _; --name gives it another"
        raise PolicyError(Problem(f"'{chosen}' is no name of a policy", policy.place(()), hint))
    head: dict[str, Any] = {"apiVersion": "engine/v1", "kind": "Policy", "name": chosen, "version": "1.0.0"}
    if "description" in root:
        head["description"] = root["description"].value
    if types:
        head["types"] = types
    if inputs:
        head["inputs"] = inputs
    fields = root.derived({**head, "rule": rule})
    _check(close_document(fields, policy.name, (policy,)), store, builders)
    if cases.errors:
        message = f"the tests expect errors, and the policy has none: {'; '.join(cases.errors)}"
        raise PolicyError(Problem(message, policy.place(())))
    files = {f"{chosen}/1.0.0.yaml": _policy_text(policy, head, rule, reader.notes)}
    if read:
        files[f"{chosen}/tests/{chosen}_test.yaml"] = _suite_text(chosen, read, environments.variables)
    return Imported(chosen, files, len(read), tuple(dict.fromkeys(reader.notes)))


def _check(document: Document, store: PolicyStore, builders: Mapping[str, BuilderSignature]) -> None:
    """Compile the policy; as CEL's format says, what can never be chosen is an error."""
    try:
        check_schema(document, "policy")
    except DocumentError as error:
        raise PolicyError(list(error.problems)) from None
    compiled = compile_policy(document, store, builders)
    problems = [
        Problem(message, compiled.document.place(path), path=path, code="W201")
        for rule in rules(compiled.rule)
        for path, message in _unreachable(rule)
    ]
    if problems:
        raise PolicyError(problems)


def _unreachable(rule: CompiledRule) -> Iterator[tuple[Path, str]]:
    """Yield what CEL's format refuses: matches after one without a condition, conditions that are `false`.

    `engine check` finds more, as a warning.
    """
    yield from _in_order(rule.matches)
    for match in rule.collects:  # each for itself: none keeps another from being collected
        yield from _in_order((match,))
    for match in collected(rule.collects):
        if match.rule is not None:
            yield from _in_order(match.rule.matches)


def _in_order(matches: Sequence[CompiledMatch]) -> Iterator[tuple[Path, str]]:
    for position, match in enumerate(matches):
        if match.condition is not None and _literal(match) is False:
            yield match.condition.path, "condition is always false"
        elif _always(match):
            for other in matches[position + 1 :]:
                path = other.path if other.condition is None else other.condition.path
                yield path, f"match creates unreachable outputs: '{match.id}' always holds"
            return


def _always(match: CompiledMatch) -> bool:
    """Return True for a match that has no condition, and a result whatever its nested rule reads."""
    if match.condition is not None and _literal(match) is not True:
        return False
    return match.rule is None or any(map(_always, match.rule.matches))


def _literal(match: CompiledMatch) -> object:
    root = None if match.condition is None else match.condition.checked.root
    return root.value if isinstance(root, ast.Literal) else None


def _left_out(variables: Mapping[str, object], cases: list[Case]) -> frozenset[str]:
    return frozenset(name for name in variables if any(name not in case.inputs for case in cases))


def _policy_text(source: Document, head: Mapping[str, Any], rule: Node, notes: list[str]) -> str:
    file = re.split(r"[/\\]", source.name)[-1]
    comments = [
        f"# Imported from {file}, in CEL's policy format.",
        *(f"# {note}." for note in dict.fromkeys(notes)),
    ]
    return "\n".join(comments) + "\n" + dump({**head, "rule": _stripped(rule.plain())})


def _stripped(value: Any) -> Any:
    """Return a rule whose expressions have no line break at their end."""
    if isinstance(value, list):
        return [_stripped(each) for each in value]
    if isinstance(value, dict):
        return {
            key: each.strip() if key in _EXPRESSIONS and isinstance(each, str) else _stripped(each)
            for key, each in value.items()
        }
    return value


def _suite_text(name: str, cases: list[Case], variables: Iterable[str]) -> str:
    tests = [
        {
            "name": case.name,
            **({"inputs": nested} if (nested := _nested(case.inputs, variables)) else {}),
            "expect": dict(case.expect),
        }
        for case in cases
    ]
    return dump({"apiVersion": "engine/v1", "kind": "Suite", "policy": f"{name}@1", "tests": tests})


def _nested(inputs: Mapping[str, Json], variables: Iterable[str]) -> dict[str, Any]:
    """Return inputs by name, those of variables with dots as records, which are there even if empty."""
    made: dict[str, Any] = {}
    for name in variables:
        *parents, last = name.split(".")
        within = made
        for parent in parents:
            within = within.setdefault(parent, {})
        if name in inputs:
            within[last] = inputs[name]
    return made
