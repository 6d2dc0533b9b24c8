"""Frontiers: throughput per device against speed per user, over all layouts and concurrencies."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from engine.base.errors import RequestError
from engine.base.records import record
from engine.decide import goals
from engine.decide.capacity.instances import Instances, strategy_words
from engine.decide.changes import with_serving
from engine.decide.policy import Policy
from engine.decide.request import Request

if TYPE_CHECKING:
    from engine.base.jsontypes import JsonObject
    from engine.decide.decision import Decision
    from engine.plan.plan import Estimates

_MS_PER_SECOND = 1000.0


@record
class Point:
    """One layout at one concurrency."""

    plan: str
    """Degrees in short: `TP 4 · PP 2`."""
    devices: int
    concurrency: int
    """Requests in flight on these devices."""
    tokens_per_sec_per_user: float
    """Output tokens per second of one request."""
    tokens_per_sec_per_device: float
    """Output tokens per second of all requests, over the devices."""
    time_to_first_token_ms: float
    meets: bool
    """The point is within the limits of the request."""

    def to_dict(self) -> JsonObject:
        """Return the JSON form."""
        return {
            "plan": self.plan,
            "devices": self.devices,
            "concurrency": self.concurrency,
            "tokens_per_sec_per_user": self.tokens_per_sec_per_user,
            "tokens_per_sec_per_device": self.tokens_per_sec_per_device,
            "time_to_first_token_ms": self.time_to_first_token_ms,
            "meets": self.meets,
        }


@record
class Frontier:
    """All points, those that no other point beats in both directions, and what the policy chooses."""

    model: str
    machine: str
    quantization: str | None
    policy: str
    serving: JsonObject
    points: tuple[Point, ...]
    front: tuple[Point, ...]
    """The Pareto front, the fastest for a user last."""
    chosen: Point | None
    """The plan that the policy chooses for the request; None if it chooses none."""
    reason: str | None = None
    """Why it chooses none."""

    def to_dict(self) -> JsonObject:
        """Return the JSON form (schemas/frontier.schema.json)."""
        return {
            "model": self.model,
            "machine": self.machine,
            "quantization": self.quantization,
            "policy": self.policy,
            "serving": self.serving,
            "chosen": None if self.chosen is None else self.chosen.to_dict(),
            "reason": self.reason,
            "front": [point.to_dict() for point in self.front],
            "points": [point.to_dict() for point in self.points],
        }


def frontier(policy: Policy, request: Request, machine: str) -> Frontier:
    """Return the frontier of a request's devices.

    Args:
        policy: the policy that decides.
        request: the request; its goals do not restrict the points, but the choice.
        machine: what to call the devices.

    Raises:
        RequestError: the policy estimates no latency under load, or the request is invalid.
        EvaluationError: an expression of the policy ended in an error.
    """
    serving = goals.serving_of(request)
    limits = {name: cast("float | None", serving.get(name)) for name in goals.LIMITS}
    free = request
    for name in limits:
        if serving.get(name) is not None:
            free = with_serving(free, name, None)
    instances = Instances(policy, free)
    points: list[Point] = []
    for concurrency in _concurrencies():
        survey = instances.at(concurrency)
        if not survey.layouts:
            break
        for layout in survey.layouts:
            plan = strategy_words(layout.strategy)
            points.append(_point(policy, plan, layout.devices, concurrency, layout.estimates, limits))
    if not points:
        refusal = instances.at(1).refusal
        reason = None if refusal is None else refusal.explanation
        return _of(policy, request, machine, instances, (), None, reason)
    decision = policy.decide(request, remedies=False)
    chosen = _chosen(policy, decision, limits)
    return _of(policy, request, machine, instances, tuple(points), chosen, decision.explanation)


def _of(
    policy: Policy,
    request: Request,
    machine: str,
    instances: Instances,
    points: tuple[Point, ...],
    chosen: Point | None,
    reason: str | None,
) -> Frontier:
    model, quantization = request.model, instances.request.inputs.get("quantization")
    return Frontier(
        model="" if model is None else model.name or f"{model.params:,} parameters",
        machine=machine,
        quantization=quantization if isinstance(quantization, str) else None,
        policy=f"{policy.name}@{policy.version}",
        serving=cast("JsonObject", dict(goals.serving_of(request))),
        points=points,
        front=pareto(points),
        chosen=chosen,
        reason=reason if chosen is None else None,
    )


def pareto(points: tuple[Point, ...]) -> tuple[Point, ...]:
    """Return the points that no other beats in speed and throughput, the slowest for a user first."""
    front: list[Point] = []
    best = 0.0
    order = sorted(
        points, key=lambda point: (-point.tokens_per_sec_per_user, -point.tokens_per_sec_per_device)
    )
    for point in order:
        if point.tokens_per_sec_per_device > best:
            best = point.tokens_per_sec_per_device
            front.append(point)
    return tuple(reversed(front))


def _concurrencies() -> list[int]:
    """Return powers of two, and the numbers halfway between them."""
    counts: list[int] = []
    count = 1
    while count < goals.MOST_CONCURRENCY:
        counts += [count, count * 3 // 2] if count > 1 else [count]
        count *= 2
    return counts


def _point(
    policy: Policy,
    plan: str,
    devices: int,
    concurrency: int,
    estimates: Estimates | None,
    limits: dict[str, float | None],
) -> Point:
    tpot = None if estimates is None else estimates.loaded_time_per_output_token_ms
    ttft = None if estimates is None else estimates.loaded_time_to_first_token_ms
    tokens = None if estimates is None else estimates.saturated_tokens_per_sec
    if tpot is None or ttft is None or tokens is None:
        raise RequestError(
            f"policy {policy.name}@{policy.version} estimates no latency under load, so it has no frontier",
            hint="use a policy that does: --policy sharding@3",
        )
    times = goals.goal_times(estimates)
    return Point(
        plan=plan,
        devices=devices,
        concurrency=concurrency,
        tokens_per_sec_per_user=_MS_PER_SECOND / tpot,
        tokens_per_sec_per_device=tokens / devices,
        time_to_first_token_ms=ttft,
        meets=all(limit is None or (times[name] or 0.0) <= limit for name, limit in limits.items()),
    )


def _chosen(policy: Policy, decision: Decision, limits: dict[str, float | None]) -> Point | None:
    """Return the point of a decision's plan."""
    plan = decision.plan
    if plan is None or decision.request is None or not plan.shards:
        return None
    asked = goals.serving_of(decision.request).get(goals.CONCURRENCY)
    concurrency = asked if isinstance(asked, int) else 1
    return _point(
        policy, strategy_words(plan.strategy), len(plan.shards), concurrency, plan.estimates, limits
    )
