"""The trace of a decision: rules, matches, parts of conditions, variables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.base.records import field, record
from engine.cel.limits import TRACE_ELEMENTS, TRACE_PARTS
from engine.cel.values import to_json

if TYPE_CHECKING:
    from engine.decide.dicts import MatchTraceDict, PartDict, RuleTraceDict, TraceDict, VariableTraceDict
    from engine.plan.search.judging import Verdict


@record
class Part:
    """A subexpression with its value or error, or neither if it was not needed."""

    text: str
    value: object = None
    error: str | None = None
    evaluated: bool = True
    parts: tuple[Part, ...] = ()

    def to_dict(self) -> PartDict:
        """Return the JSON form."""
        result: PartDict = {"expression": self.text}
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

    def to_dict(self) -> MatchTraceDict:
        """Return the JSON form."""
        result: MatchTraceDict = {"id": self.id, "result": self.result}
        if self.condition is not None:
            result["condition"] = self.condition.to_dict()
        if self.explanation is not None:
            result["explanation"] = self.explanation
        if self.rule is not None:
            result["rule"] = self.rule.to_dict()
        return result


@record(frozen=False)
class RuleTrace:
    """The matches of a rule, in order."""

    id: str
    matches: list[MatchTrace] = field(default_factory=list)

    def to_dict(self) -> RuleTraceDict:
        """Return the JSON form."""
        return {"id": self.id, "matches": [match.to_dict() for match in self.matches]}


@record
class VariableTrace:
    """An evaluated variable with its value or its error."""

    name: str
    rule: str
    expression: str
    value: object = None
    error: str | None = None
    place: str | None = None
    """File and line of a library's variable."""

    def to_dict(self) -> VariableTraceDict:
        """Return the JSON form."""
        result: VariableTraceDict = {"name": self.name, "rule": self.rule, "expression": self.expression}
        if self.place is not None:
            result["place"] = self.place
        if self.error is None:
            result["value"] = to_json(self.value)
        else:
            result["error"] = self.error
        return result


@record(frozen=False)
class Trace:
    """A decision's trace."""

    runtime: str
    rule: RuleTrace
    variables: list[VariableTrace] = field(default_factory=list)
    candidates: list[Verdict] = field(default_factory=list)
    """The verdict on each candidate of a search."""
    room: int = TRACE_ELEMENTS
    """How many elements further values may have."""
    parts: int = TRACE_PARTS
    """How many more parts of conditions may be evaluated on their own."""

    def to_dict(self) -> TraceDict:
        """Return the JSON form."""
        result: TraceDict = {
            "runtime": self.runtime,
            "rule": self.rule.to_dict(),
            "variables": [variable.to_dict() for variable in self.variables],
        }
        if self.candidates:
            result["candidates"] = [each.to_dict() for each in self.candidates]
        return result
