"""Laws that hold for every request."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import engine
from benchmarks.handwritten import plan as handwritten_plan
from tests.support.runtimes import RUNTIMES

POLICY = engine.load_policy("sharding@1.0.0")
MEMORY = st.sampled_from([0, 1, 2**30, 16 * 2**30, 24 * 10**9, 80 * 2**30, 192 * 10**9, 2**40])


@st.composite
def devices(draw: st.DrawFn) -> dict[str, Any]:
    kind = draw(
        st.sampled_from(
            ["Cpu", "CudaGpu", "RocmGpu", "MetalGpu", "AppleNpu", "Tpu", "Gaudi", "AwsNeuron", "GroqLpu"]
        )
    )
    device: dict[str, Any] = {
        "kind": kind,
        "memory": draw(MEMORY),
        "count": draw(st.integers(1, 6)),
        "available": draw(st.sampled_from([True, True, True, False])),
    }
    if draw(st.booleans()):
        device["numa_node"] = draw(st.integers(0, 3))
    if kind == "Tpu":
        device |= {
            "chip_count": draw(st.integers(0, 8)),
            "version": draw(st.sampled_from(["V4", "V5e", "V5p"])),
        }
    if kind == "Gaudi":
        device["generation"] = draw(st.sampled_from(["Gaudi2", "Gaudi3"]))
    if kind == "AwsNeuron":
        device |= {
            "chip_type": draw(st.sampled_from(["Inferentia", "Trainium"])),
            "core_count": draw(st.integers(0, 32)),
        }
    return device


LINKS = st.fixed_dictionaries(
    {
        "kind": st.sampled_from(["NVSwitch", "NVLink", "XgmiInfinityFabric", "PCIe", "InfiniBand", "Ici"]),
        "bandwidth_gbps": st.one_of(st.integers(0, 900), st.floats(0, 900)),
    }
)
REQUESTS = st.fixed_dictionaries(
    {
        "inventory": st.fixed_dictionaries(
            {"devices": st.lists(devices(), max_size=6), "interconnects": st.lists(LINKS, max_size=3)}
        ),
        "model": st.fixed_dictionaries({"params": st.integers(0, 3 * 10**12)}),
        "quantization": st.sampled_from(["fp32", "fp16", "bf16", "int8", "int4"]),
    }
)


@pytest.mark.slow
@pytest.mark.parametrize("runtime", RUNTIMES)
@settings(max_examples=30, deadline=None)
@given(value=REQUESTS)
def test_the_plan_is_the_handwritten_planners(value: dict[str, Any], runtime: str) -> None:
    request = engine.Request.from_dict(value)
    plan = POLICY.decide(request, runtime=runtime).plan
    assert plan is not None
    assert replace(plan, warnings=()) == handwritten_plan(request)


@pytest.mark.slow
@settings(max_examples=30, deadline=None)
@given(value=REQUESTS)
def test_laws_of_a_plan(value: dict[str, Any]) -> None:
    decision = POLICY.decide(engine.Request.from_dict(value))
    plan = decision.plan
    assert plan is not None
    assert [shard.shard_id for shard in plan.shards] == list(range(len(plan.shards)))
    if not plan.shards:  # TPUs without a chip
        assert plan.total_memory_bytes == 0 or plan.warnings[0].startswith("no shard holds")
        return
    assert sum(shard.memory_bytes for shard in plan.shards) >= plan.total_memory_bytes
    assert sum(shard.memory_bytes for shard in plan.shards) - plan.total_memory_bytes < max(
        len(plan.shards), 1
    )
    if len({shard.device.index for shard in plan.shards}) == len(plan.shards) and decision.feasible:
        overfull = [
            s
            for s in plan.shards
            if s.device.memory_bytes is not None and s.memory_bytes > s.device.memory_bytes
        ]
        assert len([warning for warning in plan.warnings if " needs " in warning]) >= len(overfull)


@pytest.mark.slow
@settings(max_examples=30, deadline=None)
@given(value=REQUESTS, extra=devices())
def test_what_is_not_available_does_not_matter(value: dict[str, Any], extra: dict[str, Any]) -> None:
    before = POLICY.decide(engine.Request.from_dict(value))
    more = {**value["inventory"], "devices": [*value["inventory"]["devices"], {**extra, "available": False}]}
    after = POLICY.decide(engine.Request.from_dict({**value, "inventory": more}))
    assert (before.match_id, before.plan) == (after.match_id, after.plan)


@pytest.mark.slow
@settings(max_examples=30, deadline=None)
@given(value=REQUESTS)
def test_a_trace_changes_nothing(value: dict[str, Any]) -> None:
    request = engine.Request.from_dict(value)
    plain, traced = POLICY.decide(request), POLICY.decide(request, explain=True)
    assert replace(traced, trace=None) == plain
