"""Objectives: named, ordered lists of named scores, and layouts in order of preference.

They are written out as what a search has anyway: variables of candidates, a requirement that the objective is
one of those that are listed, and scores by position, each of which chooses what the request's objective has
there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from engine.base.errors import PolicyError, Problem, near
from engine.documents import Document
from engine.documents.composed import Node, close_document, open_document

CODE = "E123"
_DEGREES = ("tensor_parallel", "pipeline_parallel", "data_parallel", "expert_parallel")
_DEFAULT = "variables.objective"
"""What chooses among objectives where the policy does not say."""
_CHOSEN = "objective_of_scores"
"""The variable of candidates that holds the name of the objective."""


def expand_objectives(document: Document) -> Document:
    """Return a policy with its objectives written out as scores; itself if it has none.

    Raises:
        PolicyError: an objective names no score, a score is in no objective; with places.
    """
    if not _uses_objectives(document.value["rule"]):
        return document
    root = open_document(document)
    problems: list[Problem] = []
    for candidate in _candidates(root["rule"]):
        if "objectives" in candidate:
            _expand(candidate, problems)
        elif "layout" in candidate:
            hint = "list it: objectives: {balanced: [layout]}"
            problems.append(
                candidate["layout"].problem("layout is in no objective", hint, code=CODE, key=True)
            )
    if problems:
        raise PolicyError(problems)
    return close_document(root, document.name, (document,))


def _uses_objectives(rule: dict[str, Any]) -> bool:
    """Return True if a search of a rule, or of one nested in it, has objectives or layouts."""
    return any(
        not {"objectives", "layout"}.isdisjoint(match.get("plan", {}).get("candidate", ()))
        or ("rule" in match and _uses_objectives(match["rule"]))
        for match in rule["match"]
    )


def _candidates(rule: Node) -> Iterator[Node]:
    for match in rule["match"]:
        plan = match.get("plan")
        if plan is not None and "candidate" in plan:
            yield plan["candidate"]
        if "rule" in match:
            yield from _candidates(match["rule"])


def _expand(candidate: Node, problems: list[Problem]) -> None:
    variables = candidate.section("variables", list).value
    objectives = candidate.value.pop("objectives")
    chosen = candidate.value.pop("objective", None) or objectives.derived(_DEFAULT)
    scores = {entry["id"].value: entry for entry in candidate["prefer"]}
    layout = candidate.value.pop("layout", None)
    if layout is not None:
        if "layout" in scores:
            problems.append(scores["layout"]["id"].problem("'layout' is a score already", code="E108"))
        scores["layout"] = layout.derived(
            {"id": "layout", "score": _layout_score(layout, variables, problems)}
        )
    _check_names(objectives, scores, problems)
    if problems:
        return
    variables.append(chosen.derived({"name": _CHOSEN, "expression": chosen, "type": "string"}))
    for name, score in scores.items():
        fields = {"name": _variable("score", name), "expression": score["score"]}
        if "description" in score:
            fields["description"] = score["description"]
        variables.append(score.derived(fields))
    names = {name: [entry.value for entry in listed] for name, listed in objectives.items()}
    candidate["require"].value.insert(0, objectives.derived(_known(list(names))))
    candidate.value["prefer"] = objectives.derived(list(_positions(names)))


def _layout_score(layout: Node, variables: list[Node], problems: list[Problem]) -> str:
    """Add a variable for each layout, and return the score: the number of layouts that are less preferred.

    A layout without a condition holds for all others, so it is the last.
    """
    text = ""
    seen: set[str] = set()
    for position, entry in enumerate(layout):
        name = entry["id"].value
        if name in seen:
            problems.append(entry["id"].problem(f"duplicate layout id '{name}'", code="E108"))
        seen.add(name)
        if "when" not in entry:
            if position + 1 < len(layout.value):
                hint = "give it a condition (when), or move it to the end"
                message = f"layout '{name}' has no condition, so none after it is reached"
                problems.append(entry["id"].problem(message, hint, code="E108"))
            return f"{text}{len(layout.value) - position}.0"
        fields = {"name": _variable("layout", name), "expression": entry["when"], "type": "bool"}
        variables.append(entry.derived(fields))
        text += f"variables.{_variable('layout', name)} ? {len(layout.value) - position}.0 : "
    return f"{text}0.0"


def _check_names(objectives: Node, scores: dict[str, Node], problems: list[Problem]) -> None:
    used: set[str] = set()
    for objective, listed in objectives.items():
        names: set[str] = set()
        for entry in listed:
            if entry.value not in scores:
                message = f"objective '{objective}' names no score: '{entry.value}'"
                problems.append(entry.problem(message, near(entry.value, scores), code=CODE))
            if entry.value in names:
                problems.append(
                    entry.problem(f"objective '{objective}' names '{entry.value}' twice", code=CODE)
                )
            names.add(entry.value)
        used |= names
    for name, score in scores.items():
        if name not in used:
            hint = "add it to a list of objectives, or remove it"
            problems.append(score["id"].problem(f"score '{name}' is in no objective", hint, code=CODE))


def _known(names: list[str]) -> dict[str, object]:
    """Return the requirement that the objective is one of those that are listed."""
    listed = json.dumps(names)
    known = ", ".join(names)
    return {
        "id": "known-objective",
        "condition": f"variables.{_CHOSEN} in {listed}",
        "explanation": f"\"unknown objective '%s', known: {known}\".format([variables.{_CHOSEN}])",
        "monotone": list(_DEGREES),
    }


def _positions(objectives: dict[str, list[str]]) -> Iterator[dict[str, str]]:
    """Yield the score of each position: that of the objective that is asked for."""
    taken: set[str] = set()
    for position in range(max(map(len, objectives.values()))):
        asking: dict[str | None, list[str]] = {}
        for objective, scores in objectives.items():
            asking.setdefault(scores[position] if position < len(scores) else None, []).append(objective)
        label = "/".join(name for name in asking if name is not None)
        if label in taken:
            label = f"{label} ({position + 1})"
        taken.add(label)
        names = {objective: name or "" for name, objectives in asking.items() for objective in objectives}
        named = f"{json.dumps(names)}[variables.{_CHOSEN}]"
        yield {"id": label, "score": _choice(asking), "label": named}


def _choice(asking: dict[str | None, list[str]]) -> str:
    """Return the score of the objective that is asked for; what most objectives ask for needs no condition.

    Args:
        asking: the objectives that ask for each score; None for those whose lists have ended.
    """
    most = max(reversed(asking), key=lambda name: len(asking[name]))
    text = ""
    for name, objectives in asking.items():
        if name != most:
            test = (
                f"== {json.dumps(objectives[0])}" if len(objectives) == 1 else f"in {json.dumps(objectives)}"
            )
            text += f"variables.{_CHOSEN} {test} ? {_scored(name)} : "
    return text + _scored(most)


def _scored(name: str | None) -> str:
    return "0.0" if name is None else f"double(variables.{_variable('score', name)})"


def _variable(kind: str, name: str) -> str:
    word = re.sub(r"\W", "_", name)
    return f"{kind}_{word}"
