"""Estimates and bytes of sharding 2.0.0 against the same arithmetic written by hand, over drawn requests."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import engine
from tests.conftest import examples
from tests.support.roofline import CHIPS, expected

POLICY = engine.load_policy("sharding@2.0.0")
KINDS = {"MI300X": "RocmGpu"}


@st.composite
def requests(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    """A product's name, and a request for up to eight of it on one node or two."""
    name = draw(st.sampled_from(sorted(CHIPS)))
    count = draw(st.integers(1, 8))
    nodes = draw(st.sampled_from([1, 1, 2]))
    params = draw(st.integers(1, 120)) * 10**9 + draw(st.integers(0, 10**6))
    heads = draw(st.sampled_from([16, 32, 64]))
    model: dict[str, Any] = {
        "params": params,
        "layers": draw(st.integers(4, 90)),
        "hidden_size": heads * 128,
        "attention_heads": heads,
        "kv_heads": draw(st.sampled_from([2, 8, heads])),
        "head_dim": draw(st.sampled_from([64, 128])),
        "vocabulary": 128000,
        "embedding_params": draw(st.integers(1, params // 8)),
        "tied_embeddings": draw(st.booleans()),
    }
    if draw(st.booleans()):
        model |= {"sliding_window": 1024, "sliding_layers": draw(st.integers(0, model["layers"]))}
    if draw(st.integers(0, 3)) == 0:
        model["latent_size"] = 576
    if draw(st.booleans()):
        routed = params * 7 // 10
        model |= {
            "experts": 8,
            "experts_per_token": draw(st.integers(1, 4)),
            "expert_params": routed,
            "active_params": params - routed + routed // 4,
        }
    serving = {
        "context": draw(st.sampled_from([300, 2048, 2049, 16384])),
        "input_tokens": draw(st.integers(1, 4000)),
        "output_tokens": draw(st.integers(1, 2000)),
        "concurrency": draw(st.integers(1, 40)),
    }
    pin = draw(
        st.sampled_from([{}, {"pipeline_parallel": 2}, {"tensor_parallel": 2}, {"expert_parallel": 2}])
    )
    devices = [
        {
            "kind": KINDS.get(name, "CudaGpu"),
            "name": name,
            "memory_bytes": CHIPS[name].memory,
            "count": count,
            "node": f"n{node}",
        }
        for node in range(nodes)
    ]
    return name, {
        "inventory": {"devices": devices},
        "model": model,
        "quantization": draw(st.sampled_from(["fp32", "bf16", "int8", "int4"])),
        "serving": {
            **serving,
            "objective": draw(st.sampled_from(["balanced", "latency", "throughput", "economy"])),
        },
        "pin": pin,
    }


@pytest.mark.slow
@given(requests())
@settings(max_examples=examples(100), deadline=None)
def test_the_arithmetic(drawn: tuple[str, dict[str, Any]]) -> None:
    name, asked = drawn
    plan = POLICY.decide(engine.Request.from_dict(asked), remedies=False).plan
    if plan is None:
        return
    degrees, told = split(plan)
    size = degrees[0] * degrees[1]
    stages = plan.shards[: size : degrees[0]]
    wanted = asked["inventory"]["devices"]
    hops = [
        sum(
            wanted_node(wanted, a) != wanted_node(wanted, b)
            for a, b in zip(
                replica[degrees[0] - 1 :: degrees[0]], replica[degrees[0] :: degrees[0]], strict=False
            )
        )
        for replica in (plan.shards[start : start + size] for start in range(0, len(plan.shards), size))
    ]
    found = expected(
        asked["model"], CHIPS[name], asked["quantization"], degrees, asked["serving"], told, max(hops)
    )
    assert [shard.memory_bytes for shard in stages] == list(found.stage_bytes)
    estimates = plan.estimates
    assert estimates is not None
    assert estimates.parts_ms is not None
    if degrees[1] == 1 or max(hops) == min(hops):
        for part, time in found.parts_ms.items():
            assert estimates.parts_ms[part] == pytest.approx(time, rel=1e-9), part
        assert estimates.time_per_output_token_ms == pytest.approx(found.token_ms, rel=1e-9)
        assert estimates.time_to_first_token_ms == pytest.approx(found.first_token_ms, rel=1e-9)
        assert estimates.saturated_tokens_per_sec == pytest.approx(found.saturated, rel=1e-9)


CONTEXT = 131072


@pytest.mark.slow
@given(requests())
@settings(max_examples=examples(100), deadline=None)
def test_the_longest_request_has_room_and_a_longer_one_has_not(drawn: tuple[str, dict[str, Any]]) -> None:
    """Nine tenths of a device are filled; of what 8,192 tokens leave nine tenths count, in steps of 1,024."""
    name, asked = drawn
    concurrency = asked["serving"]["concurrency"]
    asked["model"]["context"] = CONTEXT
    asked["serving"] = {"concurrency": concurrency, "objective": asked["serving"]["objective"]}
    plan = POLICY.decide(engine.Request.from_dict(asked), remedies=False).plan
    if plan is None:
        return
    degrees, told = split(plan)

    def fullest(tokens: float) -> int:
        serving = {"context": tokens, "input_tokens": 1024, "output_tokens": 512, "concurrency": concurrency}
        return max(
            expected(asked["model"], CHIPS[name], asked["quantization"], degrees, serving, told).stage_bytes
        )

    estimates = plan.estimates
    assert estimates is not None
    assert estimates.context is not None
    assert estimates.concurrency == -(-concurrency // degrees[2])
    assert 8192 <= estimates.context <= CONTEXT
    budget = int(CHIPS[name].memory * 0.9)
    assert fullest(estimates.context) <= budget
    if estimates.context < CONTEXT:
        assert estimates.context % 1024 == 0
        assert fullest(8192 + (estimates.context + 1024 - 8192) / 0.9 + 1) > budget


def split(plan: engine.Plan) -> tuple[tuple[int, int, int, int], list[int]]:
    """The degrees, and the layers of each stage; stages in the middle are told alike: by the fullest."""
    strategy = plan.strategy
    degrees = (
        strategy.tensor_parallel,
        strategy.pipeline_parallel,
        strategy.data_parallel,
        strategy.expert_parallel or 1,
    )
    stages = plan.shards[: degrees[0] * degrees[1] : degrees[0]]
    counts = [last - first + 1 for first, last in (shard.layer_range for shard in stages)]
    told = [counts[0], *[max(counts[1:-1], default=0)] * max(len(counts) - 2, 0), counts[-1]][: len(counts)]
    return degrees, told


def wanted_node(devices: list[dict[str, Any]], shard: engine.Shard) -> str:
    position = shard.device.index
    assert position is not None
    return str(devices[position // devices[0]["count"]]["node"])
