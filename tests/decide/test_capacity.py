"""Sizing, frontiers and maps against decisions on single requests."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

import engine
from engine.decide.capacity.frontier import frontier
from engine.decide.capacity.instances import Instances
from engine.decide.capacity.machines import read_fleet, read_offers
from engine.decide.capacity.prices import read_prices
from engine.decide.capacity.regions import INFEASIBLE, parse_span, plan_map
from engine.decide.capacity.sizing import Option, size
from engine.decide.sources import Sources, read_sources

POLICY = engine.load_policy("sharding@3")
LIMITS: dict[str, object] = {"max_ttft_ms": 1000.0, "max_tpot_ms": 40.0}


def request(model: str = "llama-3.1-70b", quantization: str = "fp8", **serving: object) -> engine.Request:
    sources = Sources(model=model, quantization=quantization, serving=serving)
    return read_sources(sources, POLICY.catalogs).request


def on(machine: str, asked: engine.Request) -> engine.Request:
    return asked.with_inputs(inventory=read_offers(machine, POLICY.catalogs)[0].inventory)


def option(machine: str, asked: engine.Request, **further: Any) -> Option:
    (found,) = size(POLICY, asked, read_offers(machine, POLICY.catalogs), **further).options
    return found


def rate_of(machine: str, degrees: dict[str, int], concurrency: int, asked: engine.Request) -> float | None:
    """Return the rate of a pinned layout at a concurrency, None if it is infeasible."""
    serving = {**LIMITS, "concurrency": concurrency}
    decision = POLICY.decide(on(machine, asked).with_inputs(pin=degrees, serving=serving), remedies=False)
    plan = decision.plan
    return None if plan is None or plan.estimates is None else plan.estimates.requests_per_sec


def test_survey_is_the_same_in_the_interpreter() -> None:
    asked = on("4xH100-SXM", request(concurrency=8))
    fast = POLICY.survey(asked)
    slow = POLICY._evaluator("compiled").survey(POLICY.prepared(asked)[0])
    assert fast == slow
    assert fast is not None
    assert len({layout.key for layout in fast.layouts}) == len(fast.layouts) > 3


@pytest.mark.parametrize(
    ("machine", "model"), [("8xH100-SXM", "llama-3.1-70b"), ("8xH200-SXM", "deepseek-v3")]
)
def test_survey_agrees_with_decisions_on_pinned_layouts(machine: str, model: str) -> None:
    asked = on(machine, request(model, concurrency=8))
    survey = POLICY.survey(asked)
    assert survey is not None
    for layout in survey.layouts:
        if layout.strategy.data_parallel > 1:
            continue
        names = ("tensor_parallel", "pipeline_parallel", "data_parallel", "expert_parallel")
        decision = POLICY.decide(asked.with_inputs(pin=dict(zip(names, layout.key, strict=True))))
        assert decision.plan is not None
        assert decision.plan.estimates == layout.estimates


@pytest.mark.slow
def test_sizing_takes_the_fewest_devices_that_serve_the_rate() -> None:
    """Enumerate all layouts of up to eight devices, with decisions on single requests."""
    rate = 20.0
    found = option("8xH100-SXM", request(request_rate=rate, **LIMITS))
    fewest = math.inf
    asked = request()
    for tensor in (1, 2, 4, 8):
        for pipeline in range(1, 8 // tensor + 1):
            degrees = {"tensor_parallel": tensor, "pipeline_parallel": pipeline, "data_parallel": 1}
            best, step = 0, 512
            while step:
                if rate_of("8xH100-SXM", degrees, best + step, asked) is not None:
                    best += step
                step //= 2
            carried = rate_of("8xH100-SXM", degrees, best, asked) if best else None
            if carried is not None:
                fewest = min(fewest, tensor * pipeline * math.ceil(rate / carried))
    assert found.feasible
    assert found.devices == fewest
    assert found.machines == math.ceil(fewest / 8)
    assert found.requests_per_sec == rate
    assert 0 < found.utilization <= 1


def test_sizing_describes_the_load_that_the_rate_puts_on_an_instance() -> None:
    found = option("8xH100-SXM", request(request_rate=20.0, **LIMITS))
    assert found.layout is not None
    estimates = found.layout.estimates
    assert estimates.requests_per_sec is not None
    assert estimates.requests_per_sec * found.instances >= 20.0
    per_instance = found.concurrency // found.instances
    strategy = found.layout.strategy
    degrees = {
        "tensor_parallel": strategy.tensor_parallel,
        "pipeline_parallel": strategy.pipeline_parallel,
        "data_parallel": 1,
    }
    less = rate_of("8xH100-SXM", degrees, per_instance - 1, request())
    assert less is not None
    assert less * found.instances < 20.0
    assert (estimates.loaded_time_per_output_token_ms or math.inf) <= 40.0


@pytest.mark.slow
def test_twice_the_rate_takes_at_most_twice_the_devices() -> None:
    once = option("8xH100-SXM", request(request_rate=20.0, **LIMITS)).devices
    twice = option("8xH100-SXM", request(request_rate=40.0, **LIMITS)).devices
    assert once <= twice <= 2 * once


def test_without_a_rate_an_option_is_a_machine_at_full_load() -> None:
    found = option("8xH100-SXM", request(**LIMITS))
    assert (found.machines, found.utilization) == (1, 1.0)
    assert found.devices <= 8
    assert found.requests_per_sec == found.capacity_requests_per_sec


def test_a_machine_that_is_too_slow_names_the_nearest_limit() -> None:
    found = option("4xL40S", request(request_rate=20.0, **LIMITS))
    assert not found.feasible
    assert found.binding in ("first-token-limit", "output-token-limit")
    assert found.nearest is not None
    nearest = {name: value for name, value, _ in found.nearest.limits}
    assert option("4xL40S", request(**{**LIMITS, **nearest})).feasible
    closer = {name: value / 1.01 for name, value in nearest.items()}
    assert not option("4xL40S", request(**{**LIMITS, **closer})).feasible


def test_a_model_that_is_too_large_for_a_machine_spans_several() -> None:
    found = option("8xH100-SXM", request("llama-3.1-405b", "bf16", request_rate=0.2))
    assert found.feasible
    assert found.layout is not None
    assert found.layout.devices > 8
    assert found.machines >= 2


def test_a_model_that_fits_nowhere_is_refused_by_its_requirement() -> None:
    found = option("1xT4", request("llama-3.1-405b", "fp16", request_rate=1.0))
    assert not found.feasible
    assert found.binding is not None
    assert found.nearest is None


@pytest.mark.slow
def test_a_fleet_has_no_more_devices_than_it_has() -> None:
    inventory = read_offers("2x8xH100-SXM", POLICY.catalogs)[0].inventory
    fleet = read_fleet(inventory, POLICY.catalogs)
    (few,) = size(POLICY, request(request_rate=20.0, **LIMITS), fleet).options
    (many,) = size(POLICY, request(request_rate=100.0, **LIMITS), fleet).options
    assert few.feasible
    assert few.devices <= 16
    assert not many.feasible
    assert many.binding == "devices"
    assert "% less than the rate" in (many.explanation or "")


@pytest.mark.slow
def test_prices_rank_the_options() -> None:
    machines = read_offers("8xH100-SXM,8xH200-SXM", POLICY.catalogs)
    products = [machine.product or "" for machine in machines]
    asked = request(request_rate=20.0, **LIMITS)
    for cheap, dear in (("H100-SXM", "H200-SXM"), ("H200-SXM", "H100-SXM")):
        texts = [f"{cheap}=1USD/h", f"{dear}=50USD/h"]
        prices = read_prices(texts, None, POLICY.catalogs, products)
        found = size(POLICY, asked, machines, prices=prices)
        assert found.best is not None
        assert found.best.machine.product == cheap
        assert found.best.price_per_hour == found.best.devices
        tokens = 20.0 * 512 * 3600 / 1e6
        assert found.best.price_per_million_tokens == pytest.approx(found.best.devices / tokens, rel=0.01)
        assert found.currency == "USD"


def test_whole_machines_are_charged_if_asked_for() -> None:
    machines = read_offers("8xH100-SXM", POLICY.catalogs)
    prices = read_prices(["H100-SXM=2USD/h"], None, POLICY.catalogs, ["H100-SXM"])
    asked = request(request_rate=5.0, **LIMITS)
    (used,) = size(POLICY, asked, machines, prices=prices).options
    (whole,) = size(POLICY, asked, machines, prices=prices, whole_machines=True).options
    assert used.devices < 8
    assert used.price_per_hour == 2 * used.devices
    assert whole.price_per_hour == 2 * 8 * whole.machines


@pytest.mark.parametrize(
    ("texts", "currency", "words"),
    [
        (["H100-SXM=2.49/h"], None, "has no currency"),
        (["H100-SXM=2.49USD/h", "L40S=1EUR/h"], None, "several currencies"),
        (["H100-SXM=2.49EUR/h"], "USD", "several currencies"),
        (["H100-SXM=0USD/h"], None, "more than zero"),
        (["H100-SXM"], None, "expected a price per hour"),
        (["H100-SXM=2.49USD"], None, "expected a price per hour"),
        (["A100=2.49USD/h"], None, "no device of that name is offered"),
        ([], "dollars", "not a code of three letters"),
    ],
)
def test_prices_that_mean_nothing_are_refused(texts: list[str], currency: str | None, words: str) -> None:
    with pytest.raises(engine.RequestError, match=words):
        read_prices(texts, currency, POLICY.catalogs, ["H100-SXM", "L40S"])


@pytest.mark.parametrize("text", ["H100-SXM=2.5USD/h", "h100-sxm = $2.5/h", "H100-SXM=USD 2.5/hour"])
def test_prices_are_read_with_their_currency(text: str) -> None:
    price = read_prices([text], None, POLICY.catalogs, ["H100-SXM"]).find("H100-SXM")
    assert price is not None
    assert (price.per_hour, price.currency) == (2.5, "USD")


@pytest.mark.slow
def test_frontier_has_no_point_that_another_beats() -> None:
    asked = on("8xH100-SXM", request(**LIMITS))
    found = frontier(POLICY, asked, "8xH100-SXM")
    assert len(found.front) > 5
    for point in found.front:
        assert not any(
            other.tokens_per_sec_per_user > point.tokens_per_sec_per_user
            and other.tokens_per_sec_per_device > point.tokens_per_sec_per_device
            for other in found.points
        )
    speeds = [point.tokens_per_sec_per_user for point in found.front]
    assert speeds == sorted(speeds)
    assert found.chosen is not None
    assert found.chosen.meets
    decision = POLICY.decide(asked)
    assert decision.found is not None
    assert found.chosen.concurrency == decision.found.value


@pytest.mark.slow
def test_map_borders_are_exact() -> None:
    asked = on("8xH100-SXM", request())
    found = plan_map(
        POLICY, asked, parse_span("context=4k..16k"), parse_span("concurrency=1..8"), "8xH100-SXM"
    )
    assert len(found.plans) > 1

    def plan_at(context: int, concurrency: int) -> object:
        serving = {"context": context, "concurrency": concurrency}
        plan = POLICY.decide(asked.with_inputs(serving=serving), remedies=False).plan
        return None if plan is None else plan.strategy

    for row in found.rows:
        for _, last in row.plans[:-1]:
            assert plan_at(last, row.y) != plan_at(last + 1, row.y)
    json.dumps(found.to_dict())


@pytest.mark.slow
def test_map_covers_the_whole_plane() -> None:
    asked = on("2xH100-SXM", request("llama-3.1-8b", "bf16", max_tpot_ms=9.0))
    x, y = parse_span("input=128..4k"), parse_span("concurrency=1..1k")
    found = plan_map(POLICY, asked, x, y, "2xH100-SXM")
    assert INFEASIBLE in found.plans
    area = 0.0
    for region in found.regions:
        corners = [(math.log(px), math.log(py)) for px, py in region.corners]
        pairs = zip(corners, [*corners[1:], corners[0]], strict=True)
        area += abs(sum(ax * by - bx * ay for (ax, ay), (bx, by) in pairs)) / 2
    assert area == pytest.approx(math.log(x.high / x.low) * math.log(y.high / y.low), rel=1e-6)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("contest=1..2", "did you mean 'context'"),
        ("context", "expected a range"),
        ("context=1k", "expected a range"),
        ("context=8k..1k", "that grows"),
        ("context=0..1k", "that grows"),
    ],
)
def test_axis_that_means_nothing_is_refused(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse_span(text)


def test_instances_ask_each_concurrency_once(monkeypatch: pytest.MonkeyPatch) -> None:
    instances = Instances(POLICY, on("4xH100-SXM", request(**LIMITS)))
    asked: list[object] = []
    survey = POLICY.survey

    def counted(changed: engine.Request) -> Any:
        asked.append((changed.inputs["serving"]["concurrency"], changed.inputs.get("pin")))  # type: ignore[index]
        return survey(changed)

    monkeypatch.setattr(POLICY, "survey", counted)
    brackets = instances.brackets()
    for key, bracket in brackets.items():
        instances.carried(key, bracket)
    assert len(asked) == len({json.dumps(each) for each in asked})


def test_offers_are_listed_once() -> None:
    with pytest.raises(engine.RequestError, match="offered twice"):
        read_offers("8xH100-SXM,8xH100-SXM", POLICY.catalogs)
    with pytest.raises(engine.RequestError, match="no machine is offered"):
        read_offers(" , ", POLICY.catalogs)
    with pytest.raises(engine.RequestError, match="unknown product"):
        read_offers("8xH1000", POLICY.catalogs)
