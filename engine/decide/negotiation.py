"""What becomes of a refusal: changes that help, pairs of them, and the smallest set of demands that conflict.

Changed requests are decided again, each with a sample of the candidates first. Of changes by number, a larger
one helps where a smaller one does; names are tried one by one. What may be spent is counted in candidates,
and in devices, since a decision reads each of them. A demand is loosened by its largest change, so what a set
of loosened demands cannot achieve, no smaller change of them can. A policy that sets no bounds
gets single changes only.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import combinations, product
from typing import TYPE_CHECKING

from engine.base.quantities import format_bytes
from engine.base.records import replace
from engine.decide.changes import LIMITS, changed
from engine.decide.goals import RATE, goal_times, rounded_down, rounded_up
from engine.decide.remedies import Change, Combination, Remedied, Speed
from engine.plan.plan import SearchEffort

if TYPE_CHECKING:
    from engine.base.jsontypes import Json
    from engine.decide.decision import Decision
    from engine.decide.request import Request
    from engine.plan.plan import Plan
    from engine.plan.search.tries import Tries, Try

Decide = Callable[["Request", bool], "Decision"]
Choice = Mapping[int, int]
"""The position of a value by the position of its change."""


def negotiated(
    decision: Decision,
    request: Request,
    tries: Tries,
    decide: Decide,
    known: Sequence[Remedied] = (),
) -> Decision:
    """Return a refusal with the changes that make a plan feasible, and with what conflicts.

    Args:
        decision: the refusal.
        request: its request.
        tries: the changes to try.
        decide: decides a request without remedies, thoroughly or with a small sample of candidates.
        known: remedies that are known already.
    """
    run = _Negotiation(request, tries, decide)
    run.thorough_left = tries.most_candidates or math.inf
    single = run.single({remedy.change for remedy in known})
    remedies = [*known, *single.values()]
    found: list[Combination] = []
    if not tries.most_candidates:
        return replace(decision, remedies=tuple(compared(remedies, found)[0]))
    conflict: tuple[int, ...] | None = None
    run.left = tries.most_candidates
    try:
        helpful = {n for n, each in enumerate(run.tries) if each.change in {one.change for one in remedies}}
        conflict = run.conflict(helpful)
        if conflict and not remedies:
            for combination in run.pairs(set(conflict)):
                found.append(combination)
                if len(found) >= tries.most_combinations:
                    break
    except _Spent:
        pass
    remedies, found = compared(remedies, found)
    return replace(
        decision,
        remedies=tuple(remedies),
        combinations=tuple(found),
        conflict=None if conflict is None else tuple(_asked(run.tries[each]) for each in conflict),
    )


class _Spent(Exception):
    """The policy allows no more candidates."""


class _Negotiation:
    """Decides changed requests, each one once."""

    def __init__(self, request: Request, tries: Tries, decide: Decide) -> None:
        self.request = request
        self.tries = [each for each in tries.changes if each.values]
        self.decide = decide
        self.left = math.inf
        """Candidates and devices that may still be spent."""
        self.thorough_left = math.inf
        """The same for second tries, which see more candidates."""
        self.decided: dict[tuple[tuple[int, int], ...], Plan | SearchEffort] = {}
        """The plan by changes, or the extent of the search that found none."""

    def plan(self, choice: Choice) -> Plan | None:
        """Return the plan of a changed request; None if it is infeasible as far as a search can see."""
        found = self.sampled(choice)
        if isinstance(found, SearchEffort) and not found.complete and self.thorough_left > 0:
            found = self.decision(choice, thorough=True)
        return None if isinstance(found, SearchEffort) else found

    def whole(self, choice: Choice) -> Plan | None:
        """Return the plan that a changed request gets, which a sample of the candidates may not hold."""
        plan = self.plan(choice)
        if (
            plan is None
            or plan.search is None
            or plan.search.complete
            or min(self.left, self.thorough_left) <= 0
        ):
            return plan
        found = self.decision(choice, thorough=True)
        return plan if isinstance(found, SearchEffort) else found

    def impossible(self, choice: Choice) -> bool:
        """Return True if a changed request is known to be infeasible, since all candidates were evaluated."""
        found = self.sampled(choice)
        return isinstance(found, SearchEffort) and found.complete

    def sampled(self, choice: Choice) -> Plan | SearchEffort:
        key = tuple(sorted(choice.items()))
        return self.decided[key] if key in self.decided else self.decision(choice, thorough=False)

    def decision(self, choice: Choice, *, thorough: bool) -> Plan | SearchEffort:
        """Decide a changed request."""
        if self.left <= 0:
            raise _Spent
        request = self.request
        for number, position in sorted(choice.items()):
            tried = self.tries[number]
            request = changed(request, tried.change, tried.values[position])
        decision = self.decide(request, thorough)
        plan, refusal = decision.plan, decision.refusal
        searched = plan if refusal is None else refusal
        effort = (searched and searched.search) or SearchEffort(1, complete=True)
        spent = effort.candidates + (0 if request.inventory is None else len(request.inventory.devices))
        self.left -= spent
        if thorough:
            self.thorough_left -= spent
        found = (
            plan
            if plan is not None and decision.feasible
            else replace(effort, complete=thorough or effort.complete)
        )
        self.decided[tuple(sorted(choice.items()))] = found
        return found

    # --- single changes -----------------------------------------------------------------------------------

    def single(self, known: Collection[str]) -> dict[int, Remedied]:
        """Return, for each change, the first value that makes a plan feasible."""
        found: dict[int, Remedied] = {}
        for number, tried in enumerate(self.tries):
            if tried.change in known or (known and tried.change in LIMITS):
                continue
            position = self.first(number, {})
            if position is not None and (plan := self.whole({number: position})) is not None:
                change = _change(tried, tried.values[position], plan)
                found[number] = Remedied(
                    *(change.id, change.change, change.value, plan.strategy, change.asked, change.text),
                    speed=Speed.of(plan),
                )
        return found

    def first(self, number: int, others: Choice) -> int | None:
        """Return the position of the first value that makes a plan feasible beside other changes."""
        values = self.tries[number].values
        return first(
            len(values),
            lambda position: self.plan({**others, number: position}) is not None,
            growing=not self.named(number),
        )

    def named(self, number: int) -> bool:
        """Return True for changes to a name, of which a later one may not help where an earlier one does."""
        return isinstance(self.tries[number].values[0], str)

    # --- what conflicts -----------------------------------------------------------------------------------

    def stuck(self, numbers: Iterable[int]) -> bool:
        """Return True if no plan is feasible even if these demands are loosened as far as possible."""
        return all(map(self.impossible, self.loosened(numbers)))

    def loosened(self, numbers: Iterable[int]) -> Iterator[Choice]:
        """Yield the ways to loosen demands as far as possible; names leave several."""
        for way in product(*map(self.loosest, numbers)):
            yield {number: position for number, position in way if position is not None}

    def loosest(self, number: int) -> list[tuple[int, int | None]]:
        """Return the largest change; of names all of them and none, the last first."""
        last = len(self.tries[number].values) - 1
        if not self.named(number):
            return [(number, last)]
        return [*((number, position) for position in range(last, -1, -1)), (number, None)]

    def conflict(self, helpful: set[int]) -> tuple[int, ...]:
        """Return the smallest set of demands that cannot all be met; empty if none is to blame.

        Even all of them loosened is too little then. A change that helps by itself belongs to every such set.

        Args:
            helpful: the changes that help by themselves.
        """
        every = range(len(self.tries))
        others = [number for number in every if number not in helpful]
        if helpful and self.stuck(others):
            return tuple(sorted(helpful))
        if not helpful and self.stuck(every):
            return ()
        loose: list[int] = []
        for number in others:
            if self.stuck([*loose, number]):
                loose.append(number)
        kept = [number for number in every if number not in loose]
        for size in range(len(helpful) + 1, len(kept)):
            for added in combinations(others, size - len(helpful)):
                small = sorted({*helpful, *added})
                if self.stuck([number for number in every if number not in small]):
                    return tuple(small)
        return tuple(kept)

    # --- pairs --------------------------------------------------------------------------------------------

    def pairs(self, conflict: set[int]) -> Iterator[Combination]:
        """Yield pairs of changes that make a plan feasible, the cheapest first; neither value can be smaller.

        The dearer change of a pair counts first. A pair without any of what conflicts cannot help.
        """
        for dearer in range(1, len(self.tries)):
            for cheaper in range(dearer):
                if not conflict.isdisjoint({dearer, cheaper}):
                    pair = self.smallest(cheaper, dearer)
                    if pair is not None:
                        yield pair

    def smallest(self, cheaper: int, dearer: int) -> Combination | None:
        """Return the pair with the smallest values that help, the dearer change's first; None if none do."""
        if all(self.plan(choice) is None for choice in self.loosened([cheaper, dearer])):
            return None

        def helps(position: int) -> bool:
            return any(
                self.plan({dearer: position, **({} if other is None else {number: other})}) is not None
                for number, other in self.loosest(cheaper)
            )

        position = first(len(self.tries[dearer].values), helps, growing=not self.named(dearer))
        assert position is not None
        other = self.first(cheaper, {dearer: position})
        assert other is not None
        plan = self.whole({cheaper: other, dearer: position})
        assert plan is not None
        made = ((cheaper, other), (dearer, position))
        changes = tuple(_change(self.tries[n], self.tries[n].values[value], plan) for n, value in made)
        return Combination(changes, plan.strategy, Speed.of(plan))


def first(count: int, helps: Callable[[int], bool], *, growing: bool) -> int | None:
    """Return the first position that helps.

    Args:
        count: the number of positions.
        helps: whether a position helps.
        growing: a position helps where an earlier one does, so not all are tried.
    """
    if not growing:
        return next(filter(helps, range(count)), None)
    low, step = 0, 1  # nothing before `low` helps
    while low < count:
        position = min(low + step, count) - 1
        if helps(position):
            while low < position:
                middle = (low + position) // 2
                low, position = (low, middle) if helps(middle) else (middle + 1, position)
            return position
        low, step = position + 1, step * 2
    return None


def compared(
    remedies: Sequence[Remedied], pairs: Sequence[Combination]
) -> tuple[list[Remedied], list[Combination]]:
    """Return remedies with their throughput as a share of the highest one among them."""
    speeds: list[Speed | None] = [*(each.speed for each in remedies), *(each.speed for each in pairs)]
    best = max((speed.throughput_tokens_per_sec or 0.0 for speed in speeds if speed is not None), default=0.0)

    def shared(speed: Speed | None) -> Speed | None:
        if speed is None or speed.throughput_tokens_per_sec is None or not best:
            return speed
        return replace(speed, share=speed.throughput_tokens_per_sec / best)

    return (
        [replace(each, speed=shared(each.speed)) for each in remedies],
        [replace(each, speed=shared(each.speed)) for each in pairs],
    )


def _change(tried: Try, value: Json, plan: Plan) -> Change:
    """Return a change with the value that makes a plan feasible; without a limit, one that the plan meets."""
    if tried.change in LIMITS:
        value = _met(tried.change, plan)
    return Change(tried.id, tried.change, value, tried.asked, _described(tried, tried.text, value))


def _met(change: str, plan: Plan) -> float | None:
    """Return the nearest round value of a goal that a plan meets."""
    name = change.partition(".")[2]
    if name == RATE:
        rate = None if plan.estimates is None else plan.estimates.requests_per_sec
        return None if not rate else rounded_down(rate)
    time = goal_times(plan.estimates)[name]
    return None if not time else rounded_up(time)


def _asked(tried: Try) -> Change:
    """Return what the request has, as one of the demands that conflict; without words if it states none."""
    if tried.asked is None and tried.change not in LIMITS:
        return Change(tried.id, tried.change, None)  # none is stated
    text = _described(tried, tried.asked_text or tried.text, tried.asked)
    return Change(tried.id, tried.change, tried.asked, None, text)


def _described(tried: Try, text: str, value: Json) -> str:
    """Return a policy's text with the values in their places."""
    is_size = tried.change.endswith("_bytes")
    described = text.replace("{value}", _shown(value, is_size)).replace(
        "{asked}", _shown(tried.asked, is_size)
    )
    if type(value) is not int or value != 1:
        return described
    noun, on, where = described.partition(" on ")
    return noun.removesuffix("s") + on + where


def _shown(value: Json, is_size: bool) -> str:
    if value is None or isinstance(value, bool):
        return ""
    if isinstance(value, int):
        return format_bytes(value) if is_size else f"{value:,}"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
