"""The JSON form of decisions, as `to_dict()` returns it (schemas/decision.schema.json)."""

from __future__ import annotations

from typing import Literal, NotRequired, TypedDict

from engine.base.jsontypes import Json
from engine.plan.dicts import PlanDict, SearchDict, StrategyDict, VerdictDict

Outcome = Literal["plan", "value", "infeasible", "no_match"]


class PartDict(TypedDict):
    """A subexpression with its value or error, or that it was skipped."""

    expression: str
    skipped: NotRequired[bool]
    error: NotRequired[str]
    value: NotRequired[Json]
    parts: NotRequired[list[PartDict]]


class MatchTraceDict(TypedDict):
    """One match of a rule."""

    id: str
    result: str
    condition: NotRequired[PartDict]
    explanation: NotRequired[str]
    rule: NotRequired[RuleTraceDict]


class RuleTraceDict(TypedDict):
    """The matches of a rule, in order."""

    id: str
    matches: list[MatchTraceDict]


class VariableTraceDict(TypedDict):
    """An evaluated variable with its value or its error."""

    name: str
    rule: str
    expression: str
    place: NotRequired[str]
    value: NotRequired[Json]
    error: NotRequired[str]


class TraceDict(TypedDict):
    """A decision's trace."""

    runtime: str
    rule: RuleTraceDict
    variables: list[VariableTraceDict]
    candidates: NotRequired[list[VerdictDict]]


class ChangeDict(TypedDict):
    """A change of the request, or a demand of it."""

    id: str
    change: str
    value: Json
    asked: NotRequired[Json]
    explanation: NotRequired[str]


class SpeedDict(TypedDict):
    """The speed of the plan that a remedy leads to."""

    time_per_output_token_ms: float | None
    throughput_tokens_per_sec: float | None
    throughput_share: float | None


class RemedyDict(ChangeDict):
    """A change that makes a plan feasible."""

    strategy: StrategyDict
    speed: NotRequired[SpeedDict]


class CombinationDict(TypedDict):
    """Changes that make a plan feasible together."""

    changes: list[ChangeDict]
    strategy: StrategyDict
    speed: NotRequired[SpeedDict]


class FoundConcurrencyDict(TypedDict):
    """A concurrency that was found for limits or a rate."""

    value: int
    found: Literal["largest_within_limits", "smallest_for_rate"]
    binding: str | None
    explanation: str | None


class PolicyDict(TypedDict):
    """The policy that decided."""

    name: str
    version: str
    digest: str


class DecisionDict(TypedDict):
    """A decision."""

    id: str | int | None
    policy: PolicyDict
    outcome: Outcome
    match: str | None
    explanation: str | None
    output: Json
    plan: NotRequired[PlanDict | None]
    fits_in_memory: NotRequired[bool | None]
    quantization: NotRequired[str | None]
    binding: NotRequired[str | None]
    remedies: NotRequired[list[RemedyDict]]
    combinations: NotRequired[list[CombinationDict]]
    conflict: NotRequired[list[ChangeDict]]
    found_concurrency: NotRequired[FoundConcurrencyDict]
    search: NotRequired[SearchDict]
    auto: NotRequired[dict[str, DecisionDict]]
    trace: NotRequired[TraceDict]
