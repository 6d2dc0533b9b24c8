"""Plans that are searched for: what holds of every one of them, over drawn machines and models."""

from __future__ import annotations

from collections import Counter, defaultdict
from itertools import product
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import engine
from engine.decide.decision import Decision
from engine.decide.policy import Policy
from tests.conftest import examples

POLICY = engine.load_policy("sharding@2")
OBJECTIVES = ("balanced", "latency", "throughput", "economy")
GIB = 2**30
PRODUCTS = {
    "H100-SXM": ("CudaGpu", 79),
    "RTX-4090": ("CudaGpu", 24),
    "L40S": ("CudaGpu", 45),
    "MI300X": ("RocmGpu", 192),
    None: ("CudaGpu", 40),
}


@st.composite
def devices(draw: st.DrawFn, most: int = 6) -> list[dict[str, Any]]:
    """Some devices of up to three sorts, over up to two nodes; and sometimes a CPU."""
    found: list[dict[str, Any]] = []
    for name in draw(st.lists(st.sampled_from(list(PRODUCTS)), min_size=1, max_size=3)):
        kind, gib = PRODUCTS[name]
        memory = draw(st.sampled_from([gib, gib, gib // 2])) * GIB
        for _ in range(draw(st.integers(1, most // 2))):
            found.append(
                {
                    "kind": kind,
                    **({} if name is None else {"name": name}),
                    "memory_bytes": memory,
                    "node": draw(st.sampled_from(["a", "a", "b"])),
                    "numa_node": draw(st.sampled_from([None, 0, 1])),
                }
            )
    found = found[:most]
    if draw(st.booleans()):
        found.append({"kind": "Cpu", "memory_bytes": draw(st.sampled_from([16, 256])) * GIB, "node": "a"})
    return [{key: value for key, value in each.items() if value is not None} for each in found]


@st.composite
def models(draw: st.DrawFn) -> dict[str, Any]:
    """Decoders of all shapes, some with experts."""
    heads = draw(st.sampled_from([12, 16, 32, 40, 64, 72]))
    kv_heads = draw(st.sampled_from([each for each in (1, 2, 4, 8, heads) if heads % each == 0]))
    hidden = heads * 128
    params = draw(st.integers(1, 140)) * 10**9
    model: dict[str, Any] = {
        "params": params,
        "layers": draw(st.integers(2, 96)),
        "hidden_size": hidden,
        "attention_heads": heads,
        "kv_heads": kv_heads,
        "head_dim": 128,
        "vocabulary": draw(st.sampled_from([32000, 128256, 151936])),
        "intermediate_size": draw(st.sampled_from([hidden * 3, 14336, 29568])),
        "tied_embeddings": draw(st.booleans()),
        "embedding_params": min(params // 10, 10**9),
    }
    if draw(st.integers(0, 3)) == 0:
        experts = draw(st.sampled_from([8, 16, 60]))
        routed = params * 8 // 10
        model |= {
            "experts": experts,
            "experts_per_token": 2,
            "expert_params": routed,
            "active_params": params - routed + routed * 2 // experts,
            "expert_intermediate_size": draw(st.sampled_from([768, 2048, 2560])),
        }
    return model


@st.composite
def requests(draw: st.DrawFn, most: int = 6) -> dict[str, Any]:
    """Requests of all sorts."""
    interconnects = draw(
        st.sampled_from(
            [[], [{"kind": "NVSwitch", "bandwidth_gbps": 600}], [{"kind": "xGMI", "bandwidth_gbps": 448}]]
        )
    )
    return {
        "inventory": {"devices": draw(devices(most)), "interconnects": interconnects},
        "model": draw(models()),
        "quantization": draw(st.sampled_from(["bf16", "fp8", "int8", "int4"])),
        "serving": {
            "context": draw(st.sampled_from([512, 4096, 32768])),
            "concurrency": draw(st.sampled_from([1, 4, 32])),
            "objective": draw(st.sampled_from(OBJECTIVES)),
        },
    }


def decide(asked: dict[str, Any], policy: Policy = POLICY, **pin: int) -> Decision:
    request = engine.Request.from_dict({**asked, **({"pin": pin} if pin else {})})
    return policy.decide(request, remedies=False)


def shape(decision: Decision) -> Any:
    """What doesn't depend on how devices are numbered."""
    if decision.plan is None:
        return decision.outcome
    strategy = decision.plan.strategy
    kinds = Counter(
        (shard.device.kind, shard.device.name, shard.layer_range) for shard in decision.plan.shards
    )
    return strategy, kinds


@pytest.mark.slow
@given(requests())
@settings(max_examples=examples(100), deadline=None)
def test_every_plan_can_run(asked: dict[str, Any]) -> None:
    decision = decide(asked)
    plan = decision.plan
    if plan is None:
        assert decision.outcome == "infeasible"
        assert decision.refusal is not None
        return
    given_devices, model = asked["inventory"]["devices"], asked["model"]
    tensor, pipeline, data = (
        plan.strategy.tensor_parallel,
        plan.strategy.pipeline_parallel,
        plan.strategy.data_parallel,
    )
    # Each device once, and none filled beyond what may be used.
    positions = [shard.device.index for shard in plan.shards]
    assert len(positions) == len(set(positions)) == tensor * pipeline * data
    for shard in plan.shards:
        assert shard.device.index is not None
        assert shard.memory_bytes <= 0.9 * given_devices[shard.device.index]["memory_bytes"]
    # Weights are all there: what the shards of a replica hold is no less.
    bits = {"bf16": 16, "fp8": 8, "int8": 8, "int4": 4}[asked["quantization"]]
    held = sum(shard.memory_bytes for shard in plan.shards)
    assert held >= model["params"] * bits // 8 * (data if plan.strategy.expert_parallel == 1 else 1)
    # Degrees that servers take.
    assert model["attention_heads"] % tensor == 0
    assert model["kv_heads"] % tensor == 0 or tensor % model["kv_heads"] == 0
    # Layers: each once, in order, none of a stage empty; alike devices differ by one at most.
    size = tensor * pipeline
    for start in range(0, len(plan.shards), size):
        replica = plan.shards[start : start + size]
        stages = [replica[stage * tensor : (stage + 1) * tensor] for stage in range(pipeline)]
        expected = 0
        counts = defaultdict(set)
        for stage in stages:
            (range_,) = {shard.layer_range for shard in stage}
            assert range_[0] == expected <= range_[1]
            expected = range_[1] + 1
            members = [given_devices[shard.device.index] for shard in stage if shard.device.index is not None]
            assert len({(each["kind"], each.get("name"), each["node"]) for each in members}) == 1
            counts[members[0]["kind"], members[0].get("name"), members[0]["memory_bytes"]].add(
                range_[1] - range_[0] + 1
            )
        assert expected == model["layers"]
        if len({each["memory_bytes"] for each in given_devices}) == 1:
            assert all(max(each) - min(each) <= 1 for each in counts.values())
    assert len({shard.device.kind for shard in plan.shards}) == 1
    assert plan.warnings == ()


@pytest.mark.slow
@given(requests(), st.randoms(use_true_random=False))
@settings(max_examples=examples(100), deadline=None)
def test_numbering_does_not_matter(asked: dict[str, Any], random: Any) -> None:
    before = shape(decide(asked))
    shuffled = list(asked["inventory"]["devices"])
    random.shuffle(shuffled)
    other = {**asked, "inventory": {**asked["inventory"], "devices": shuffled}}
    assert shape(decide(other)) == before
    assert decide(asked).to_dict() == decide(asked).to_dict()


@pytest.mark.slow
@given(requests(), st.data())
@settings(max_examples=examples(80), deadline=None)
def test_more_is_never_worse(asked: dict[str, Any], data: st.DataObject) -> None:
    asked = {**asked, "serving": {**asked["serving"], "objective": "latency"}}
    before = decide(asked).plan
    assume(before is not None)
    listed = asked["inventory"]["devices"]
    position = data.draw(st.integers(0, len(listed) - 1))
    how = data.draw(st.sampled_from(["device", "memory"]))
    if how == "device":
        more = [*listed, dict(listed[position])]
    else:
        more = [dict(each) for each in listed]
        more[position]["memory_bytes"] += data.draw(st.integers(1, 64)) * GIB // 2
    after = decide({**asked, "inventory": {**asked["inventory"], "devices": more}}).plan
    assert after is not None
    assert before is not None
    assert before.estimates is not None
    assert after.estimates is not None
    times = (before.estimates.time_per_output_token_ms, after.estimates.time_per_output_token_ms)
    assert times[0] is not None
    assert times[1] is not None
    assert times[1] <= times[0] * (1 + 1e-9)


@pytest.mark.slow
@given(requests(most=4))
@settings(max_examples=examples(60), deadline=None)
def test_the_search_equals_brute_force(asked: dict[str, Any]) -> None:
    """Every degree is pinned, one after the other; the best of what comes of it is what the search finds."""
    objective = asked["serving"]["objective"]
    assume(objective != "balanced")
    count = len(asked["inventory"]["devices"])
    degrees = range(1, count + 1)
    plans = []
    for tensor, pipeline, data in product(degrees, degrees, degrees):
        if tensor * pipeline * data > count:
            continue
        experts = [each for each in range(1, tensor * data + 1) if tensor * data % each == 0]
        for expert in experts if "experts" in asked["model"] else [1]:
            pinned = decide(
                asked,
                tensor_parallel=tensor,
                pipeline_parallel=pipeline,
                data_parallel=data,
                expert_parallel=expert,
            )
            if pinned.plan is not None:
                plans.append(pinned.plan)
    found = decide(asked).plan
    assert (found is None) == (not plans)
    if found is None:
        return
    # A CPU only where nothing else does, unless the fastest is asked for.
    better = [plan for plan in plans if plan.shards[0].device.kind != "Cpu"]
    rest = plans if objective == "latency" or not better else better

    def worth(plan: engine.Plan) -> float:
        assert plan.estimates is not None
        if objective == "latency":
            return -(plan.estimates.time_per_output_token_ms or 0.0)
        if objective == "economy":
            return -len(plan.shards)
        strategy = plan.strategy
        split = strategy.tensor_parallel * strategy.pipeline_parallel > 1
        return (plan.estimates.saturated_tokens_per_sec or 0.0) * (0.9 if split else 1.0)

    assert worth(found) == pytest.approx(max(map(worth, rest)), rel=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("runtime", ["cel-python", "cel-cpp"])
@given(asked=requests(most=3))
@settings(max_examples=examples(10), deadline=None)
def test_runtimes_agree(runtime: str, asked: dict[str, Any]) -> None:
    request = engine.Request.from_dict(asked)
    found = POLICY.decide(request, runtime=runtime).to_dict()
    assert found == POLICY.decide(request).to_dict()
    assert POLICY.decide(request, explain=True).to_dict() | {"trace": None} == found | {"trace": None}
