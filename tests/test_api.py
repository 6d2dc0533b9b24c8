"""`import engine`: what Python users rely on."""

from __future__ import annotations

import dataclasses
import doctest
import json
import threading
from typing import Any

import pytest

import engine
from tests.support.runtimes import RUNTIMES


@pytest.fixture(scope="module")
def policy() -> engine.Policy:
    return engine.load_policy("sharding@1.0.0")


def request(params: str = "70B", quantization: str = "bf16", count: int = 8) -> engine.Request:
    return engine.Request.from_dict(
        {
            "id": params,
            "inventory": {
                "devices": [{"kind": "CudaGpu", "count": count, "memory": "80GiB"}],
                "interconnects": [{"kind": "NVSwitch", "bandwidth_gbps": 600}],
            },
            "model": {"params": params},
            "quantization": quantization,
        }
    )


def test_the_documented_example_works() -> None:
    assert doctest.testmod(engine).failed == 0
    assert doctest.testmod(engine).attempted > 0


def test_public_names_exist() -> None:
    assert [name for name in engine.__all__ if not hasattr(engine, name)] == []


def test_a_decision(policy: engine.Policy) -> None:
    decision = policy.decide(request())
    assert decision.match_id == "tensor-parallel"
    assert decision.plan is not None
    assert decision.plan.strategy == engine.Strategy("tensor_parallel", tensor_parallel=8)
    assert decision.plan.total_memory_bytes == 168_000_000_000
    assert decision.trace is None
    assert json.loads(json.dumps(decision.to_dict()))["id"] == "70B"


def test_a_trace_on_demand(policy: engine.Policy) -> None:
    trace = policy.decide(request(), explain=True).trace
    assert trace is not None
    assert [match.result for match in trace.rule.matches].count("chosen") == 1
    names = [variable.name for variable in trace.variables]
    assert len(names) == len(set(names))  # each at most once


@pytest.mark.parametrize("make", [request, lambda: engine.Request({"a": 1})])
def test_values_are_frozen(make: Any) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        make().id = "other"


def test_objects_in_place_of_mappings(policy: engine.Policy) -> None:
    inventory = engine.Inventory((engine.Device("CudaGpu", 80 * 2**30, device_id=0),))
    made = engine.Request(
        {"inventory": inventory, "model": engine.Model(8_000_000_000), "quantization": "bf16"}
    )
    assert policy.decide(made).match_id == "single-device"


@pytest.mark.slow
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_one_policy_in_many_threads(policy: engine.Policy, runtime: str) -> None:
    sizes = [f"{n}B" for n in (1, 5, 20, 40, 80, 200, 300, 400)]
    expected = {size: policy.decide(request(size), runtime=runtime) for size in sizes}
    wrong: list[str] = []

    def work(size: str) -> None:
        for _ in range(20):
            found = policy.decide(request(size), runtime=runtime)
            if (found.match_id, found.plan) != (expected[size].match_id, expected[size].plan):
                wrong.append(size)

    threads = [threading.Thread(target=work, args=(size,)) for size in sizes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.mark.parametrize(
    ("value", "error", "path"),
    [
        ([], engine.RequestError, ()),
        (None, engine.RequestError, ()),
        ({"model": {"params": -1}}, engine.RequestError, ("model", "params")),
        ({"inventory": {"devices": [{"kind": 5}]}}, engine.RequestError, ("inventory", "devices", 0, "kind")),
        ({"model": {"params": "x"}}, engine.RequestError, ("model", "params")),
        ({"registry": {"profiles": [1]}}, engine.RequestError, ("registry", "profiles", 0)),
        ({"registry": {"profiles": []}, "model_params": True}, engine.RequestError, ("model_params",)),
        ({"quantization": 4}, engine.RequestError, ("quantization",)),
    ],
)
def test_bad_requests(value: Any, error: type[engine.EngineError], path: tuple[Any, ...]) -> None:
    with pytest.raises(error) as caught:
        engine.Request.from_dict(value)
    assert caught.value.problems[0].path == path


def test_a_missing_input_is_named(policy: engine.Policy) -> None:
    with pytest.raises(engine.MissingInputError) as caught:
        policy.decide(engine.Request())
    assert caught.value.input == "inventory"


def test_an_unknown_runtime(policy: engine.Policy) -> None:
    with pytest.raises(engine.RuntimeUnavailableError, match="unknown runtime 'cel-rust'"):
        policy.decide(request(), runtime="cel-rust")
