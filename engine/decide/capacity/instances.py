"""What one instance of each layout carries: surveys at growing concurrency, and the border in between.

An instance serves requests by itself (engine.plan.search.survey), so that its rate and latency hold for any
number of them. Each concurrency is surveyed once.
"""

from __future__ import annotations

from engine.base.errors import RequestError
from engine.base.records import record
from engine.decide import goals
from engine.decide.changes import with_serving
from engine.decide.policy import Policy
from engine.decide.request import Request
from engine.plan.plan import Strategy
from engine.plan.search.survey import Layout, Survey

Key = tuple[int, int, int, int]
_DEGREES = ("tensor_parallel", "pipeline_parallel", "data_parallel", "expert_parallel")
_EMPTY = Survey(())


@record
class Carried:
    """The most that one instance of a layout carries within the limits."""

    concurrency: int
    """Requests in flight, the most within the limits."""
    layout: Layout
    """The layout, with its estimates at that concurrency."""

    @property
    def rate(self) -> float:
        """Requests per second."""
        return self.layout.estimates.requests_per_sec or 0.0


class Instances:
    """The layouts of one instance on the devices of one request.

    Args:
        policy: the policy that decides.
        request: the request, with limits; its rate and concurrency are left out.
    """

    def __init__(self, policy: Policy, request: Request) -> None:
        self.policy = policy
        for name in (goals.RATE, goals.CONCURRENCY):
            if goals.serving_of(request).get(name) is not None:
                request = with_serving(request, name, None)
        self.request, _ = policy.prepared(request)
        self._surveys: dict[tuple[int, Key | None], Survey] = {}

    def at(self, concurrency: int, key: Key | None = None) -> Survey:
        """Return the feasible layouts of an instance that serves so many requests.

        Args:
            concurrency: requests in flight.
            key: the degrees of the only layout to look at; all if omitted.

        Raises:
            RequestError: the policy does not search for a layout, or the request is invalid.
        """
        known = self._surveys.get((concurrency, None))
        if known is not None and (key is None or known.find(key) is not None):
            return known
        if (concurrency, key) not in self._surveys:
            request = with_serving(self.request, goals.CONCURRENCY, concurrency)
            if key is not None:
                request = request.with_inputs(pin=dict(zip(_DEGREES, key, strict=True)))
            survey = self.policy.survey(request)
            if survey is None:
                raise RequestError(
                    f"policy {self.policy.name}@{self.policy.version} compares no layouts for this request",
                    hint="use a policy that does: --policy sharding@3",
                )
            self._surveys[concurrency, key] = survey
        return self._surveys[concurrency, key]

    def layout(self, concurrency: int, key: Key) -> Layout | None:
        """Return a layout with its estimates at a concurrency; None if it is infeasible."""
        return self.at(concurrency, key).find(key)

    def without_limits(self) -> Survey:
        """Return the feasible layouts of an instance that serves one request, whatever its latency."""
        request = with_serving(self.request, goals.CONCURRENCY, 1)
        for name in goals.LIMITS:
            request = with_serving(request, name, None)
        return self.policy.survey(request) or _EMPTY

    def brackets(self) -> dict[Key, tuple[int, int]]:
        """Return for each layout a power of two within the limits, and the next one, which is not."""
        brackets: dict[Key, tuple[int, int]] = {}
        concurrency = 1
        while concurrency <= goals.MOST_CONCURRENCY:
            layouts = self.at(concurrency).layouts
            if not layouts:
                break
            for layout in layouts:
                brackets[layout.key] = (concurrency, concurrency * 2)
            concurrency *= 2
        return brackets

    def carried(self, key: Key, bracket: tuple[int, int]) -> Carried:
        """Return the most that a layout carries, exactly, between the ends of a bracket."""
        low, high = bracket
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self.layout(middle, key) is not None else (low, middle)
        layout = self.layout(low, key)
        assert layout is not None
        return Carried(low, layout)

    def serving(self, carried: Carried, rate: float) -> Carried:
        """Return the layout at the smallest concurrency that serves a rate that it can carry."""
        key = carried.layout.key

        def serves(concurrency: int) -> bool:
            layout = self.layout(concurrency, key)
            return layout is not None and (layout.estimates.requests_per_sec or 0.0) >= rate

        concurrency = goals.smallest(0, carried.concurrency, serves)
        layout = self.layout(concurrency, key)
        assert layout is not None
        return Carried(concurrency, layout)

    def beyond(self, carried: Carried) -> Survey:
        """Return the survey of a layout at one request more than it carries: its refusal says why."""
        return self.at(carried.concurrency + 1, carried.layout.key)


def strategy_words(strategy: Strategy, instances: int = 1) -> str:
    """Return degrees in short: `TP 4 · DP 2`; instances are data parallel."""
    attention = strategy.attention_data_parallel or 1
    degrees = {
        "TP": strategy.tensor_parallel,
        "PP": strategy.pipeline_parallel,
        "DP attention": attention,
        "DP": strategy.data_parallel // attention * instances,
        "EP": strategy.expert_parallel or 1,
    }
    return " · ".join(f"{name} {degree}" for name, degree in degrees.items() if degree > 1) or "TP 1"
