"""`engine eval` with a policy that searches: what people and programs see, and what is wrong."""

from __future__ import annotations

import itertools
import json
import shlex
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from referencing import Registry, Resource

from tests.conftest import TOP, Run

H100 = ("--inventory", "8xH100-SXM", "--model", "llama-3.1-70b", "--quantization", "bf16")
TOO_MUCH = ("--inventory", "2xRTX-4090", "--model", "qwen3-32b", "--quantization", "bf16")


def schema() -> jsonschema.Draft202012Validator:
    texts = {file.name: json.loads(file.read_text()) for file in (TOP / "schemas").glob("*.json")}
    registry: Registry[Any] = Registry().with_resources(
        [(name, Resource.from_contents(value)) for name, value in texts.items()]
    )
    return jsonschema.Draft202012Validator(texts["decision.schema.json"], registry=registry)


@pytest.mark.slow
def test_what_programs_read(run: Run) -> None:
    ran = run("eval", *H100, "--format", "json", "--explain")
    ran.ok()
    decision = ran.json
    schema().validate(decision)
    assert decision["policy"]["version"] == "3.0.0"
    plan = decision["plan"]
    assert plan["strategy"] == {
        "kind": "tensor_parallel",
        "tensor_parallel": 8,
        "pipeline_parallel": 1,
        "data_parallel": 1,
        "expert_parallel": 1,
        "attention_data_parallel": 1,
    }
    assert plan["server"] == "vllm"
    estimates = plan["estimates"]
    assert estimates["tokens_per_sec"] == pytest.approx(1000 / estimates["time_per_output_token_ms"])
    assert sum(estimates["parts_ms"].values()) == pytest.approx(estimates["time_per_output_token_ms"])
    assert estimates["binding"] == max(estimates["parts_ms"], key=estimates["parts_ms"].get)
    assert estimates["memory_gib_per_device"] == plan["shards"][0]["memory_bytes"] / 2**30
    assert [shard["layer_range"] for shard in plan["shards"]] == [[0, 79]] * 8
    candidates = decision["trace"]["candidates"]
    (chosen,) = [each for each in candidates if each.get("chosen")]
    assert (chosen["tensor_parallel"], chosen["devices"]) == (8, "H100-SXM")
    failed = {(each["tensor_parallel"], each.get("failed")) for each in candidates}
    assert {(3, "heads-divide"), (1, "memory")} <= failed


@pytest.mark.slow
def test_what_people_read(run: Run) -> None:
    out = run("eval", *H100, "--context", "131072", "--concurrency", "4", "--explain").out
    assert out.startswith("Tensor parallel over 8 devices (TP 8)\n")
    assert "\nTPOT          " in out
    assert "\n  breakdown   overhead " in out
    assert "\nserver        vllm\n" in out
    assert "are feasible, best first" in out
    assert "fails heads-divide" in out
    head = out[: out.index("Variables, in evaluation order")]
    assert max(map(len, head.splitlines())) <= 80


@pytest.mark.slow
def test_nothing_fits(run: Run) -> None:
    ran = run("eval", *TOO_MUCH, "--format", "json")
    assert ran.code == 1
    decision = ran.json
    schema().validate(decision)
    assert (decision["outcome"], decision["plan"], decision["binding"]) == ("infeasible", None, "memory")
    assert [(each["change"], each["value"]) for each in decision["remedies"]] == [
        ("quantization", "fp8"),
        ("serving.host_memory_bytes", 32 * 2**30),
        ("devices", 2),
    ]
    # Each is true: so changed, the request has that plan; with one device less it has none.
    for quantization, inventory, code in (("fp8", "2x", 0), ("bf16", "4x", 0), ("bf16", "3x", 1)):
        asked = (
            "--inventory",
            f"{inventory}RTX-4090",
            "--model",
            "qwen3-32b",
            "--quantization",
            quantization,
        )
        again = run("eval", *asked, "--format", "json")
        assert again.code == code
        if code == 0:
            strategies = [each["strategy"] for each in decision["remedies"]]
            assert again.json["plan"]["strategy"] in strategies
    out = run("eval", *TOO_MUCH).out
    assert out.startswith("No feasible plan: memory\n")
    assert "  +2 devices on the same      tensor parallel 4     27.4 ms  34.3 tok/s     100%\n" in out
    assert "\nconflict      no plan for quantization bf16 and 2 devices\n" in out
    speeds = [each["speed"] for each in decision["remedies"]]
    assert max(speed["throughput_share"] for speed in speeds) == 1.0
    assert again.json["plan"] is None
    assert [each["id"] for each in decision["conflict"]] == ["quantization", "host-memory", "devices"]


@pytest.mark.slow
def test_pins(run: Run) -> None:
    asked = ("eval", *H100, "--format", "json", "--pin")
    strategy = run(*asked, "tp=4,pp=2").json["plan"]["strategy"]
    assert (strategy["tensor_parallel"], strategy["pipeline_parallel"]) == (4, 2)
    assert run(*asked, "tensor_parallel=3").json["binding"] == "heads-divide"
    assert run(*asked, "tp=16").json["explanation"].startswith("there are not as many devices")
    for wrong in ("tp", "tp=", "tp=0", "tp=-1", "xp=2", "tp=8;pp=2", "tp=1.5"):
        ran = run(*asked, wrong)
        assert (ran.code, ran.out) == (2, "")
        assert "expected degrees such as tp=8,pp=2" in ran.err


def test_flags_win_over_wishes_in_a_file(run: Run, tmp_path: Path) -> None:
    request = tmp_path / "r.yaml"
    request.write_text(
        yaml.safe_dump(
            {
                "inventory": {
                    "devices": [{"kind": "CudaGpu", "name": "H100-SXM", "memory": "80GiB", "count": 8}]
                },
                "model": {"params": "8B", "layers": 32, "attention_heads": 32, "hidden_size": 4096},
                "quantization": "bf16",
                "serving": {"objective": "economy", "context": 4096},
                "pin": {"tensor_parallel": 2},
            }
        )
    )
    asked = ("eval", "--request", request, "--format", "json")
    assert len(run(*asked).json["plan"]["shards"]) == 2
    assert len(run(*asked, "--objective", "balanced").json["plan"]["shards"]) == 8
    assert len(run(*asked, "--pin", "tp=1").json["plan"]["shards"]) == 1


@pytest.mark.parametrize(
    ("serving", "message"),
    [
        ("{objective: fastest}", "serving.objective: 'fastest'"),
        ("{context: 0}", "serving.context: 0 is less than 1"),
        ("{context: many}", "serving.context: expected a whole number, found 'many'"),
        ("{utilization: 0}", "serving.utilization"),
        ("{utilization: 1.5}", "serving.utilization: 1.5 is more than 1"),
        ("{concurency: 4}", "unknown field 'concurency'"),
        ("[]", "serving: expected a mapping"),
    ],
)
def test_wishes_that_cannot_be(serving: str, message: str, run: Run, tmp_path: Path) -> None:
    request = tmp_path / "r.yaml"
    request.write_text(
        "inventory: {devices: [{kind: CudaGpu, memory: 80GiB}]}\nmodel: {params: 8B}\nquantization: bf16\n"
        f"serving: {serving}\n"
    )
    ran = run("eval", "--request", request)
    assert (ran.code, ran.out) == (2, "")
    assert message in ran.err
    assert "r.yaml:4:" in ran.err


POLICY = """\
apiVersion: engine/v1
kind: Policy
name: p
version: 1.0.0
inputs: [{name: inventory, type: Inventory}]
rule:
  match:
    - id: s
      plan:
        builder: search
        arguments:
          devices: inventory.devices
          alike: inventory.devices.map(d, d.kind)
          budgets: inventory.devices.map(d, d.memory_bytes)
          ranks: inventory.devices.map(d, 1)
          domains: inventory.devices.map(d, d.kind)
          fabrics: inventory.devices.map(d, "")
          peer_links: '[]'
          peer_fabrics: '[]'
          near_fabric: '"pcie"'
          far_fabric: '"network"'
          layers: '4'
          experts: '0'
        candidate:
          variables:
            - {name: per_stage, expression: 4 / candidate.pipeline_parallel}
          require:
            - id: few
              condition: candidate.devices <= 4
              explanation: '"%d are many".format([candidate.devices])'
          prefer:
            - {id: most, score: candidate.pipeline_parallel}
          result:
            stage_layers: candidate.stages.map(stage, stage.count * variables.per_stage)
            stage_memory_bytes: candidate.stages.map(stage, 1)
      explanation: '"%d stages".format([candidate.pipeline_parallel])'
"""
DEVICES = "inventory: {devices: [{kind: A, memory: 1GiB, count: 4}]}\n"


@pytest.mark.parametrize("runtime", ["compiled", "cel-python", "cel-cpp"])
@pytest.mark.usefixtures("offered_oracle")
def test_a_policy_of_ones_own(runtime: str, run: Run, tmp_path: Path) -> None:
    file = tmp_path / "p.yaml"
    file.write_text(POLICY)
    asked = ("eval", "--policy", file, "--input", "-", "--format", "json", "--runtime", runtime)
    decision = run(*asked, stdin=DEVICES).json
    assert decision["explanation"] == "4 stages"
    assert [each["layer_range"] for each in decision["plan"]["shards"]] == [[0, 0], [1, 1], [2, 2], [3, 3]]
    file.write_text(POLICY.replace("devices <= 4", "devices > 9"))
    decision = run(*asked, stdin=DEVICES).json
    assert (decision["outcome"], decision["binding"], decision["explanation"]) == (
        "infeasible",
        "few",
        "4 are many",
    )


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("score: candidate.pipeline_parallel", "score: '\"x\"'", "a score is a number, found 'string'"),
        ("stage_memory_bytes: candidate", "stage_memory: candidate", "has no result 'stage_memory'"),
        (
            "            stage_layers: candidate",
            "            binding: candidate",
            "needs the result 'stage_layers'",
        ),
        ("candidate.devices <= 4", "candidate.devices", "expected 'bool', the expression gives 'int'"),
        ("candidate.devices <= 4", "candidate.device <= 4", "undefined field 'device'"),
        ("builder: search", "builder: empty", "builder empty does not search"),
        ("{id: most,", "{id: most, score: '1'}\n            - {id: most,", "duplicate preference id 'most'"),
        ("'\"%d stages\".format([candidate.pipeline_parallel])'", "variables.nothing", "'nothing'"),
        ("devices: inventory.devices\n", "devices: candidate.stages.map(s, s.device)\n", "'candidate'"),
    ],
)
def test_policies_that_cannot_be(old: str, new: str, message: str, run: Run, tmp_path: Path) -> None:
    file = tmp_path / "p.yaml"
    assert old in POLICY
    file.write_text(POLICY.replace(old, new, 1))
    ran = run("eval", "--policy", file, "--input", "-", stdin=DEVICES)
    assert (ran.code, ran.out) == (2, "")
    assert message in ran.err
    assert "p.yaml:" in ran.err


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("ranks: inventory.devices.map(d, 1)", "ranks: '[1]'", "1 ranks for 4 devices"),
        (
            "ranks: inventory.devices.map(d, 1)",
            "ranks: inventory.devices.map(d, 50000)",
            "more than 100000 ranks",
        ),
        ("4 / candidate.pipeline_parallel", "4 / (candidate.pipeline_parallel - 2)", "divide by zero"),
    ],
)
@pytest.mark.parametrize("runtime", ["compiled", "cel-python"])
def test_searches_that_end_in_an_error(
    runtime: str, old: str, new: str, message: str, run: Run, tmp_path: Path
) -> None:
    file = tmp_path / "p.yaml"
    file.write_text(
        POLICY.replace(old, new, 1).replace(
            "score: candidate.pipeline", "score: variables.per_stage + candidate.pipeline"
        )
    )
    ran = run("eval", "--policy", file, "--input", "-", "--runtime", runtime, stdin=DEVICES)
    assert (ran.code, ran.out) == (2, "")
    assert message in ran.err
    assert "p.yaml:" in ran.err


@pytest.mark.slow
def test_one_candidate_is_chosen_among_unequal_devices_too(run: Run) -> None:
    devices = "devices: [{kind: CudaGpu, memory: 24GiB, count: 2}, {kind: CudaGpu, memory: 20GiB, count: 2}]"
    asked = ("--params", "8B", "--quantization", "bf16", "--explain", "--format", "json")
    decision = run("eval", "--inventory", "-", *asked, stdin=devices).json
    assert sum(each.get("chosen", False) for each in decision["trace"]["candidates"]) == 1


# --- memory that a server is told to set aside ----------------------------------------------------------


def flags(run: Run, *arguments: str, form: str = "vllm") -> dict[str, str]:
    ran = run("eval", *arguments, "--quantization", "bf16", "--format", form)
    ran.ok()
    found = shlex.split(ran.out.replace("\\\n", " "))
    return {name: value for name, value in itertools.pairwise(found) if name.startswith("-")}


SMALL = ("--inventory", "2xRTX-4090", "--model", "llama-3.1-8b")


@pytest.mark.slow
def test_a_server_is_told_the_context_that_there_is_memory_for(run: Run) -> None:
    told = run("eval", *SMALL, "--quantization", "bf16", "--format", "json").json["plan"]["estimates"][
        "context"
    ]
    assert 8192 < told < 131072
    assert flags(run, *SMALL)["--max-model-len"] == str(told)
    asked = ("--quantization", "bf16", "--target", "sglang", "--format", "json")
    estimates = run("eval", *SMALL, *asked).json["plan"]["estimates"]
    assert flags(run, *SMALL, form="sglang")["--context-length"] == str(estimates["context"])
    printed = run("eval", *SMALL, "--quantization", "bf16").out
    assert f"tokens per replica: 1 request of {told:,} tokens\n" in printed


@pytest.mark.slow
def test_what_is_asked_is_what_a_server_is_told(run: Run) -> None:
    found = flags(run, *SMALL, "--context", "4096", "--utilization", "0.85")
    assert (found["--max-model-len"], found["--gpu-memory-utilization"]) == ("4096", "0.85")
    one = (*SMALL, "--pin", "dp=1", "--context", "4096", "--concurrency", "4")
    found = flags(run, *one, form="llama.cpp")
    assert (found["-c"], found["-np"]) == (str(4 * 4096), "4")
    asked = yaml.safe_load(
        run(
            "eval",
            *SMALL,
            "--quantization",
            "bf16",
            "--context",
            "4096",
            "--utilization",
            "0.85",
            "--format",
            "ray-serve",
        ).out
    )
    (config,) = asked["applications"][0]["args"]["llm_configs"]
    assert config["engine_kwargs"]["max_model_len"] == 4096
    assert config["engine_kwargs"]["gpu_memory_utilization"] == 0.85


@pytest.mark.parametrize("arguments", [(), ("--context", "131072")])
def test_vllm_whole_context_of_the_model_is_in_the_command(arguments: tuple[str, ...], run: Run) -> None:
    asked = ("--inventory", "8xH100-SXM", "--model", "llama-3.1-70b", *arguments)
    assert flags(run, *asked)["--max-model-len"] == "131072"


def test_vllm_context_that_is_unknown_is_not_in_the_command(run: Run) -> None:
    assert "--max-model-len" not in flags(run, "--inventory", "8xH100-SXM", "--params", "70B")
