"""What a policy costs on this machine: to compile, to decide, and by expression."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from engine.cel.checker import Checked
from engine.cel.compiled_runtime import CompiledRuntime
from engine.cel.runtime import Program
from engine.decide import Policy, load_policy
from engine.errors import EngineError
from engine.evaluate import Evaluator
from engine.policy.compiled import uses
from engine.records import record
from engine.request import Request

_ROUNDS = 5


@record
class Cost:
    """One expression: how often it was evaluated, and seconds that it took without what it reads."""

    name: str
    place: str
    count: int
    seconds: float


@record
class MatchCost:
    """One match: how often it was chosen, and seconds that its own expressions took, chosen or not."""

    id: str
    chosen: int
    seconds: float


@record
class Bench:
    """What was measured; times in seconds, each decision's the best of some rounds."""

    policy: str
    requests: int
    compile: float
    decide_p50: float
    decide_p99: float
    matches: tuple[MatchCost, ...]
    costs: tuple[Cost, ...]

    def to_dict(self) -> dict[str, Any]:
        """As programs read it, times in microseconds."""
        return {
            "policy": self.policy,
            "requests": self.requests,
            "compile_us": self.compile * 1e6,
            "decide_us": {"p50": self.decide_p50 * 1e6, "p99": self.decide_p99 * 1e6},
            "matches": [
                {
                    "id": match.id,
                    "chosen": match.chosen,
                    "us_per_decision": match.seconds * 1e6 / self.requests,
                }
                for match in self.matches
            ],
            "expressions": [
                {
                    "name": cost.name,
                    "place": cost.place,
                    "count": cost.count,
                    "us_per_decision": cost.seconds * 1e6 / self.requests,
                }
                for cost in self.costs
            ],
        }


def measure(reference: str, policies: Sequence[str], requests: Sequence[Request]) -> Bench:
    """Measure a policy on some requests.

    Raises:
        EngineError: the policy is faulty, or a request can't be decided.
    """
    start = time.perf_counter()
    policy = load_policy(reference, policies, use_cache=False)
    policy.prepare()
    compile_ = time.perf_counter() - start
    times = sorted(min(_timed(policy.decide, request) for _ in range(_ROUNDS)) for request in requests)
    return Bench(
        f"{policy.name}@{policy.version}",
        len(requests),
        compile_,
        times[len(times) // 2],
        times[min(len(times) - 1, len(times) * 99 // 100)],
        *_profile(policy, requests),
    )


def _timed(function: Callable[[Request], Any], request: Request) -> float:
    start = time.perf_counter()
    function(request)
    return time.perf_counter() - start


def _profile(policy: Policy, requests: Sequence[Request]) -> tuple[tuple[MatchCost, ...], tuple[Cost, ...]]:
    """The time of each match, in their order, and of each expression, dearest first.

    It is their own time, as the compiled runtime takes for them one by one: what a variable takes is its own.
    """
    compiled = policy.compiled
    clock = _Clock(compiled.objects)
    evaluator = Evaluator(compiled, clock)
    chosen_ids: list[str | None] = []
    for request in requests:
        chosen = policy.decide(request)
        chosen_ids.append(chosen.match_id)
        for name, decision in chosen.auto.items():
            request = request.with_inputs(**{name: decision.output})
        try:
            evaluator.decide(request, explain=False)
        except EngineError:
            continue
    costs: list[Cost] = []
    matches: dict[str, float] = {}
    for use in uses(compiled):
        count, seconds = clock.spent.get(use.expression.checked.root, (0, 0.0))
        if count:
            costs.append(Cost(use.name, str(use.expression.place()), count, seconds))
        if use.match is not None:
            matches[use.match.id] = matches.get(use.match.id, 0.0) + seconds
    return (
        tuple(MatchCost(match, chosen_ids.count(match), seconds) for match, seconds in matches.items()),
        tuple(sorted(costs, key=lambda cost: -cost.seconds)),
    )


class _Clock(CompiledRuntime):
    """The compiled runtime with a clock on every expression, which stops while another one is evaluated."""

    def __init__(self, objects: Any) -> None:
        super().__init__(objects)
        self.spent: dict[Any, list[Any]] = {}
        self.open: list[float] = []

    def compile(self, checked: Checked) -> Program:
        return _Timed(super().compile(checked), self, checked.root)


class _Timed:
    def __init__(self, program: Program, clock: _Clock, key: Any) -> None:
        self.program = program
        self.clock = clock
        self.key = key

    def evaluate(self, scope: Any, budget: Any) -> Any:
        clock = self.clock
        start = time.perf_counter()
        clock.open.append(0.0)
        try:
            return self.program.evaluate(scope, budget)
        finally:
            took = time.perf_counter() - start
            inner = clock.open.pop()
            if clock.open:
                clock.open[-1] += took
            entry = clock.spent.setdefault(self.key, [0, 0.0])
            entry[0] += 1
            entry[1] += took - inner
