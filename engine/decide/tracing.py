"""What was looked at while a decision was made: rules, matches, the parts of conditions, variables."""

from __future__ import annotations

from typing import Any

from engine.cel.values import to_json
from engine.records import field, record


@record
class Part:
    """A subexpression with its value; `error` where it ended in one, neither where it wasn't needed."""

    text: str
    value: Any = None
    error: str | None = None
    evaluated: bool = True
    parts: tuple[Part, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """As programs read it."""
        result: dict[str, Any] = {"expression": self.text}
        if not self.evaluated:
            result["skipped"] = True
        elif self.error is not None:
            result["error"] = self.error
        else:
            result["value"] = to_json(self.value)
        if self.parts:
            result["parts"] = [part.to_dict() for part in self.parts]
        return result


@record(frozen=False)
class MatchTrace:
    """One match: `chosen`, `failed` (its condition is false), `no_match` (nothing in its nested rule held)
    or `not_reached`."""

    id: str
    result: str
    condition: Part | None = None
    rule: RuleTrace | None = None
    explanation: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """As programs read it."""
        result: dict[str, Any] = {"id": self.id, "result": self.result}
        if self.condition is not None:
            result["condition"] = self.condition.to_dict()
        if self.explanation is not None:
            result["explanation"] = self.explanation
        if self.rule is not None:
            result["rule"] = self.rule.to_dict()
        return result


@record(frozen=False)
class RuleTrace:
    """A rule's matches in order."""

    id: str
    matches: list[MatchTrace] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """As programs read it."""
        return {"id": self.id, "matches": [match.to_dict() for match in self.matches]}


@record
class VariableTrace:
    """A variable that was evaluated, with its value or the error that it ended in."""

    name: str
    rule: str
    expression: str
    value: Any = None
    error: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """As programs read it."""
        result: dict[str, Any] = {"name": self.name, "rule": self.rule, "expression": self.expression}
        result |= {"value": to_json(self.value)} if self.error is None else {"error": self.error}
        return result


@record(frozen=False)
class Trace:
    """The whole of it."""

    runtime: str
    rule: RuleTrace
    variables: list[VariableTrace] = field(default_factory=list)
    candidates: list[Any] = field(default_factory=list)
    """Of a search what became of each candidate (engine.plan.search.judging.Verdict)."""

    def to_dict(self) -> dict[str, Any]:
        """As programs read it."""
        result = {
            "runtime": self.runtime,
            "rule": self.rule.to_dict(),
            "variables": [variable.to_dict() for variable in self.variables],
        }
        if self.candidates:
            result["candidates"] = [each.to_dict() for each in self.candidates]
        return result
