"""How groups share concurrent requests: so that all of them together serve the most.

The throughput of a layout grows with its concurrency, by less and less. The most requests are served where
one request more would add as much in every group; by Little's law, they take the least time on average there.
A group that adds less than the others lose gets none.

Each layout is decided at a few concurrencies. Between these, the time that a request takes is interpolated
linearly, which the passes of a server with a batch are close to.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from engine.decide.changes import with_serving
from engine.decide.goals import CONCURRENCY, largest

if TYPE_CHECKING:
    from engine.decide.decision import Decision
    from engine.decide.request import Request
    from engine.plan.plan import Plan

_DEGREES = ("tensor_parallel", "pipeline_parallel", "data_parallel", "expert_parallel")
_SPREAD = 4
"""Each concurrency that is decided is so many times the one before it."""
_BISECTIONS = 60
"""Bisections of what a request adds; the last ones differ by rounding only."""


class SharedLoad:
    """A layout at any concurrency up to a largest one; each is decided once.

    Args:
        decision: the decision that chose the layout.
        most: the largest concurrency of interest.
        decide: decides a request, without remedies and further groups.
    """

    def __init__(self, decision: Decision, most: int, decide: Callable[[Request], Decision]) -> None:
        assert decision.plan is not None
        assert decision.request is not None
        self.plan: Plan = decision.plan
        self.decide = decide
        strategy = self.plan.strategy
        pin = {name: degree for name in _DEGREES if (degree := getattr(strategy, name)) is not None}
        self.request = decision.request.with_inputs(pin=pin)
        self.decisions: dict[int, Decision] = {}
        self.most = most if self.serves(most) else largest(most, self.serves)
        """The largest concurrency that the layout serves."""
        count = 1
        while count < self.most:
            self.at(count)
            count *= _SPREAD
        self.known = sorted(count for count in self.decisions if count <= self.most and self.serves(count))
        """The concurrencies that were decided."""
        self.times = [count / rate_of(self.at(count).plan) for count in self.known]
        """Seconds that a request takes at each of them."""

    def at(self, count: int) -> Decision:
        """Return the decision at a concurrency."""
        if count not in self.decisions:
            self.decisions[count] = self.decide(with_serving(self.request, CONCURRENCY, count))
        return self.decisions[count]

    def serves(self, count: int) -> bool:
        """Return True if the layout is feasible at a concurrency.

        Pinned degrees leave open how data-parallel ranks share experts; in another way, it is another layout.
        """
        plan = self.at(count).plan
        return plan is not None and plan.strategy == self.plan.strategy and rate_of(plan) > 0.0

    def rate(self, count: int) -> float:
        """Return the requests per second at a concurrency, interpolated; 0 beyond the largest one."""
        if not 0 < count <= self.most:
            return 0.0
        place = bisect_left(self.known, count)
        if self.known[place] == count or place == 0:
            return count / self.times[place]
        (low, high), (fast, slow) = self.known[place - 1 : place + 1], self.times[place - 1 : place + 1]
        return count / (fast + (slow - fast) * (count - low) / (high - low))

    def wanted(self, least: float) -> int:
        """Return the largest concurrency at which one request more still adds that rate (requests/s)."""
        good, bad = 0, self.most + 1
        while bad - good > 1:
            middle = (good + bad) // 2
            if self.rate(middle) - self.rate(middle - 1) >= least:
                good = middle
            else:
                bad = middle
        return good


def divide(loads: Sequence[SharedLoad], total: int) -> list[int]:
    """Return the concurrency of each layout, of which the first serves the whole alone, too."""
    low, high = 0.0, 2.0 * max(load.rate(1) for load in loads) + 1.0
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2.0
        if sum(load.wanted(middle) for load in loads) > total:
            low = middle
        else:
            high = middle
    counts = [load.wanted(high) for load in loads]
    # At `low`, they want more than there is: the rest goes to those that make the difference.
    for number, load in reversed(list(enumerate(loads))):
        counts[number] += min(total - sum(counts), max(0, load.wanted(low) - counts[number]))
    counts[0] += total - sum(counts)
    return counts


def rate_of(plan: Plan | None) -> float:
    """Return the estimated requests per second of a plan; 0 if there are none."""
    return 0.0 if plan is None or plan.estimates is None else plan.estimates.requests_per_sec or 0.0
