"""Uses of the public API with the types that users rely on: checked by `mypy --strict`, never run."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping
from typing import assert_type

import engine
import engine.decide.policy
import engine.render
from engine.base.jsontypes import Json
from engine.decide.dicts import DecisionDict, Outcome
from engine.plan.dicts import EstimatesDict, StrategyKind
from engine.render import Screen, Target


def decide_in_one_call() -> None:
    decision = engine.decide(
        inventory="8xH100-SXM",
        model="llama-3.1-70b",
        quantization="bf16",
        context=32768,
        objective="latency",
        pin={"tensor_parallel": 8},
        policies=[pathlib.Path("policies"), "others"],
        explain=True,
    )
    assert_type(decision, engine.Decision)
    assert_type(decision.plan, engine.Plan | None)
    assert_type(decision.explanation, str | None)
    assert_type(decision.feasible, bool)
    assert_type(decision.trace, engine.Trace | None)
    assert_type(decision.auto, Mapping[str, engine.Decision])
    assert_type(decision._repr_html_(), str)
    if decision.plan is not None:
        assert_type(decision.plan.strategy, engine.Strategy)
        assert_type(decision.plan.strategy.tensor_parallel, int)
        assert_type(decision.plan.shards, tuple[engine.Shard, ...])
        assert_type(decision.plan.shards[0].device, engine.ShardDevice)


def read_the_json_form() -> None:
    value = engine.decide(inventory="8xH100-SXM", model="llama-3.1-70b").to_dict()
    assert_type(value["policy"]["digest"], str)
    assert_type(value["match"], str | None)
    plan = value["plan"]
    if plan is not None:
        assert_type(plan["strategy"]["tensor_parallel"], int)
        assert_type(plan["shards"][0]["memory_bytes"], int)
        assert_type(plan["shards"][0]["device"]["kind"], Json)
        assert_type(plan.get("estimates"), EstimatesDict | None)
    for remedy in value.get("remedies", ()):
        assert_type(remedy["strategy"]["kind"], StrategyKind)
    trace = value.get("trace")
    if trace is not None:
        assert_type(trace["rule"]["matches"][0]["result"], str)
    save(value)


def save(decision: DecisionDict) -> None:
    assert_type(decision["outcome"], Outcome)
    decision["plam"]  # type: ignore[typeddict-item]


def decide_on_objects() -> None:
    device = engine.Device("CudaGpu", 80 * 2**30, device_id=0)
    inventory = engine.Inventory((device,))
    assert_type(inventory.devices, tuple[engine.Device, ...])
    policy = engine.load_policy("sharding@1.0.0", pathlib.Path("policies"), use_cache=False)
    assert_type(policy, engine.Policy)
    assert_type(policy.name, str)
    request = engine.Request({"inventory": inventory, "model": engine.Model(8_000_000_000)})
    assert_type(request.with_inputs(quantization="bf16"), engine.Request)
    assert_type(engine.Request.from_dict({"model": {"params": "8B"}}), engine.Request)
    assert_type(engine.Request.from_inputs({"subject": "team-a"}), engine.Request)
    assert_type(request.inventory, engine.Inventory | None)
    assert_type(policy.decide(request, runtime="compiled"), engine.Decision)
    assert_type(engine.decide(request=request, policy=policy, inputs=None), engine.Decision)
    assert_type(engine.read_inventory({"devices": []}), engine.Inventory)
    assert_type(engine.read_model({"params": "8B"}), engine.Model)


def handle_errors() -> None:
    try:
        engine.decide()
    except engine.MissingInputError as error:
        assert_type(error.input, str)
    except engine.EngineError as error:
        assert_type(error.problems, tuple[engine.Problem, ...])
        assert_type(error.problems[0].place, engine.Place | None)


def reject_wrong_types() -> None:
    engine.decide(context="long")  # type: ignore[arg-type]
    engine.decide(objective="fastest")  # type: ignore[arg-type]
    engine.decide("8xH100-SXM")  # type: ignore[call-arg]
    engine.load_policy(3)  # type: ignore[arg-type]
    print(engine.nothing_like_it)  # type: ignore[attr-defined]
    print(engine.render.nothing_like_it)  # type: ignore[attr-defined]


def import_from_rooms(screen: Screen, target: Target) -> None:
    assert_type(target.render(engine.decide(), screen), str)
