"""Serving goals: what texts mean, which concurrency is found, and what is nearest if nothing meets them."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

import engine
from engine.decide.goals import (
    largest,
    nearest,
    parse_rate,
    parse_slo,
    rounded_down,
    rounded_up,
    serving_of,
    smallest,
)

H100: dict[str, Any] = {"inventory": "8xH100-SXM", "model": "llama-3.1-70b", "quantization": "fp8"}
L40S: dict[str, Any] = {"inventory": "4xL40S", "model": "llama-3.1-8b", "quantization": "bf16"}


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("ttft=1s", {"max_ttft_ms": 1000.0}),
        ("ttft=1.5s,tpot=40ms", {"max_ttft_ms": 1500.0, "max_tpot_ms": 40.0}),
        (" TTFT = 2 s , itl=500us,P99", {"max_ttft_ms": 2000.0, "max_tpot_ms": 0.5, "percentile": 99}),
    ],
)
def test_slo_with_units_is_fields_in_milliseconds(text: str, fields: dict[str, object]) -> None:
    assert parse_slo(text) == fields


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "expected goals such as"),
        ("ttft", "expected goals such as"),
        ("ttft=10", "write it with its unit"),
        ("ttft=0s", "more than zero"),
        ("ttft=-1s", "not a time"),
        ("ttft=1parsec", "not a time"),
        ("tftt=1s", "did you mean 'ttft'"),
        ("ttft=1s,ttft=2s", "repeats a goal"),
        ("ttft=1s,p42", "not a percentile that is estimated"),
        ("p99", "a percentile needs a limit"),
    ],
)
def test_slo_that_means_nothing_is_refused(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse_slo(text)


@pytest.mark.parametrize(
    ("text", "rate"), [("20/s", 20.0), ("1200/min", 20.0), ("1.5 / s", 1.5), ("7200/h", 2.0)]
)
def test_rate_is_requests_per_second(text: str, rate: float) -> None:
    assert parse_rate(text) == rate


@pytest.mark.parametrize("text", ["0/s", "20", "-1/s", "20/fortnight", "", "inf/s"])
def test_rate_without_unit_or_of_zero_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="rate"):
        parse_rate(text)


@pytest.mark.parametrize("border", [0, 1, 2, 3, 7, 8, 9, 1000])
def test_bisection_finds_the_border(border: int) -> None:
    assert largest(1000, lambda count: count <= border) == border
    if border:
        assert smallest(0, 2000, lambda count: count >= border) == border


@pytest.mark.slow
def test_concurrency_left_open_is_the_largest_within_the_limits() -> None:
    decision = engine.decide(**H100, slo="ttft=1s,tpot=40ms")
    assert decision.found is not None
    assert decision.found.found == "largest_within_limits"
    limits = {"max_ttft_ms": 1000.0, "max_tpot_ms": 40.0}
    count = decision.found.value

    def at(concurrency: int) -> engine.Decision:
        serving = {**limits, "concurrency": concurrency}
        return engine.decide(**H100, request={"serving": serving})

    assert at(count).plan == decision.plan
    assert not at(count + 1).feasible
    assert not at(2 * count).feasible
    assert decision.found.binding in ("first-token-limit", "output-token-limit")
    assert f"at concurrency {count + 1} exceeds" in (decision.found.explanation or "")
    estimates = decision.plan.estimates if decision.plan else None
    assert estimates is not None
    assert (estimates.loaded_time_per_output_token_ms or math.inf) <= 40
    assert (estimates.loaded_time_to_first_token_ms or math.inf) <= 1000
    assert decision.to_dict()["found_concurrency"]["value"] == count


def test_concurrency_of_the_request_is_kept() -> None:
    decision = engine.decide(**H100, slo="tpot=40ms", concurrency=16)
    assert decision.feasible
    assert decision.found is None


@pytest.mark.slow
def test_rate_is_served_by_the_smallest_concurrency() -> None:
    decision = engine.decide(**H100, slo="tpot=40ms", rate="4/s")
    assert decision.found is not None
    count = decision.found.value
    assert decision.plan is not None
    assert decision.plan.estimates is not None
    assert decision.plan.estimates.requests_per_sec is not None
    assert decision.plan.estimates.requests_per_sec >= 4
    best = engine.decide(**H100, objective="latency", concurrency=count - 1)
    assert best.plan is not None
    assert best.plan.estimates is not None
    assert best.plan.estimates.requests_per_sec is not None
    assert best.plan.estimates.requests_per_sec < 4


@pytest.mark.slow
def test_percentile_lowers_the_concurrency() -> None:
    found = [
        engine.decide(**L40S, slo=slo).found
        for slo in ("ttft=1s,tpot=40ms,p50", "ttft=1s,tpot=40ms", "ttft=1s,tpot=40ms,p99")
    ]
    counts = [each.value for each in found if each is not None]
    assert counts == sorted(counts, reverse=True)
    assert counts[-1] < counts[0]


def test_percentile_of_waiting_times_is_that_of_an_exponential_distribution() -> None:
    serving = {"concurrency": 64, "max_ttft_ms": 60_000, "percentile": 99}
    decision = engine.decide(**L40S, request={"serving": serving})
    assert decision.plan is not None
    estimates = decision.plan.estimates
    assert estimates is not None
    alone, loaded = estimates.time_to_first_token_ms, estimates.loaded_time_to_first_token_ms
    assert alone is not None
    assert loaded is not None
    waiting = loaded - alone
    assert estimates.goal_time_to_first_token_ms == pytest.approx(alone - math.log(0.01) * waiting, rel=1e-4)


@pytest.mark.slow
def test_limit_that_nothing_meets_names_the_nearest() -> None:
    decision = engine.decide(**L40S, slo="ttft=10ms,tpot=40ms")
    assert not decision.feasible
    remedy = decision.remedies[0]
    assert (remedy.change, remedy.asked) == ("serving.max_ttft_ms", 10.0)
    assert isinstance(remedy.value, float)
    assert engine.decide(**L40S, slo={"ttft": remedy.value, "tpot": 40}).feasible
    assert not engine.decide(**L40S, slo={"ttft": remedy.value / 1.005, "tpot": 40}).feasible


@pytest.mark.slow
@pytest.mark.parametrize("extreme", [5e-324, 1e308])
def test_limits_at_the_ends_of_a_double(extreme: float) -> None:
    serving = {"max_ttft_ms": extreme, "max_tpot_ms": 1e-9}
    decision = engine.decide(**L40S, request={"serving": serving})
    assert not decision.feasible
    json.dumps(decision.to_dict(), allow_nan=False)


@pytest.mark.parametrize("value", [5e-324, 1e-301, 0.1, 123456.0, 1.7976931348623157e308])
def test_rounding_keeps_a_number_a_positive_double(value: float) -> None:
    assert 0.0 < rounded_down(value) <= value <= rounded_up(value) < math.inf


@pytest.mark.slow
def test_nearest_limit_takes_few_searches() -> None:
    limits: list[float] = []

    def decide(request: engine.Request) -> engine.Decision:
        serving = serving_of(request)
        limits.append(serving["max_ttft_ms"])  # type: ignore[arg-type]
        return policy.decide(request, remedies=False)

    policy = engine.load_policy("sharding@3")
    request = engine.decide(**L40S, slo="ttft=10ms", concurrency=1).request
    assert request is not None
    (remedy,) = nearest(request, decide)
    assert isinstance(remedy.value, float)
    assert remedy.value > 10.0
    assert len(limits) <= 6


@pytest.mark.slow
def test_two_limits_that_nothing_meets_are_relaxed_together() -> None:
    decision = engine.decide(**L40S, slo="ttft=10ms,tpot=1ms")
    (remedy,) = [each for each in decision.remedies if each.change == "serving"]
    assert isinstance(remedy.value, dict)
    nearest = {"ttft": remedy.value["max_ttft_ms"], "tpot": remedy.value["max_tpot_ms"]}
    assert engine.decide(**L40S, slo=nearest).feasible


@pytest.mark.slow
def test_rate_that_nothing_serves_names_the_highest() -> None:
    decision = engine.decide(**L40S, rate="500/s")
    assert not decision.feasible
    assert decision.refusal is not None
    assert decision.refusal.requirement == "request-rate"
    (remedy,) = [each for each in decision.remedies if each.change == "serving.request_rate"]
    assert isinstance(remedy.value, float)
    assert 0 < remedy.value < 500
    assert engine.decide(**L40S, rate=remedy.value).feasible


@pytest.mark.slow
def test_highest_rate_is_that_of_the_same_machine() -> None:
    # The best plan at a concurrency without a rate is not the one that serves the highest rate.
    gpt = {"inventory": "8xH100-SXM", "model": "gpt-oss-120b", "quantization": "mxfp4"}
    remedies = engine.decide(**gpt, rate="1000/s").remedies
    (rate,) = [each.value for each in remedies if each.id == "request_rate"]
    assert isinstance(rate, float)
    assert engine.decide(**gpt, rate=rate).feasible
    assert not engine.decide(**gpt, rate=rate * 1.002).feasible


@pytest.mark.slow
def test_a_rate_at_the_end_of_a_double_is_refused() -> None:
    decision = engine.decide(**L40S, rate=1e308)
    assert not decision.feasible
    json.dumps(decision.to_dict(), allow_nan=False)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("device", "goals"),
    [("L40S", {"rate": "15/s"}), ("H100-SXM", {"rate": "40/s", "slo": "ttft=200ms"})],
)
def test_devices_for_a_rate_are_the_fewest_that_serve_it(device: str, goals: dict[str, Any]) -> None:
    model = {"model": "llama-3.1-8b", "quantization": "bf16"}
    decision = engine.decide(inventory=f"1x{device}", **model, **goals)
    (more,) = [each.value for each in decision.remedies if each.change == "devices"]
    assert isinstance(more, int)
    assert engine.decide(inventory=f"{1 + more}x{device}", **model, **goals).feasible
    assert not engine.decide(inventory=f"{more}x{device}", **model, **goals).feasible


def test_rate_and_concurrency_exclude_each_other() -> None:
    with pytest.raises(engine.RequestError, match="exclude each other"):
        engine.decide(**L40S, rate="5/s", concurrency=4)


@pytest.mark.parametrize("version", ["sharding@1", "sharding@2"])
def test_goals_for_a_policy_that_estimates_no_load_are_refused(version: str) -> None:
    with pytest.raises(engine.RequestError, match="estimates no latency under load"):
        engine.decide(inventory="8xH100-SXM", params="8B", quantization="bf16", slo="ttft=1s", policy=version)


@pytest.mark.parametrize(
    "arguments",
    [
        {"slo": "ttft=1"},
        {"slo": {"ttfb": 1}},
        {"slo": {"ttft": -1}},
        {"rate": 0},
        {"rate": math.inf},
        {"rate": "x"},
    ],
)
def test_goals_in_python_that_mean_nothing_are_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(engine.RequestError):
        engine.decide(**L40S, **arguments)


def test_whole_numbers_are_accepted_for_limits() -> None:
    request = {"serving": {"max_ttft_ms": 1000, "max_tpot_ms": 40, "concurrency": 8}}
    assert engine.decide(**L40S, request=request).feasible


@pytest.mark.parametrize(
    ("inventory", "model", "goals", "change"),
    [
        ("1xH100-SXM", "llama-3.1-70b", {"quantization": "bf16", "rate": "5/s"}, "devices"),
        (
            "8xH100-SXM",
            "llama-3.1-8b",
            {"quantization": "fp8", "rate": "5/s", "objective": "cost"},
            "objective",
        ),
    ],
)
def test_one_change_helps_a_rate_where_nothing_fits_without_it(
    inventory: str, model: str, goals: dict[str, Any], change: str
) -> None:
    """What needs several concurrent requests is tried with as many."""
    found = engine.decide(inventory=inventory, model=model, context=8192, **goals)
    assert not found.feasible
    assert change in [remedy.change.rpartition(".")[2] for remedy in found.remedies]
    assert found.combinations == ()
