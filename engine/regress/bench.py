"""Measure a policy on this machine: compilation, decisions and single expressions."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

from engine.base.errors import EngineError
from engine.base.records import record
from engine.cel import syntax as ast
from engine.cel.budget import Budget
from engine.cel.celtypes import ObjectType
from engine.cel.checker import Checked
from engine.cel.runtimes.compiled import CompiledRuntime
from engine.cel.runtimes.protocol import Native, Program, Scope
from engine.decide.interpreter import Evaluator
from engine.decide.policy import Policy, load_policy
from engine.decide.request import Request
from engine.policy.compiled import uses

_ROUNDS = 5


@record
class Cost:
    """Evaluations of one expression, and their total time in seconds without nested expressions."""

    name: str
    place: str
    count: int
    seconds: float


@record
class MatchCost:
    """Decisions that chose a match, and the time in seconds of its expressions in all decisions."""

    id: str
    chosen: int
    seconds: float


@record
class Bench:
    """Measurements in seconds; a decision counts with its best of several rounds."""

    policy: str
    requests: int
    compile: float
    decide_p50: float
    decide_p99: float
    matches: tuple[MatchCost, ...]
    costs: tuple[Cost, ...]

    def to_dict(self) -> dict[str, object]:
        """Return the JSON form, with times in microseconds."""
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


def measure(
    reference: str,
    policies: Sequence[str],
    requests: Sequence[Request],
    constants: Mapping[str, object] | None = None,
) -> Bench:
    """Measure a policy on requests.

    Args:
        reference: the policy.
        policies: policy folders, searched before the shipped policies.
        requests: the requests to decide.
        constants: other values of the policy's constants (`--set`).

    Raises:
        EngineError: the policy is invalid, or a request cannot be decided.
    """
    start = time.perf_counter()
    policy = load_policy(reference, policies, constants=constants, use_cache=False)
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


def _timed(function: Callable[[Request], object], request: Request) -> float:
    start = time.perf_counter()
    function(request)
    return time.perf_counter() - start


def _profile(policy: Policy, requests: Sequence[Request]) -> tuple[tuple[MatchCost, ...], tuple[Cost, ...]]:
    """Return the time per match, in file order, and per expression, slowest first.

    Times are exclusive, measured on the compiled runtime: a variable does not count for its readers.
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
            evaluator.decide(request)
        except EngineError:
            continue
    costs: list[Cost] = []
    matches: dict[str, float] = {}
    for use in uses(compiled):
        spent = clock.spent.get(use.expression.checked.root, _NOTHING)
        if spent.count:
            costs.append(Cost(use.name, str(use.expression.place()), spent.count, spent.seconds))
        if use.match is not None:
            matches[use.match.id] = matches.get(use.match.id, 0.0) + spent.seconds
    return (
        tuple(MatchCost(match, chosen_ids.count(match), seconds) for match, seconds in matches.items()),
        tuple(sorted(costs, key=lambda cost: -cost.seconds)),
    )


@record(frozen=False)
class _Spent:
    """How often an expression was evaluated, and its exclusive time."""

    count: int = 0
    seconds: float = 0.0


_NOTHING = _Spent()


class _Clock(CompiledRuntime):
    """Compiled runtime that measures the exclusive time of every expression."""

    def __init__(self, objects: Mapping[str, ObjectType]) -> None:
        super().__init__(objects)
        self.spent: dict[ast.Node, _Spent] = {}
        self.open: list[float] = []

    def compile(self, checked: Checked) -> Program:
        return _Timed(super().compile(checked), self, checked.root)


class _Timed:
    def __init__(self, program: Program, clock: _Clock, node: ast.Node) -> None:
        self.program = program
        self.clock = clock
        self.node = node

    def evaluate(self, scope: Scope, budget: Budget) -> Native:
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
            spent = clock.spent.setdefault(self.node, _Spent())
            spent.count += 1
            spent.seconds += took - inner
