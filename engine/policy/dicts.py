"""The form of a policy's document (schemas/policy.schema.json), which is validated before it is compiled."""

from __future__ import annotations

from typing import NotRequired, TypedDict

from engine.base.jsontypes import Json

LibraryDict = TypedDict(
    "LibraryDict", {"name": str, "as": NotRequired[str], "with": NotRequired[dict[str, str]]}
)


_As = TypedDict("_As", {"as": NotRequired[str]})
"""A field that is a keyword of Python."""


class VariableDict(_As):
    """A variable; a list of records has `records`, `as` and `columns` instead of an expression."""

    name: str
    expression: NotRequired[str]
    records: NotRequired[str]
    columns: NotRequired[list[VariableDict]]
    values: NotRequired[str]
    type: NotRequired[str]
    unit: NotRequired[str]
    description: NotRequired[str]


class RequirementDict(TypedDict):
    """A requirement of candidates."""

    id: str
    condition: str
    explanation: NotRequired[str]
    description: NotRequired[str]
    monotone: NotRequired[list[str]]


class PreferenceDict(TypedDict):
    """A score of candidates."""

    id: str
    score: str
    label: NotRequired[str]
    """Expression of its name in traces, where that depends on the objective; never in a file."""
    description: NotRequired[str]


class CandidateDict(TypedDict):
    """How the candidates of a search are weighed."""

    lazy: NotRequired[bool]
    libraries: NotRequired[list[LibraryDict]]
    variables: NotRequired[list[VariableDict]]
    require: list[RequirementDict]
    prefer: list[PreferenceDict]
    result: dict[str, str]


class RemedyDict(TypedDict):
    """A change to try where no candidate is feasible."""

    id: str
    change: str
    values: str
    asked: NotRequired[str]
    text: NotRequired[str]
    asked_text: NotRequired[str]
    description: NotRequired[str]


class NegotiationDict(TypedDict):
    """How far a refusal is followed up beyond single changes."""

    most_candidates: str
    most_combinations: str


class PlanDict(TypedDict):
    """A builder with its arguments."""

    builder: str
    arguments: NotRequired[dict[str, str]]
    candidate: NotRequired[CandidateDict]
    remedies: NotRequired[list[RemedyDict]]
    negotiation: NotRequired[NegotiationDict]


class MatchDict(TypedDict):
    """A match."""

    id: NotRequired[str]
    description: NotRequired[str]
    condition: NotRequired[str]
    plan: NotRequired[PlanDict]
    output: NotRequired[str]
    rule: NotRequired[RuleDict]
    explanation: NotRequired[str]


class ColumnDict(TypedDict):
    """A column of a decision table: tested if it has an input, a result otherwise."""

    type: str
    input: NotRequired[str]
    values: NotRequired[list[Json]]
    optional: NotRequired[bool]
    unit: NotRequired[str]
    description: NotRequired[str]


class TableDict(TypedDict):
    """A decision table; rows of a CSV file are filled in by `engine.policy.tables`."""

    hit: NotRequired[str]
    aggregate: NotRequired[str]
    columns: dict[str, ColumnDict]
    rows: list[list[Json]]
    explanation: NotRequired[str]
    numbers: NotRequired[list[int]]
    """The rows' numbers in the table, in the order of the matches."""
    text_only: NotRequired[bool]
    """The cells come from CSV."""


class CollectedDict(TypedDict):
    """A match of an aggregate: the variables that hold its parts, or the matches of its nested rule."""

    id: str
    condition: NotRequired[str]
    output: NotRequired[str]
    explanation: NotRequired[str]
    rule: NotRequired[list[CollectedDict]]


class RuleDict(TypedDict):
    """A rule; one with a table has its rows written out as matches, one that aggregates has one match."""

    id: NotRequired[str]
    description: NotRequired[str]
    variables: NotRequired[list[VariableDict]]
    match: list[MatchDict]
    table: NotRequired[TableDict]
    collects: NotRequired[list[CollectedDict]]
    """The matches of an aggregate, as `engine.policy.aggregates` writes them out."""


class InputDict(TypedDict):
    """A declared input."""

    name: str
    type: str
    unit: NotRequired[str]
    description: NotRequired[str]
    optional: NotRequired[bool]
    default: NotRequired[Json]
    enum: NotRequired[list[Json]]
    minimum: NotRequired[Json]
    maximum: NotRequired[Json]
    auto: NotRequired[str]


class ConstantDict(TypedDict):
    """A constant."""

    value: Json
    type: NotRequired[str]
    unit: NotRequired[str]
    description: NotRequired[str]


class PolicyDict(TypedDict):
    """A policy."""

    name: str
    version: str
    description: NotRequired[str]
    types: NotRequired[dict[str, Json]]
    """Records and scalars by name (engine.policy.declared_types)."""
    inputs: NotRequired[list[InputDict]]
    catalogs: NotRequired[list[str]]
    libraries: NotRequired[list[LibraryDict]]
    constants: NotRequired[dict[str, ConstantDict]]
    library_constants: NotRequired[dict[str, Json]]
    """Values that an overlay gives constants of libraries."""
    rule: RuleDict
