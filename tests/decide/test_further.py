"""Further groups: which devices get plans of their own, how groups share requests, laws for all of them."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest

import engine
from engine.cel.runtimes.registry import RUNTIMES
from engine.decide.further import with_further
from engine.decide.sharing import SharedLoad, divide
from engine.plan import Plan

POLICY = engine.load_policy("sharding@3")
MIXED = "4xA100-SXM-80GB+4xL40S"
PAIR = "1xA100-SXM-80GB+1xL40S"


def decide(inventory: str = MIXED, model: str = "llama-3.1-8b", **asked: Any) -> engine.Decision:
    return engine.decide(inventory=inventory, model=model, quantization="fp8", policy=POLICY, **asked)


def plan_of(decision: engine.Decision) -> Plan:
    assert decision.plan is not None
    return decision.plan


def used(plan: Plan) -> list[int | None]:
    return [shard.device.index for group in plan.groups for shard in group.shards]


def rate(plan: Plan) -> float:
    assert plan.estimates is not None
    assert plan.estimates.requests_per_sec is not None
    return plan.estimates.requests_per_sec


def idle(plan: Plan) -> int:
    return sum(len(each.devices) for each in plan.idle)


CASES = [
    pytest.param(inventory, model, asked, id=f"{inventory} {model} {number}")
    for (inventory, model), (number, asked) in itertools.product(
        [
            (MIXED, "llama-3.1-8b"),
            (MIXED, "llama-3.1-70b"),
            ("2xRTX-4090+1xRTX-3090+1xL4", "llama-3.1-8b"),
            ("2xH100-SXM+1xMI300X", "qwen3-32b"),
        ],
        enumerate(
            [{"concurrency": 96}, {"concurrency": 7, "objective": "throughput"}, {"slo": "tpot=60ms,ttft=4s"}]
        ),
    )
]


@pytest.mark.slow
@pytest.mark.parametrize(("inventory", "model", "asked"), CASES)
def test_laws_of_groups(inventory: str, model: str, asked: dict[str, Any]) -> None:
    decision = decide(inventory, model, **asked)
    plan = plan_of(decision)
    indices = used(plan)
    assert len(indices) == len(set(indices))
    assert decision.request is not None
    assert decision.request.inventory is not None
    assert len(indices) + idle(plan) == len(decision.request.inventory.devices)
    pinned = {"tp": "tensor_parallel", "pp": "pipeline_parallel", "dp": "data_parallel"}
    alone = decide(
        inventory,
        model,
        **asked,
        pin=",".join(f"{short}={getattr(plan.strategy, name)}" for short, name in pinned.items()),
    )
    assert plan_of(alone).further == ()
    if plan.fleet is None:
        assert plan.further == ()
        return
    assert plan.fleet.requests_per_sec >= rate(plan_of(alone)) * (1 - 1e-9)
    assert math.isclose(sum(load.share for load in plan.fleet.groups), 1.0)
    rates = [load.requests_per_sec for load in plan.fleet.groups]
    for load, group in zip(plan.fleet.groups[1:], plan.further, strict=True):
        assert load.requests_per_sec == rate(group)
        assert math.isclose(load.share, rate(group) / math.fsum(rates))
        assert group.estimates is not None
        assert group.estimates.goal_time_per_output_token_ms is not None
        assert group.estimates.goal_time_to_first_token_ms is not None
        if "slo" in asked:
            assert group.estimates.goal_time_per_output_token_ms <= 60.0
            assert group.estimates.goal_time_to_first_token_ms <= 4000.0
    if "concurrency" in asked:
        assert plan.fleet.concurrency == asked["concurrency"]


def test_a_group_is_feasible_by_itself_at_its_part() -> None:
    plan = plan_of(decide(concurrency=256))
    (further,), fleet = plan.further, plan.fleet
    assert fleet is not None
    alone = plan_of(decide("4xL40S", concurrency=fleet.groups[1].concurrency, pin="tp=1,dp=4"))
    assert alone.estimates == further.estimates
    first = plan_of(decide("4xA100-SXM-80GB", concurrency=fleet.groups[0].concurrency, pin="tp=1,dp=4"))
    assert rate(first) == fleet.groups[0].requests_per_sec


@pytest.mark.slow
def test_no_other_division_of_the_requests_serves_more() -> None:
    """All divisions of 30 requests over both devices, each planned by itself."""
    plan = plan_of(decide(PAIR, concurrency=30))
    assert plan.fleet is not None
    first, other = (
        [0.0, *(rate(plan_of(decide(device, concurrency=count, pin="tp=1"))) for count in range(1, 31))]
        for device in ("1xA100-SXM-80GB", "1xL40S")
    )
    best = max(first[30 - count] + other[count] for count in range(31))
    assert plan.fleet.requests_per_sec >= best * 0.999


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        ({"concurrency": 1}, "one request at a time uses one group of devices"),
        ({}, "one request at a time uses one group of devices"),
        ({"concurrency": 64, "objective": "latency", "pin": "tp=4"}, "the degrees are pinned"),
        ({"concurrency": 64, "objective": "economy"}, "the objective economy uses no more than needed"),
        ({"concurrency": 2}, "at concurrency 2, they would not add to the throughput"),
        ({"rate": "1/s"}, "the rate of 1.000 requests/s is served without them"),
    ],
)
def test_one_group_serves_all(asked: dict[str, Any], reason: str) -> None:
    plan = plan_of(decide(**asked))
    assert plan.further == ()
    assert plan.fleet is None
    assert reason in {each.reason for each in plan.idle}


def test_devices_of_one_kind_are_one_group() -> None:
    for inventory in ("3xH100-SXM", "8xH100-SXM", "8xL40S"):
        plan = plan_of(decide(inventory, "llama-3.1-70b", concurrency=64))
        assert plan.leftover is None
        assert plan.further == ()
        assert "further" not in plan.to_dict()


def test_a_rate_that_only_all_groups_serve() -> None:
    decision = decide(PAIR, rate="9/s")
    plan = plan_of(decision)
    assert plan.fleet is not None
    assert rate(plan) < 9.0 <= plan.fleet.requests_per_sec
    assert len(plan.further) == 1
    assert decision.feasible
    assert decision.request is not None
    assert decision.request.inputs["serving"]["request_rate"] == 9.0  # type: ignore[index]


@pytest.mark.slow
def test_a_rate_beyond_all_groups_names_the_highest_one() -> None:
    decision = decide(PAIR, rate="12/s")
    assert decision.plan is None
    change = next(each for each in decision.remedies if each.change == "serving.request_rate")
    assert isinstance(change.value, float)
    plan = plan_of(decide(PAIR, rate=change.value))
    assert plan.fleet is not None
    assert plan.fleet.requests_per_sec >= change.value
    assert len(plan.further) == 1
    together = plan.fleet.throughput_tokens_per_sec
    assert change.speed is not None
    assert change.speed.throughput_tokens_per_sec == pytest.approx(together, rel=0.01)


def test_equal_groups_replace_a_pipeline_over_unequal_devices() -> None:
    asked: dict[str, Any] = {"objective": "throughput", "slo": "tpot=30ms"}
    plan = plan_of(decide(PAIR, **asked))
    assert [len({shard.device.name for shard in group.shards}) for group in plan.groups] == [1, 1]
    mixed = plan_of(decide(PAIR, **asked, pin="pp=2"))
    assert len({shard.device.name for shard in mixed.shards}) == 2
    assert plan.fleet is not None
    assert plan.fleet.requests_per_sec > rate(mixed)


def test_equal_groups_that_serve_a_rate_replace_a_pipeline_over_unequal_devices() -> None:
    """Four A100 serve fewer than 30 requests/s, and a pipeline over all eight devices serves them."""
    found = engine.decide(
        inventory="4xA100-SXM-80GB+4xL40S",
        model="llama-3.1-8b",
        quantization="fp8",
        context=8192,
        rate="30/s",
    )
    plan = found.plan
    assert plan is not None
    assert plan.fleet is not None
    assert plan.fleet.requests_per_sec >= 30.0
    groups = [{shard.device.name for shard in each.shards} for each in (plan, *plan.further)]
    assert groups == [{"A100-SXM-80GB"}, {"L40S"}]


def test_devices_that_fit_nothing_stay_idle_with_the_refusal() -> None:
    plan = plan_of(decide(f"{MIXED}+1xRTX-3090", "llama-3.1-70b", concurrency=64))
    assert len(plan.further) == 1
    (left,) = plan.idle
    assert left.devices == ((None, 8),)
    assert left.total == 9
    assert "GiB per device" in left.reason


@pytest.mark.slow
def test_chosen_inputs_and_traces_are_those_of_the_decision() -> None:
    decision = engine.decide(
        inventory=PAIR,
        model="llama-3.1-8b",
        quantization="auto",
        policy=POLICY,
        concurrency=128,
        explain=True,
    )
    assert decision.auto
    assert decision.trace is not None
    assert plan_of(decision).further
    assert decision.to_dict()["plan"]["further"][0]["explanation"]  # type: ignore[index]


@pytest.mark.slow
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_runtimes_make_the_same_groups(runtime: str) -> None:
    asked: dict[str, Any] = {"inventory": PAIR, "concurrency": 64}
    expected = plan_of(decide(**asked)).to_dict()
    assert "further" in expected
    assert plan_of(decide(**asked, runtime=runtime)).to_dict() == expected


def test_weights_of_further_groups_are_on_devices_only() -> None:
    plan = plan_of(decide("1xH100-SXM+1xRTX-4090", "qwen3-32b", concurrency=32, host_memory="256GiB"))
    assert plan.further == ()
    assert idle(plan) == 1


class _Line:
    """A decision function: a request takes `fixed + each * concurrency` seconds."""

    def __init__(self, fixed: float, each: float) -> None:
        self.fixed, self.each = fixed, each

    def rate(self, count: int) -> float:
        return count / (self.fixed + self.each * count)


@pytest.mark.parametrize("total", [2, 5, 33, 100, 257])
@pytest.mark.parametrize("lines", [((1.0, 0.1), (2.0, 0.1)), ((1.0, 0.02), (3.0, 0.5)), ((1.0, 0.1),) * 3])
def test_division_is_the_best(lines: tuple[tuple[float, float], ...], total: int) -> None:
    """Compared with the greedy division, which is the best one of concave rates."""
    loads = []
    for fixed, each in lines:
        line = _Line(fixed, each)
        load = SharedLoad.__new__(SharedLoad)
        load.most = total
        load.known = sorted({1, *(4**n for n in range(5) if 4**n < total), total})
        load.times = [count / line.rate(count) for count in load.known]
        loads.append(load)
    counts = divide(loads, total)
    assert sum(counts) == total
    served = [_Line(*line).rate for line in lines]
    greedy = [0] * len(lines)
    for _ in range(total):
        gains = [rate_(n + 1) - rate_(n) for rate_, n in zip(served, greedy, strict=True)]
        greedy[gains.index(max(gains))] += 1
    best, found = (
        math.fsum(rate_(n) for rate_, n in zip(served, each, strict=True)) for each in (greedy, counts)
    )
    assert math.isclose(found, best, rel_tol=1e-9)


def test_a_plan_without_leftover_is_returned_as_it_is() -> None:
    decision = decide("4xL40S", concurrency=64)

    def refuse(request: engine.Request) -> engine.Decision:
        raise AssertionError(request)

    assert with_further(decision, refuse) is decision
