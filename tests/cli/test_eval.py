"""`engine eval`: what people and programs get."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
import yaml
from referencing import Registry, Resource

from tests.conftest import DATA, TOP, Run
from tests.support.runtimes import RUNTIMES

pytestmark = pytest.mark.usefixtures("first_version")

A100 = TOP / "examples" / "8x-a100.yaml"
ARGUMENTS = ("eval", "--inventory", A100, "--params", "70B", "--quantization", "bf16")


def check_decision(decision: object) -> None:
    schemas = [json.loads(path.read_text()) for path in (TOP / "schemas").glob("*.schema.json")]
    registry = Registry().with_resources([(s["$id"], Resource.from_contents(s)) for s in schemas])
    (schema,) = (s for s in schemas if s["$id"] == "decision.schema.json")
    jsonschema.Draft202012Validator(schema, registry=registry).validate(decision)


def test_text(run: Run) -> None:
    ran = run(*ARGUMENTS)
    ran.ok(quiet=True)
    lines = ran.out.splitlines()
    assert lines[0] == "Tensor parallel over 8 devices (TP 8)"
    assert "match         tensor-parallel" in lines
    assert any(line.startswith("policy        sharding@1.0.0  sha256:") for line in lines)
    assert "    7  CudaGpu 7  A100-SXM4-80GB     all  19.56 GiB      24.4%" in lines
    assert "estimate      576.0 tok/s per request" in lines
    assert max(map(len, lines)) <= 80
    assert "\x1b" not in ran.out


@pytest.mark.slow
@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_text_keeps_to_the_terminal(width: int, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    for example in sorted((TOP / "examples").glob("*x-*.yaml")):
        ran = run("eval", "--inventory", example, "--params", "300B", "--quantization", "int8", "--explain")
        plan = ran.out.partition("Trace of")[0]
        assert max(map(len, plan.splitlines())) <= width


def test_explain_tells_every_match_and_why(run: Run) -> None:
    ran = run(*ARGUMENTS, "--explain")
    text = ran.out
    for line in (
        "✗ nothing-available  condition is false",
        "size(variables.available) = 9",
        "✗ single-device  condition is false",
        "variables.needed = 168000000000",
        "variables.best.memory_bytes = 85899345920",
        "variables.tpu_memory >= variables.needed = not needed",
        "✓ tensor-parallel  chosen",
        "variables.nvswitch = true",
        "· pipeline-parallel  not reached, an earlier match was chosen",
        "tp_bonus = 1.8",
    ):
        assert line in text
    assert "layers_per_stage" not in text.partition("Variables, in evaluation order")[2]


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.usefixtures("offered_oracle")
def test_json_and_its_trace(run: Run, runtime: str) -> None:
    decision = run(*ARGUMENTS, "--format", "json", "--explain", "--runtime", runtime).json
    check_decision(decision)
    assert decision["outcome"] == "plan"
    assert decision["plan"]["strategy"]["kind"] == "tensor_parallel"
    assert decision["plan"]["shards"][3] == {
        "shard_id": 3,
        "device": {"kind": "CudaGpu", "device_id": 3, "name": "A100-SXM4-80GB"},
        "layer_range": [0, 0],
        "memory_bytes": 21_000_000_000,
    }
    trace = decision["trace"]
    assert trace["runtime"] == runtime
    results = {match["id"]: match["result"] for match in trace["rule"]["matches"]}
    assert results == {
        "nothing-available": "failed",
        "single-device": "failed",
        "tpu-tensor-parallel": "failed",
        "tensor-parallel": "chosen",
        "pipeline-parallel": "not_reached",
        "cpu-fallback": "not_reached",
    }
    variables = {variable["name"]: variable["value"] for variable in trace["variables"]}
    assert variables["needed"] == 168_000_000_000
    assert len(variables["pool"]) == 8


def test_yaml_is_the_same_as_json(run: Run) -> None:
    assert yaml.safe_load(run(*ARGUMENTS, "--format", "yaml").out) == run(*ARGUMENTS, "--format", "json").json


def test_explain_decides_the_same(run: Run) -> None:
    with_trace = run(*ARGUMENTS, "--format", "json", "--explain").json
    del with_trace["trace"]
    assert with_trace == run(*ARGUMENTS, "--format", "json").json


@pytest.mark.parametrize("example", sorted((TOP / "examples").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_example_decides(example: Path, run: Run) -> None:
    if example.stem == "request":
        ran = run("eval", "--request", example, "--format", "json")
    elif example.stem == "quota-input":
        ran = run(
            *("eval", "--policies", TOP / "examples" / "policies", "--policy", "quota"),
            *("--input", example, "--format", "json"),
        )
    else:
        ran = run(
            "eval", "--inventory", example, "--params", "7B", "--quantization", "auto", "--format", "json"
        )
    ran.ok(quiet=True)
    check_decision(ran.json)


def test_auto_asks_the_quantization_policy_first(run: Run) -> None:
    decision = run(
        "eval", "--inventory", A100, "--params", "70B", "--quantization", "auto", "--format", "json"
    ).json
    # 70e9 × 8 bits / 8 × 1.2 = 84e9 bytes: more than 16 bits allow, within 80 GiB = 85.9e9
    assert decision["quantization"] == "int8"
    chooser = decision["auto"]["quantization"]
    assert (chooser["policy"]["name"], chooser["match"], chooser["output"]) == ("quantization", "gpu", "int8")
    assert decision["match"] == "single-device"


def test_flags_win_over_the_request(run: Run, tmp_path: Path) -> None:
    request = tmp_path / "request.json"
    request.write_text(
        json.dumps(
            {
                "id": "r1",
                "inventory": {"devices": [{"kind": "Cpu", "memory": "64GiB"}]},
                "model": {"params": "1B"},
                "quantization": "fp32",
            }
        )
    )
    plain = run("eval", "--request", request, "--format", "json").json
    assert (plain["id"], plain["quantization"], plain["plan"]["total_memory_bytes"]) == (
        "r1",
        "fp32",
        4_800_000_000,
    )
    flagged = run(
        *("eval", "--request", request, "--params", "2B", "--quantization", "Int8"),
        *("--inventory", A100, "--format", "json"),
    ).json
    assert flagged["plan"]["total_memory_bytes"] == 2_400_000_000
    assert flagged["plan"]["shards"][0]["device"]["kind"] == "CudaGpu"
    assert flagged["quantization"] == "int8"


def test_standard_input_and_the_registry_form(run: Run) -> None:
    registry = {
        "schema_version": 3,
        "profiles": [
            {"accelerator": {"CudaGpu": {"device_id": 0}}, "available": True, "memory_bytes": 85899345920},
            {"accelerator": "Cpu", "available": True, "memory_bytes": 1},
        ],
        "system_io": {"interconnects": []},
    }
    ran = run(
        *(
            "eval",
            "--inventory",
            "-",
            "--params",
            "8B",
            "--quantization",
            "BFloat16",
            "--format",
            "ai-hwaccel",
        ),
        stdin=json.dumps(registry),
    )
    assert ran.json == {
        "id": None,
        "plan": {
            "shards": [
                {
                    "shard_id": 0,
                    "layer_range": [0, 0],
                    "device": {"CudaGpu": {"device_id": 0}},
                    "memory_bytes": 19_200_000_000,
                }
            ],
            "strategy": "None",
            "total_memory_bytes": 19_200_000_000,
            "estimated_tokens_per_sec": 1e9 / 8e9 * 20.0 * 2.0,
        },
        "fits_in_memory": True,
    }


def test_nothing_fits_is_a_negative_answer(run: Run) -> None:
    laptop = TOP / "examples" / "laptop.yaml"
    ran = run("eval", "--inventory", laptop, "--params", "70B", "--quantization", "bf16")
    assert ran.code == 1
    assert "Single device (does not fit)" in ran.out
    assert "warning: shard 0 needs 156.46 GiB, device Cpu has 16.00 GiB" in ran.out


def test_nothing_available_is_a_negative_answer(run: Run) -> None:
    ran = run(
        *("eval", "--inventory", "-", "--params", "1B", "--quantization", "int4"),
        stdin="devices: [{kind: CudaGpu, memory: 80GiB, available: false}]",
    )
    assert ran.code == 1
    assert ran.out.startswith("Nothing can be placed\n")


def test_a_form_that_cannot_say_it(run: Run) -> None:
    folder = DATA / "policies"
    ran = run(
        *("eval", "--policy", folder / "order" / "policy.yaml", "--input", "-", "--format", "ai-hwaccel"),
        stdin="words: [a]",
    )
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("error: the ai-hwaccel format holds only plans, but the outcome is value")


def test_environment_variable_names_policies(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENGINE_POLICIES", str(TOP / "examples" / "policies"))
    ran = run(
        "eval", "--policy", "quota", "--input", TOP / "examples" / "quota-input.yaml", "--format", "json"
    )
    assert ran.json["output"] == {"grant": 8, "limit": 8}


def test_a_long_table_says_what_it_leaves_out(run: Run) -> None:
    ran = run(
        *("eval", "--inventory", "-", "--params", "4000B", "--quantization", "bf16"),
        stdin="devices: [{kind: CudaGpu, count: 500, memory: 80GiB}]",
    )
    assert "452 more (all with --format json)" in ran.out
    assert "  499  CudaGpu 499" in ran.out


def test_sizes_are_exact(run: Run) -> None:
    for size, bytes_ in (
        ("80GiB", 80 * 2**30),
        ("24GB", 24 * 10**9),
        ("1.5TiB", 3 * 2**39),
        ("512Mi", 2**29),
    ):
        ran = run(
            *(
                "eval",
                "--inventory",
                "-",
                "--params",
                "1",
                "--quantization",
                "fp32",
                "--format",
                "json",
                "--explain",
            ),
            stdin=f"devices: [{{kind: Cpu, memory: {size}}}]",
        )
        variables = {v["name"]: v["value"] for v in ran.json["trace"]["variables"]}
        assert variables["available"][0]["memory_bytes"] == bytes_
