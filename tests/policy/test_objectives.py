"""Objectives: ordered lists of named scores, and layouts, decide as scores with nested conditions do."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

import engine
from tests.conftest import TOP, Run

FAST = "variables.fast && !(candidate.tensor_parallel > 1 && variables.used < constants.least_used)"

OBJECTIVES = {
    "balanced": [
        *(
            "accelerated",
            "layout",
            "tensor-width",
            "fewest-stages",
            "whole-experts",
            "replicas",
            "rank",
            "speed",
        ),
        "fewest-experts-apart",
    ],
    "latency": ["speed", "tensor-width", "fewest-stages", "replicas", "rank", "fewest-experts-apart"],
    "throughput": [
        *("accelerated", "throughput", "tensor-width", "fewest-stages", "fewest-devices", "rank", "speed"),
        "fewest-experts-apart",
    ],
    "economy": [
        *("accelerated", "fewest-devices", "least-memory", "fewest-stages", "replicas", "rank", "speed"),
        "fewest-experts-apart",
    ],
}
SCORES = {
    "accelerated": "!(variables.device.family in constants.last_resorts) ? size(constants.last_resorts)"
    " : lists.range(size(constants.last_resorts))"
    ".filter(place, constants.last_resorts[place] == variables.device.family)[0]",
    "tensor-width": "variables.fast ? variables.tp : 0.0",
    "fewest-stages": "-variables.pp",
    "whole-experts": "-candidate.expert_parallel",
    "replicas": "candidate.data_parallel",
    "rank": "variables.device.rank",
    "speed": "-variables.token_ms",
    "fewest-experts-apart": "-candidate.expert_parallel",
    "throughput": "variables.saturated"
    " * (candidate.devices > candidate.data_parallel ? constants.split_worth : 1.0)",
    "fewest-devices": "-candidate.devices",
    "least-memory": "-(lists.range(size(candidate.stages)).map(run, double(variables.stage_bytes[run]"
    " * variables.counts[run])).sum()) * variables.tp",
}
LAYOUT = [
    {
        "id": "one-device",
        "when": f"{FAST} && candidate.pipeline_parallel == 1 && candidate.tensor_parallel == 1"
        " && candidate.expert_parallel == 1",
    },
    {"id": "tensor", "when": f"{FAST} && candidate.pipeline_parallel == 1"},
    {"id": "pipeline", "when": FAST},
]


def document() -> dict[str, Any]:
    """Return sharding 2.0.0 with objectives instead of nested conditions."""
    value: dict[str, Any] = yaml.safe_load((TOP / "policies" / "sharding" / "2.0.0.yaml").read_text())
    value |= {"name": "mine", "version": "1.0.0"}
    candidate = value["rule"]["match"][0]["plan"]["candidate"]
    candidate["prefer"] = [{"id": name, "score": score} for name, score in SCORES.items()]
    candidate |= copy.deepcopy({"objectives": OBJECTIVES, "layout": LAYOUT})
    for name in ("one_device_score", "tensor_score", "pipeline_score", "pcie_score"):
        del value["constants"][name]
    return value


def write(folder: Path, value: dict[str, Any]) -> Path:
    file = folder / "mine" / "1.0.0.yaml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(yaml.safe_dump(value, sort_keys=False, width=1000))
    return file


@pytest.mark.slow
@pytest.mark.parametrize("objective", list(OBJECTIVES))
def test_objectives_decide_as_nested_conditions_do(tmp_path: Path, objective: str) -> None:
    write(tmp_path, document())
    policies = engine.load_policy("sharding@2.0.0"), engine.load_policy("mine", tmp_path)
    for line in (TOP / "examples" / "history.jsonl").read_text().splitlines()[::3]:
        asked = {**json.loads(line), "serving": {"objective": objective, "concurrency": 4}}
        first, second = (policy.decide(engine.Request.from_dict(asked)).to_dict() for policy in policies)
        assert {**first, "policy": None} == {**second, "policy": None}


@pytest.mark.slow
@pytest.mark.parametrize("objective", list(OBJECTIVES))
def test_the_trace_names_the_scores_of_the_objective(tmp_path: Path, objective: str) -> None:
    write(tmp_path, document())
    asked = json.loads((TOP / "examples" / "history.jsonl").read_text().splitlines()[0])
    request = engine.Request.from_dict({**asked, "serving": {"objective": objective}})
    trace = engine.load_policy("mine", tmp_path).decide(request, explain=True).to_dict()["trace"]
    scored = next(each for each in trace["candidates"] if "scores" in each)
    assert list(scored["scores"]) == OBJECTIVES[objective]


@pytest.mark.slow
def test_the_last_layout_is_all_others(tmp_path: Path) -> None:
    value = document()
    value["rule"]["match"][0]["plan"]["candidate"]["layout"].append({"id": "anything"})
    write(tmp_path, value)
    asked = json.loads((TOP / "examples" / "history.jsonl").read_text().splitlines()[0])
    request = engine.Request.from_dict({**asked, "serving": {"objective": "balanced"}})
    trace = engine.load_policy("mine", tmp_path).decide(request, explain=True).to_dict()["trace"]
    assert {each["scores"]["layout"] for each in trace["candidates"] if "scores" in each} <= {
        1.0,
        2.0,
        3.0,
        4.0,
    }


def test_an_objective_that_is_not_listed_is_refused(tmp_path: Path) -> None:
    value = document()
    del value["rule"]["match"][0]["plan"]["candidate"]["objectives"]["economy"]
    candidate = value["rule"]["match"][0]["plan"]["candidate"]
    candidate["prefer"] = [each for each in candidate["prefer"] if each["id"] != "least-memory"]
    write(tmp_path, value)
    asked = json.loads((TOP / "examples" / "history.jsonl").read_text().splitlines()[0])
    request = engine.Request.from_dict({**asked, "serving": {"objective": "economy"}})
    decision = engine.load_policy("mine", tmp_path).decide(request)
    assert decision.outcome == "infeasible"
    assert decision.refusal is not None
    assert decision.refusal.requirement == "known-objective"
    assert decision.explanation == "unknown objective 'economy', known: balanced, latency, throughput"


def test_an_overlay_changes_an_objective(tmp_path: Path) -> None:
    write(tmp_path, document())
    file = tmp_path / "ours" / "1.0.0.yaml"
    file.parent.mkdir()
    head = "apiVersion: engine/v1\nkind: Overlay\nname: ours\nversion: 1.0.0\nbase: mine\n"
    file.write_text(
        head + "objectives: {balanced: [accelerated, fewest-devices, layout], calm: [whole-experts]}\n"
    )
    ours = engine.load_policy("ours", tmp_path)
    inventory = {"devices": [{"kind": "CudaGpu", "name": "H100-SXM", "memory": "80GiB", "count": 8}]}
    request = engine.Request.from_dict(
        {"inventory": inventory, "model": {"params": "70B"}, "quantization": "bf16"}
    )
    decision = ours.decide(request)
    assert decision.plan is not None
    assert len(decision.plan.shards) == 2
    file.write_text(head + "objectives: {balanced: [acelerated]}\n")
    with pytest.raises(
        engine.PolicyError, match="objective 'balanced' names no score: 'acelerated'"
    ) as caught:
        engine.load_policy("ours", tmp_path)
    assert str(caught.value.place) == f"{file}:6:25"
    assert caught.value.hint == "did you mean 'accelerated'?"


@pytest.mark.parametrize(
    ("change", "code", "message"),
    [
        (
            {"objectives": {**OBJECTIVES, "calm": ["quiet"]}},
            "E123",
            "objective 'calm' names no score: 'quiet'",
        ),
        (
            {"objectives": {**OBJECTIVES, "calm": ["rank", "rank"]}},
            "E123",
            "objective 'calm' names 'rank' twice",
        ),
        (
            {"objectives": {"balanced": OBJECTIVES["balanced"]}},
            "E123",
            "score 'throughput' is in no objective",
        ),
        ({"layout": [LAYOUT[0], LAYOUT[0]]}, "E108", "duplicate layout id 'one-device'"),
        (
            {"layout": [{"id": "rest"}, LAYOUT[0]]},
            "E108",
            "layout 'rest' has no condition, so none after it is reached",
        ),
        ({"layout": [{"id": "x", "when": "1"}]}, "E104", "expected 'bool', the expression gives 'int'"),
        ({"layout": [{"id": "x", "when": "variables.fats"}]}, "E102", "undeclared variable 'fats'"),
        ({"objective": "variables.layers"}, "E104", "expected 'string', the expression gives 'int'"),
        ({"objectives": {}}, "E002", ""),
    ],
)
def test_a_faulty_objective_is_refused(
    tmp_path: Path, run: Run, change: dict[str, Any], code: str, message: str
) -> None:
    value = document()
    value["rule"]["match"][0]["plan"]["candidate"] |= change
    file = write(tmp_path, value)
    ran = run("check", file)
    assert ran.code == 1
    assert f" {code} " in ran.out
    assert message in ran.out
    assert f"{file}:1:1" not in ran.out


def test_a_layout_needs_an_objective(tmp_path: Path, run: Run) -> None:
    value = document()
    del value["rule"]["match"][0]["plan"]["candidate"]["objectives"]
    assert "E123 layout is in no objective" in run("check", write(tmp_path, value)).out


def test_generated_scores_are_no_findings(tmp_path: Path, run: Run) -> None:
    found = run("check", write(tmp_path, document()), "--format", "json").json["findings"]
    # The constants of sharding 2.0.0 declare units that are wrong.
    assert {finding["code"] for finding in found} <= {"W230", "W231"}
    assert not [finding for finding in found if "objective" in finding["message"]]
