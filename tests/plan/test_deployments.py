"""Published deployments: `sharding` accepts what ran at its published degrees, and nothing that failed."""

from __future__ import annotations

from functools import cache
from typing import TypedDict

import pytest
import yaml

import engine
from tests.conftest import TOP

REFERENCE = TOP.parent / "shared" / "reference"
FILE = REFERENCE / "deployments2.yaml"
SERVERS = {"trtllm": "tensorrt-llm"}
REASONS = {
    "f-vllm596-llama2-13b-3x3090-tp3": "heads-divide",
    "f-vllm4232-qwen15-32b-6t4-tp6": "heads-divide",
    "f-fsdrive21-qwen2vl-2b-tp8": "heads-divide",
    "f-sglang10852-qwen3next-fp8-tp8": "shared-groups-divide",
    "f-vllm2699-qwen15-14b-gptq-tp2": "groups-divide",
    "f-qwenvl831-qwen25vl72b-awq-tp4": "groups-divide",
    "f-vllm5714-llama3-70b-1x80g": "memory",
    "f-qwen16-qwen15-7b-gptq-3090": "memory",
    "f-qwen295-qwen15-7b-24g": "memory",
    "f-qwen16c-qwen15-72b-2a100": "memory",
    "f-vllm41695-qwen3coder30b-fp8-5090": "memory",
    "f-gs-gptoss-a100-trtllm": "format",
}
"""The requirement that says why a deployment failed."""


MEMORY = {"kubis-gptoss120b-2spark-tp2": "119GiB"}
"""Memory of devices that share the machine's: a DGX Spark has 128 GB."""


class Deployment(TypedDict, total=False):
    id: str
    outcome: str
    inventory: str
    config: str
    catalog_name: str
    precision: str
    engine: str
    features: list[str]
    tp: int
    pp: int
    dp: int
    ep: int


@cache
def deployments() -> list[Deployment]:
    if not FILE.exists():
        return []
    listed: list[Deployment] = yaml.safe_load(FILE.read_text(encoding="utf-8"))["deployments"]
    return listed


@cache
def policy() -> engine.Policy:
    return engine.load_policy("sharding@3")


def decide(case: Deployment) -> engine.Decision:
    """Decide a deployment at its published degrees, for its server."""
    inventory = case["inventory"]
    serving = {
        name: value
        for name, value in case.items()
        if name in ("context", "input_tokens", "output_tokens", "concurrency") and value
    }
    server = "trtllm" if case["id"].endswith("trtllm") else case.get("engine")
    if server is not None:
        serving["server"] = SERVERS.get(server, server)
    if "kv fp8" in case.get("features", []):
        serving["kv_dtype"] = "fp8"
    request = {"serving": serving, "quantization": case["precision"]}
    return engine.decide(
        request=request,
        inventory=str(REFERENCE / inventory) if inventory.startswith("inventories/") else inventory,
        memory=MEMORY.get(case["id"]),
        model=case.get("catalog_name") or str(REFERENCE / case["config"]),
        pin=f"tp={case['tp']},pp={case['pp']},dp={case['dp']},ep={case['ep']}",
        policy=policy(),
    )


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("case", deployments(), ids=lambda case: str(case["id"]))
def test_sharding_decides_as_published(case: Deployment) -> None:
    decision = decide(case)
    if case["outcome"] == "ran":
        assert decision.plan is not None, decision.explanation
        assert decision.plan.server is not None
    else:
        assert decision.refusal is not None
        assert decision.refusal.requirement == REASONS[case["id"]], decision.explanation


@pytest.mark.skipif(not FILE.exists(), reason="the reference data is not beside this checkout")
def test_sharding_is_held_against_all_deployments() -> None:
    assert len([case for case in deployments() if case["outcome"] == "ran"]) >= 50
