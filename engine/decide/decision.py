"""The decision on one request."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from engine.base.records import field, record
from engine.cel.values import Value, to_json
from engine.decide.request import Request
from engine.decide.tracing import Trace
from engine.plan.plan import Plan

if TYPE_CHECKING:
    from engine.catalogs.resolved import Catalogs
    from engine.decide.dicts import DecisionDict, Outcome
    from engine.decide.found import Found
    from engine.decide.remedies import Change, Combination, Remedied
    from engine.plan.search.judging import Refusal


@record
class Decision:
    """The decision on one request.

    `outcome` is `plan`, `value` (the policy returned `output`), `infeasible` (a search found no plan) or
    `no_match`. Immutable.
    """

    id: str | int | None
    policy_name: str
    policy_version: str
    policy_digest: str
    outcome: Outcome
    match_id: str | None
    explanation: str | None
    output: Value
    plan: Plan | None
    fits_in_memory: bool | None
    quantization: str | None = None
    auto: Mapping[str, Decision] = field(default_factory=dict)
    """Decisions that chose the inputs which the request sets to `auto`, by input."""
    trace: Trace | None = None
    request: Request | None = None
    refusal: Refusal | None = None
    """The binding requirement of a search without a feasible candidate."""
    remedies: tuple[Remedied, ...] = ()
    """Changes to the request; any one of them makes a plan feasible."""
    combinations: tuple[Combination, ...] = ()
    """Changes that make a plan feasible together, if none does by itself."""
    conflict: tuple[Change, ...] | None = None
    """The smallest set of demands that cannot all be met; empty if no change is enough, None if unknown."""
    found: Found | None = None
    """The concurrency that was found, if the request sets limits or a rate and no concurrency."""
    catalogs: Catalogs | None = field(default=None, compare=False, repr=False)
    """The catalogs that were read, for launch targets; None for the newest shipped ones."""

    @property
    def feasible(self) -> bool:
        """False for a negative answer: no match, no shards, or a plan that the policy says doesn't fit."""
        if self.outcome == "plan":
            return self.plan is not None and bool(self.plan.shards) and self.fits_in_memory is not False
        return self.outcome == "value"

    def to_dict(self) -> DecisionDict:
        """Return the JSON form (schemas/decision.schema.json); a value has no fields of plans."""
        result: DecisionDict = {
            "id": self.id,
            "policy": {
                "name": self.policy_name,
                "version": self.policy_version,
                "digest": self.policy_digest,
            },
            "outcome": self.outcome,
            "match": self.match_id,
            "explanation": self.explanation,
            "output": to_json(self.output),
        }
        if self.outcome != "value":
            result["plan"] = None if self.plan is None else self.plan.to_dict()
            result["fits_in_memory"] = self.fits_in_memory
            result["quantization"] = self.quantization
        if self.refusal is not None:
            result["binding"] = self.refusal.requirement
            result["remedies"] = [remedy.to_dict() for remedy in self.remedies]
            if self.combinations:
                result["combinations"] = [each.to_dict() for each in self.combinations]
            if self.conflict is not None:
                result["conflict"] = [each.to_dict() for each in self.conflict]
        if self.found is not None:
            result["found_concurrency"] = self.found.to_dict()
        searched = self.plan if self.refusal is None else self.refusal
        if searched is not None and searched.search is not None:
            result["search"] = searched.search.to_dict()
        if self.auto:
            result["auto"] = {name: decision.to_dict() for name, decision in self.auto.items()}
        if self.trace is not None:
            result["trace"] = self.trace.to_dict()
        return result

    def _repr_html_(self) -> str:
        """Return a table for notebooks."""
        from engine.decide.notebook import table  # deferred: start-up time

        return table(self._rows())

    def _rows(self) -> Iterator[tuple[str, str]]:
        from engine.decide.notebook import plan_rows  # deferred: start-up time

        yield "policy", f"{self.policy_name}@{self.policy_version}"
        yield "outcome", self.outcome.replace("_", " ")
        if self.match_id is not None:
            yield "match", self.match_id
        if self.explanation is not None:
            yield "why", self.explanation
        if self.outcome == "value":
            yield "output", str(self.output)
        if self.quantization is not None:
            yield "quantization", self.quantization
        if self.plan is not None:
            yield from plan_rows(self.plan)
        if self.refusal is not None and self.refusal.requirement is not None:
            yield "binding", self.refusal.requirement
        if self.found is not None:
            yield "concurrency", f"{self.found.value:,} ({self.found.found.replace('_', ' ')})"
        for remedy in self.remedies:
            yield "would help", f"{remedy.change}: {remedy.value}"
        for pair in self.combinations:
            yield "would help", " and ".join(f"{each.change}: {each.value}" for each in pair.changes)
        if self.conflict:
            stated = [each for each in self.conflict if each.value is not None] or self.conflict
            yield "conflict", ", ".join(each.text or each.id for each in stated)


def quantization_name(inputs: Mapping[str, Value]) -> str | None:
    """Return the name of the quantization, if the policy reads one."""
    name = inputs.get("quantization")
    return name if isinstance(name, str) else None
