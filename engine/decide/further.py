"""Further groups: plans for the devices that a plan leaves, and the part of the requests that each serves.

A policy says which devices may serve requests by further plans (`Leftover`). Each further plan is a decision
on the same request, with the devices of the plans before it taken, until nothing feasible is left. If the
plan is one pipeline over unequal devices, it is compared with groups of which the first has equal ones, and
what serves more requests is kept. The groups share the requests (engine.decide.sharing):

- If the request sets a concurrency, it is divided so that all groups together serve the most.
- If it sets limits and no concurrency, each group serves the largest concurrency within the limits.
- If it sets a rate that one group of equal devices does not serve, groups are added until they serve it
  together.

Host memory is not divided: further plans keep all weights on devices.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import TYPE_CHECKING, cast

from engine.base.records import record, replace
from engine.decide.changes import with_serving
from engine.decide.goals import CONCURRENCY, RATE, Finder, serving_of
from engine.decide.sharing import SharedLoad, divide, rate_of
from engine.plan.plan import Fleet, GroupLoad, Leftover, Plan
from engine.plan.search.idle import Idle

if TYPE_CHECKING:
    from engine.decide.decision import Decision
    from engine.decide.request import Request
    from engine.inventory import Inventory

Decide = Callable[["Request"], "Decision"]
"""Decides a request, without remedies and further groups."""

_HOST_MEMORY = "host_memory_bytes"


def with_further(decision: Decision, decide: Decide, *, find: bool = False) -> Decision:
    """Return a decision with further plans for the devices that its plan leaves, as far as they help.

    Args:
        decision: a decision, whose request has its concurrency.
        decide: decides a request, without remedies and further groups.
        find: find the concurrency of each group by the request's limits, as was done for the plan.
    """
    plan, request = decision.plan, decision.request
    if plan is None or plan.leftover is None or request is None or request.inventory is None:
        return decision
    groups = _Groups(request, request.inventory, plan.leftover, decide)
    rate = serving_of(request).get(RATE)
    if not rate_of(plan) or rate is not None:
        best = _equal_instead(decision, cast(float, rate), decide) if find and rate_of(plan) else None
        return groups.ended(decision, [plan], plan.leftover.reason) if best is None else best
    grow = groups.found if find else groups.divided
    best = grow(decision)
    for devices in groups.equal(plan):
        asked = with_serving(request, CONCURRENCY, None) if find else request
        other = groups.first(groups.only(asked, devices), find=find)
        if other is not None:
            grown = grow(other)
            if _total(grown) > _total(best):
                best = grown
    if find:
        request = with_serving(request, CONCURRENCY, _concurrency(best))
    return replace(best, request=request, trace=decision.trace, auto=decision.auto)


def _equal_instead(decision: Decision, rate: float, decide: Decide) -> Decision | None:
    """Return groups of equal devices that serve a rate together instead of a pipeline over unequal ones."""
    plan, request = decision.plan, decision.request
    assert plan is not None
    assert plan.leftover is not None
    assert request is not None
    assert request.inventory is not None
    asked = with_serving(request, CONCURRENCY, None)
    groups = _Groups(asked, request.inventory, plan.leftover, decide)
    serving = (each for each in groups.over_equal(plan, rate) if _total(each) >= rate)
    best = max(serving, key=_total, default=None)
    if best is None:
        return None
    request = with_serving(request, CONCURRENCY, _concurrency(best))
    return replace(best, request=request, found=None, trace=decision.trace, auto=decision.auto)


def together(finder: Finder, decide: Decide) -> tuple[float, Decision]:
    """Return the highest rate that groups serve together, in requests/s, and their decision.

    Args:
        finder: the search for the concurrency of a request with a rate, which ended without one.
        decide: decides a request, without remedies and further groups.
    """
    (served, best), rate = finder.best_rate(), finder.rate
    if rate is None or served <= 0.0 or best.request is None or best.request.inventory is None:
        return served, best
    request = with_serving(with_serving(best.request, CONCURRENCY, None), RATE, rate)
    first = decide(with_serving(best.request, RATE, served))  # so that the policy sees that there is a rate
    if first.plan is None or first.plan.leftover is None:
        return served, best
    groups = _Groups(request, best.request.inventory, first.plan.leftover, decide)
    grown = groups.serving(first, rate)
    if _total(grown) < rate:
        grown = max([grown, *groups.over_equal(first.plan, rate)], key=_total)
    asked = with_serving(request, CONCURRENCY, _concurrency(grown))
    return _total(grown), replace(grown, request=asked, auto=best.auto)


def _total(decision: Decision) -> float:
    """Return the requests per second of all groups of a decision."""
    plan = decision.plan
    assert plan is not None
    return rate_of(plan) if plan.fleet is None else plan.fleet.requests_per_sec


@record
class _Groups:
    """Adds groups to a plan."""

    request: Request
    inventory: Inventory
    leftover: Leftover
    decide: Decide

    # --- the ways to share requests -----------------------------------------------------------------------

    def divided(self, decision: Decision) -> Decision:
        """Add groups that share the concurrency of the request."""
        assert decision.plan is not None
        total, why = self.leftover.concurrency, self.leftover.reason
        loads = [SharedLoad(decision, total, self.decide)]
        while (rest := self.rest(self.request, [load.plan for load in loads])) is not None:
            further = self.layout(rest, loads)
            if not further.feasible or not rate_of(further.plan):
                why = further.explanation or why
                break
            loads.append(SharedLoad(further, total, self.decide))
        counts = divide(loads, total)
        while len(loads) > 1:
            if 0 not in counts:
                parts = [load.at(count).plan for load, count in zip(loads, counts, strict=True)]
                known = [
                    plan
                    for plan, load in zip(parts, loads, strict=True)
                    if plan is not None and plan.strategy == load.plan.strategy
                ]
                if len(known) == len(loads) and math.fsum(map(rate_of, known)) >= rate_of(decision.plan):
                    ended = self.ended(decision, [decision.plan, *known[1:]], why)
                    return _with_fleet(ended, counts, known[0])
                loads.pop()
            else:
                loads = [load for load, count in zip(loads, counts, strict=True) if count]
            why = self.leftover.reason
            counts = divide(loads, total)
        return self.ended(decision, [decision.plan], why)

    def layout(self, rest: Request, loads: Sequence[SharedLoad]) -> Decision:
        """Return the decision on devices that are left, at about the concurrency that they will serve."""
        total = count = self.leftover.concurrency
        decision = self.decide(with_serving(rest, CONCURRENCY, count))
        while not decision.feasible and count > 1:
            count //= 2
            decision = self.decide(with_serving(rest, CONCURRENCY, count))
        own, others = rate_of(decision.plan), math.fsum(rate_of(load.plan) for load in loads)
        if not own:
            return decision
        share = max(1, round(total * own / (own + others)))
        nearer = self.decide(with_serving(rest, CONCURRENCY, min(count, share)))
        return nearer if nearer.feasible else decision

    def found(self, decision: Decision) -> Decision:
        """Add groups that each serve the largest concurrency within the limits."""
        assert decision.plan is not None
        plans, counts, why = [decision.plan], [_concurrency(decision)], self.leftover.reason
        asked = with_serving(self.request, CONCURRENCY, None)
        while (rest := self.rest(asked, plans)) is not None:
            further = self.first(rest, find=True)
            if further is None:
                why = self.decide(with_serving(rest, CONCURRENCY, 1)).explanation or why
                break
            assert further.plan is not None
            plans.append(further.plan)
            counts.append(_concurrency(further))
        return _with_fleet(self.ended(decision, plans, why), counts)

    def serving(self, decision: Decision, rate: float) -> Decision:
        """Add groups until they serve a rate together, or nothing is left."""
        assert decision.plan is not None
        plans, counts, why = [decision.plan], [_concurrency(decision)], self.leftover.reason
        while (missing := rate - math.fsum(map(rate_of, plans))) > 0.0:
            rest = self.rest(self.request, plans)
            further = None if rest is None else self.fastest(rest, missing)
            if further is None:
                break
            assert further.plan is not None
            plans.append(further.plan)
            counts.append(_concurrency(further))
        return _with_fleet(self.ended(decision, plans, why), counts)

    def over_equal(self, plan: Plan, rate: float) -> Iterator[Decision]:
        """Yield groups for a rate, of which the first has equal devices of a plan over unequal ones."""
        for devices in self.equal(plan):
            first = self.fastest(self.only(self.request, devices), rate)
            if first is not None:
                yield self.serving(first, rate)

    def first(self, request: Request, *, find: bool) -> Decision | None:
        """Return the decision on a request, at the concurrency within its limits if that is to be found."""
        if not find:
            decision = self.decide(request)
        else:
            decision, found = Finder(request, self.decide).find()
            decision = replace(decision, found=found)
        return decision if decision.feasible and rate_of(decision.plan) else None

    def fastest(self, request: Request, rate: float) -> Decision | None:
        """Return the decision at the smallest concurrency that serves a rate, else at the highest rate."""
        decision = Finder(with_serving(request, RATE, rate), self.decide).find()[0]
        return decision if decision.feasible and rate_of(decision.plan) else None

    # --- devices ------------------------------------------------------------------------------------------

    def equal(self, plan: Plan) -> Iterator[Collection[int]]:
        """Yield the positions of equal devices, for each group of them in a plan over unequal ones."""
        alike = dict(zip(self.leftover.devices, self.leftover.alike, strict=True))
        used = list(dict.fromkeys(alike.get(shard.device.index or 0) for shard in plan.shards))
        for label in used if len(used) > 1 else ():
            yield {index for index, other in alike.items() if other == label}

    def left(self, plans: Sequence[Plan]) -> list[int]:
        """Return the positions of the devices that no plan uses."""
        used = {shard.device.index for plan in plans for shard in plan.shards}
        return [index for index in self.leftover.devices if index not in used]

    def rest(self, request: Request, plans: Sequence[Plan]) -> Request | None:
        """Return a request for the devices that no plan uses; None if there are none."""
        left = self.left(plans)
        return with_serving(self.only(request, set(left)), _HOST_MEMORY, 0) if left else None

    def only(self, request: Request, devices: Collection[int]) -> Request:
        """Return a request for some devices, which keep their places in the inventory."""
        listed = tuple(
            device if index in devices or not device.available else replace(device, available=False)
            for index, device in enumerate(self.inventory.devices)
        )
        return request.with_inputs(inventory=replace(self.inventory, devices=listed))

    def ended(self, decision: Decision, plans: Sequence[Plan], why: str) -> Decision:
        """Return a decision with further plans, and the devices that stay idle beside all of them."""
        further = tuple(replace(plan, idle=(), leftover=None) for plan in plans[1:])
        idle = tuple(self.idle(plans, why))
        return replace(decision, plan=replace(plans[0], idle=idle, leftover=None, further=further))

    def idle(self, plans: Sequence[Plan], why: str) -> Iterator[Idle]:
        """Yield the devices that no plan uses, by kind."""
        listed = self.inventory.devices
        kinds: dict[str, list[int]] = {}
        for index in self.left(plans):
            kinds.setdefault(listed[index].kind, []).append(index)
        for kind, indices in kinds.items():
            named = tuple((listed[index].node, listed[index].device_id) for index in indices)
            total = sum(listed[index].kind == kind for index in self.leftover.devices)
            yield Idle(kind, named, total, why)


def _concurrency(decision: Decision) -> int:
    assert decision.request is not None
    return cast(int, serving_of(decision.request)[CONCURRENCY])


def _with_fleet(decision: Decision, counts: Sequence[int], first: Plan | None = None) -> Decision:
    """Return a decision with the estimates of all of its groups together.

    Args:
        decision: the decision, with its further plans.
        counts: the concurrency of each group.
        first: the plan under its part of the load, if its own estimates are for another one.
    """
    plan = decision.plan
    if plan is None or not plan.further:
        return decision
    estimates = [each.estimates for each in (first or plan, *plan.further)]
    known = [each for each in estimates if each is not None and each.requests_per_sec is not None]
    rates = [cast(float, each.requests_per_sec) for each in known]
    loads = tuple(
        GroupLoad(rate / math.fsum(rates), count, each.saturated_tokens_per_sec, rate)
        for each, count, rate in zip(known, counts, rates, strict=True)
    )
    bounds = [each.bounds["saturated_tokens_per_sec"] for each in known if each.bounds]
    low_and_high = None
    if len(bounds) == len(known):
        low_and_high = math.fsum(low for low, _ in bounds), math.fsum(high for _, high in bounds)
    return replace(decision, plan=replace(plan, fleet=Fleet(loads, low_and_high)))
