"""sharding and quantization 1.0.0 against the reference planner's own answers: every line, both runtimes."""

from __future__ import annotations

from typing import Any

import pytest

import engine
from benchmarks.handwritten import plan as handwritten_plan
from engine.render.ai_hwaccel import to_dict
from tests.conftest import Run
from tests.support.runtimes import RUNTIMES

CHUNKS = 10
THEIR_NAMES = {"fp32": "None", "fp16": "Float16", "bf16": "BFloat16", "int8": "Int8", "int4": "Int4"}


@pytest.fixture(scope="module")
def sharding() -> engine.Policy:
    return engine.load_policy("sharding@1.0.0")


@pytest.fixture(scope="module")
def quantization() -> engine.Policy:
    return engine.load_policy("quantization@1.0.0")


def chunk(plans: list[dict[str, Any]], number: int) -> list[dict[str, Any]]:
    return plans[number::CHUNKS]


@pytest.mark.slow
@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("number", range(CHUNKS))
def test_plans(plans: list[dict[str, Any]], number: int, runtime: str, sharding: engine.Policy) -> None:
    for line in chunk(plans, number):
        decision = sharding.decide(engine.Request.from_dict(line), runtime=runtime)
        expected = line["expected"]
        assert to_dict(decision) == {
            "id": line["id"],
            "plan": expected["plan"],
            "fits_in_memory": expected["fits_in_memory"],
        }


@pytest.mark.slow
@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("number", range(CHUNKS))
def test_quantizations(
    plans: list[dict[str, Any]], number: int, runtime: str, quantization: engine.Policy
) -> None:
    for line in chunk(plans, number):
        decision = quantization.decide(engine.Request.from_dict(line), runtime=runtime)
        assert THEIR_NAMES[decision.output] == line["expected"]["suggest_quantization"], line["id"]


@pytest.mark.slow
def test_the_runtimes_say_the_same(plans: list[dict[str, Any]], sharding: engine.Policy) -> None:
    """Explanations, warnings, what became of each condition; not which variables were read: C++ CEL takes
    names ahead of their use."""
    for line in plans[::25]:
        request = engine.Request.from_dict({**line, "quantization": "auto"})
        first, *others = (sharding.decide(request, runtime=name, explain=True).to_dict() for name in RUNTIMES)
        for decision in (first, *others):
            for each in (decision, decision["auto"]["quantization"]):
                each["trace"] = each["trace"]["rule"]
        assert others == [first] * len(others)


def test_every_branch_is_there(plans: list[dict[str, Any]]) -> None:
    strategies = {str(line["expected"]["plan"]["strategy"]) for line in plans}
    assert len(plans) == 1700
    assert {name.strip("{'").partition("'")[0] for name in strategies} == {
        *("None", "TensorParallel", "PipelineParallel", "DataParallel")
    }


def test_what_variables_hold(plans: list[dict[str, Any]], sharding: engine.Policy) -> None:
    """The bytes needed and the bytes available are the reference's too, not just the plans that follow."""
    for line in plans[::17]:
        trace = sharding.decide(engine.Request.from_dict(line), explain=True).trace
        assert trace is not None
        values = {variable.name: variable.value for variable in trace.variables}
        if "needed" in values:
            assert values["needed"] == line["expected"]["estimate_memory"]
        if "available_memory" in values:
            assert values["available_memory"] == line["expected"]["total_memory"]


def test_the_handwritten_planner_is_right_too(plans: list[dict[str, Any]]) -> None:
    for line in plans:
        plan = handwritten_plan(engine.Request.from_dict(line))
        expected = line["expected"]["plan"]
        assert [list(shard.layer_range) for shard in plan.shards] == [
            s["layer_range"] for s in expected["shards"]
        ]
        assert [shard.memory_bytes for shard in plan.shards] == [
            s["memory_bytes"] for s in expected["shards"]
        ]
        assert plan.total_memory_bytes == expected["total_memory_bytes"]
        assert plan.estimated_tokens_per_sec == expected["estimated_tokens_per_sec"]
        assert plan.fits_in_memory == line["expected"]["fits_in_memory"]


def test_batch_reads_the_reference_as_it_is(plans: list[dict[str, Any]], run: Run, tmp_path: Any) -> None:
    import json

    few = plans[::20]
    file = tmp_path / "plans.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in few))
    ran = run("batch", file, "--policy", "sharding@1.0.0", "--format", "ai-hwaccel")
    assert ran.code == 0
    assert ran.err == ""
    assert [(line["id"], line["plan"], line["fits_in_memory"]) for line in ran.lines] == [
        (line["id"], line["expected"]["plan"], line["expected"]["fits_in_memory"]) for line in few
    ]
