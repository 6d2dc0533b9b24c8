"""A lazy search decides as one that evaluates every score of every candidate."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
import yaml

import engine
from engine.fastpath.levels import CANDIDATE, EXPERTS, GROUP, PIPELINE, TENSOR, Levels
from tests.cli.test_eval_search import DEVICES, POLICY
from tests.conftest import Run

DENSE = {"params": "34B"}
EXPERTS_MODEL = {
    "params": "47B",
    "active_params": "13B",
    "layers": 32,
    "hidden_size": 4096,
    "attention_heads": 32,
    "kv_heads": 8,
    "vocabulary": 32000,
    "intermediate_size": 14336,
    "experts": 8,
    "experts_per_token": 2,
    "expert_intermediate_size": 14336,
}
HARDWARE = (
    [("H100-SXM", 80, 4)],
    [("H100-SXM", 80, 2), ("A100-SXM-80GB", 80, 1), ("H100-SXM", 60, 1)],
)
SERVING: tuple[dict[str, Any], ...] = (
    {},
    {"concurrency": 200},
    {"objective": "throughput", "concurrency": 32},
    {"objective": "latency"},
    {"objective": "economy", "max_ttft_ms": 500.0, "percentile": 90},
)


def request(
    hardware: list[tuple[str, int, int]], model: dict[str, Any], serving: dict[str, Any]
) -> engine.Request:
    devices = [
        {
            "kind": "CudaGpu",
            "name": name,
            "memory": f"{memory}GiB",
            "count": count,
            "node": f"node{number // 2}",
        }
        for number, (name, memory, count) in enumerate(hardware)
    ]
    asked = {"inventory": {"devices": devices}, "model": model, "quantization": "bf16", "serving": serving}
    return engine.Request.from_dict(asked)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("hardware", "model"),
    list(itertools.product(HARDWARE, (DENSE, EXPERTS_MODEL))),
    ids=[f"{each}-{model}" for each in ("equal", "mixed") for model in ("dense", "experts")],
)
def test_sharding_decides_as_the_interpreter(
    hardware: list[tuple[str, int, int]], model: dict[str, Any]
) -> None:
    policy = engine.load_policy("sharding@3.0.0")
    for serving in SERVING:
        asked = request(hardware, model, serving)
        lazy = policy.decide(asked).to_dict()
        whole = policy.decide(asked, explain=True).to_dict()
        whole.pop("trace")
        for each in whole.get("auto", {}).values():
            each.pop("trace", None)
        assert lazy == whole, serving


@pytest.mark.parametrize("lazy", [True, False])
@pytest.mark.usefixtures("allow_fallback")
def test_an_error_in_a_score_counts_where_the_score_is_needed(lazy: bool, run: Run, tmp_path: Path) -> None:
    """One stage is preferred, so a lazy search does not need the second score of two stages."""
    scores = (
        "            - {id: fewest, score: -candidate.pipeline_parallel}\n"
        "            - {id: odd, score: 10 / (candidate.pipeline_parallel - 2)}\n"
    )
    text = POLICY.replace("            - {id: most, score: candidate.pipeline_parallel}\n", scores)
    if lazy:
        text = text.replace("        candidate:\n", "        candidate:\n          lazy: true\n")
    file = tmp_path / "p.yaml"
    file.write_text(text)
    ran = run("eval", "--policy", file, "--input", "-", "--format", "json", stdin=DEVICES)
    if lazy:
        assert ran.ok().json["explanation"] == "1 stages"
    else:
        assert ran.code == 2
        assert "p.yaml" in ran.err
        assert "divi" in ran.err


def test_levels_follow_what_is_read(tmp_path: Path) -> None:
    document = yaml.safe_load(POLICY)
    candidate = document["rule"]["match"][0]["plan"]["candidate"]
    candidate["variables"] = [
        {"name": "device", "expression": "candidate.stages[0].device"},
        {"name": "memory", "expression": "variables.device.memory_bytes + 1"},
        {"name": "halves", "expression": "candidate.tensor_parallel * 2 + variables.memory"},
        {"name": "stages", "expression": "candidate.stages.map(stage, stage.count).sum()"},
        {"name": "spread", "expression": "candidate.data_parallel + candidate.expert_parallel"},
        {"name": "many", "expression": "candidate.devices > candidate.data_parallel"},
        {"name": "chosen", "expression": "(variables.many ? 1 : 0) + variables.stages"},
    ]
    candidate["result"]["stage_layers"] = "candidate.stages.map(stage, stage.count)"
    names = [each["name"] for each in candidate["variables"]]
    candidate["prefer"] = [{"id": name, "score": f"int(variables.{name})"} for name in names[2:5]] + [
        {"id": "chosen", "score": "variables.chosen"}
    ]
    file = tmp_path / "p.yaml"
    file.write_text(yaml.safe_dump(document))
    search = engine.load_policy(str(file), use_cache=False).compiled.rule.matches[0].search
    assert search is not None
    levels = Levels(search)
    assert {name: levels.of_variable(name) for name in names} == {
        "device": GROUP,
        "memory": GROUP,
        "halves": TENSOR,
        "stages": PIPELINE,
        "spread": CANDIDATE,
        "many": EXPERTS,
        "chosen": EXPERTS,
    }
    assert levels.cuts(EXPERTS) == ["many"]
