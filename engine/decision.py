"""The answer to one request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from engine.cel.values import Value, to_json
from engine.plan.types import Plan
from engine.records import field, record
from engine.request import Request
from engine.trace import Trace

if TYPE_CHECKING:
    from engine.plan.search.judging import Refusal
    from engine.remedies import Remedied

Outcome = Literal["plan", "value", "infeasible", "no_match"]


@record
class Decision:
    """The answer to one request."""

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
    """The decisions that chose inputs for which the request says `auto`, by input."""
    trace: Trace | None = None
    request: Request | None = None
    refusal: Refusal | None = None
    """Of a search in which no candidate is allowed: the requirement that binds."""
    remedies: tuple[Remedied, ...] = ()
    """Changes of the request, each by itself enough for a plan."""

    @property
    def feasible(self) -> bool:
        """False for a negative answer: nothing is placed, or by the policy's own word it doesn't fit."""
        if self.outcome == "plan":
            return self.plan is not None and bool(self.plan.shards) and self.fits_in_memory is not False
        return self.outcome == "value"

    def to_dict(self) -> dict[str, Any]:
        """As programs read it (schemas/decision.schema.json)."""
        result: dict[str, Any] = {
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
            "plan": None if self.plan is None else self.plan.to_dict(),
            "fits_in_memory": self.fits_in_memory,
            "quantization": self.quantization,
        }
        if self.refusal is not None:
            result["binding"] = self.refusal.requirement
            result["remedies"] = [each.to_dict() for each in self.remedies]
        if self.auto:
            result["auto"] = {name: decision.to_dict() for name, decision in self.auto.items()}
        if self.trace is not None:
            result["trace"] = self.trace.to_dict()
        return result


def quantization_name(inputs: Mapping[str, Value]) -> str | None:
    """The quantization's own name, of a policy that reads one."""
    name = inputs.get("quantization")
    return name if isinstance(name, str) else None
