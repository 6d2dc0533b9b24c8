"""Remedies: changes to a request that make a plan feasible, and what they cost in speed."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from engine.base.records import record

if TYPE_CHECKING:
    from engine.base.jsontypes import Json
    from engine.decide.dicts import ChangeDict, CombinationDict, RemedyDict, SpeedDict
    from engine.plan.plan import Plan, Strategy


@record
class Change:
    """A change of the request, and what the request has instead."""

    id: str
    change: str
    value: Json
    asked: Json = None
    text: str = ""
    """The change in the policy's words; empty if the policy has none."""

    def to_dict(self) -> ChangeDict:
        """Return the JSON form."""
        result: ChangeDict = {"id": self.id, "change": self.change, "value": self.value}
        if self.asked is not None:
            result["asked"] = self.asked
        if self.text:
            result["explanation"] = self.text
        return result


@record
class Speed:
    """The estimates of a plan by which remedies are compared.

    `share` is the throughput as a share of the highest one among the remedies of a decision.
    """

    time_per_output_token_ms: float | None
    throughput_tokens_per_sec: float | None
    share: float | None = None

    @classmethod
    def of(cls, plan: Plan) -> Speed | None:
        """Return the speed of a plan with all of its groups; None if the policy estimates none."""
        estimates = plan.estimates
        if estimates is None:
            return None
        together = None if plan.fleet is None else plan.fleet.throughput_tokens_per_sec
        return cls(
            estimates.loaded_time_per_output_token_ms or estimates.time_per_output_token_ms,
            together or estimates.saturated_tokens_per_sec or estimates.tokens_per_sec,
        )

    def to_dict(self) -> SpeedDict:
        """Return the JSON form."""
        return {
            "time_per_output_token_ms": self.time_per_output_token_ms,
            "throughput_tokens_per_sec": self.throughput_tokens_per_sec,
            "throughput_share": self.share,
        }


@record
class Remedied:
    """A change that makes a plan feasible: the value, and the strategy and speed of the plan."""

    id: str
    change: str
    value: Json
    strategy: Strategy
    asked: Json = None
    """The value in the request."""
    text: str = ""
    """The change in the policy's words; empty if the policy has none."""
    speed: Speed | None = None

    def to_dict(self) -> RemedyDict:
        """Return the JSON form."""
        change = Change(self.id, self.change, self.value, self.asked, self.text).to_dict()
        result = cast("RemedyDict", {**change, "strategy": self.strategy.to_dict()})
        if self.speed is not None:
            result["speed"] = self.speed.to_dict()
        return result


@record
class Combination:
    """Changes that make a plan feasible together, and the strategy and speed of the plan."""

    changes: tuple[Change, ...]
    strategy: Strategy
    speed: Speed | None = None

    def to_dict(self) -> CombinationDict:
        """Return the JSON form."""
        result: CombinationDict = {
            "changes": [change.to_dict() for change in self.changes],
            "strategy": self.strategy.to_dict(),
        }
        if self.speed is not None:
            result["speed"] = self.speed.to_dict()
        return result
