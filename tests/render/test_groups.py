"""Outputs of plans with several groups of devices."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml

from tests.cli.test_eval_search import schema
from tests.conftest import Run

MIXED = ("--inventory", "4xA100-SXM-80GB+4xL40S", "--quantization", "fp8", "--concurrency", "64")
SEVENTY = (*MIXED, "--model", "llama-3.1-70b")
EIGHT = (*MIXED, "--model", "llama-3.1-8b")
NODES = """
devices:
  - {kind: CudaGpu, name: NVIDIA H100 80GB HBM3, memory: 81559MiB, count: 2, node: big}
  - {kind: CudaGpu, name: NVIDIA L40S, memory: 46068MiB, count: 2, node: small}
"""


def test_text_names_each_group_and_what_all_serve(run: Run) -> None:
    lines = run("eval", *SEVENTY).out.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[0] == "Tensor parallel over 4 devices (TP 4) + Tensor parallel over 4 devices (TP 4)"
    assert [line for line in lines if line.startswith("Group ")] == [
        "Group 1: Tensor parallel over 4 devices (TP 4)",
        "Group 2: Tensor parallel over 4 devices (TP 4)",
    ]
    last = lines[lines.index("All groups") :]
    assert last[1].startswith("throughput ")
    assert last[1].endswith(" at concurrency 64")
    assert [line.split(":")[0] for line in last if line.startswith("group")] == [
        "group 1       4 × A100-SXM-80GB",
        "group 2       4 × L40S",
    ]
    assert not any(line.startswith("idle") for line in lines)


def test_json_follows_the_schema(run: Run) -> None:
    decision = run("eval", *SEVENTY, "--format", "json").json
    schema().validate(decision)
    plan = decision["plan"]
    assert [shard["device"]["device_id"] for shard in plan["further"][0]["shards"]] == [4, 5, 6, 7]
    groups = plan["fleet"]["groups"]
    assert sum(group["concurrency"] for group in groups) == plan["fleet"]["concurrency"] == 64
    assert sum(group["requests_per_sec"] for group in groups) == pytest.approx(
        plan["fleet"]["requests_per_sec"]
    )
    assert "idle" not in plan


def test_goals_are_those_of_all_groups(run: Run) -> None:
    asked = ("--inventory", "1xA100-SXM-80GB+1xL40S", "--model", "llama-3.1-8b", "--quantization", "fp8")
    out = run("eval", *asked, "--rate", "9/s").out
    assert out.splitlines()[-1] == "goals         9.001 of 9 requests/s"


@pytest.mark.parametrize("form", ["svg", "html"])
def test_pictures_show_groups(run: Run, form: str) -> None:
    out = run("eval", *EIGHT, "--format", form).out
    assert out.count("replica 1.") == out.count("replica 2.") == 4
    if form == "html":
        assert "<h2>All groups</h2>" in out
    seventy = run("eval", *SEVENTY, "--format", form).out
    assert seventy.count(">group 1<") >= 4
    assert seventy.count(">group 2<") >= 4


def test_commands_of_groups_on_one_machine_differ_in_devices_and_port(run: Run) -> None:
    first, second = run("eval", *SEVENTY, "--format", "vllm").out.split("\n\n")
    assert first.startswith("# group 1 of 2, 4 × A100-SXM-80GB: ")
    assert second.startswith("# group 2 of 2, 4 × L40S: ")
    assert "CUDA_DEVICE_ORDER=PCI_BUS_ID CUDA_VISIBLE_DEVICES=0,1,2,3 " in first
    assert "CUDA_DEVICE_ORDER=PCI_BUS_ID CUDA_VISIBLE_DEVICES=4,5,6,7 " in second
    assert "--port" not in first
    assert second.rstrip().endswith("--port 8001")


def test_commands_of_groups_on_nodes_number_devices_from_0(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "nodes.yaml"
    path.write_text(NODES)
    asked = ("--inventory", path, "--model", "llama-3.1-8b", "--quantization", "bf16", "--concurrency", "512")
    out = run("eval", *asked, "--format", "sglang").out
    first, second = out.split("\n\n")
    assert first.splitlines()[0].startswith("# group 1 of 2, 2 × NVIDIA H100 80GB HBM3 on big: ")
    assert second.splitlines()[0].startswith("# group 2 of 2, 2 × NVIDIA L40S on small: ")
    assert "CUDA_VISIBLE_DEVICES=0,1 " in first
    assert "CUDA_VISIBLE_DEVICES=0,1 " in second
    assert "--port" not in out
    objects = list(yaml.safe_load_all(run("eval", *asked, "--format", "kubernetes").out))
    assert [each["metadata"]["name"] for each in objects] == ["vllm-llama-3-1-8b", "vllm-llama-3-1-8b-2"]


def test_groups_over_the_same_nodes_start_ray_clusters_of_their_own(run: Run, tmp_path: Path) -> None:
    machines = ("a=2xA100-SXM-40GB", "b=4xH100-PCIE", "--network", "InfiniBand=50")
    fleet = tmp_path / "fleet.yaml"
    fleet.write_text(run("inventory", "join", *machines).ok().out)
    goals = ("--quantization", "fp8", "--concurrency", "64", "--context", "4096")
    out = run("eval", "--inventory", fleet, "--model", "glm-4.5-air", *goals, "--format", "vllm").ok().out
    heads = re.findall(r"ray start --head --port=(\d+)", out)
    assert len(heads) == len(set(heads)) == 2
    assert re.findall(r'"--address=\$HEAD:(\d+)"', out) == heads
    assert out.count(f"RAY_ADDRESS=127.0.0.1:{heads[1]} vllm serve") == 1


def test_files_of_groups_have_names_of_their_own(run: Run) -> None:
    asked = (*MIXED[:2], "--model", "llama-3.1-70b", "--quantization", "bf16", "--concurrency", "64")
    first, second = run("eval", *asked, "--format", "trtllm-serve").out.split("\n\n")
    assert "extra-llm-api-options.yaml" in first
    assert first.count("extra-llm-api-options-2.yaml") == 0
    assert second.count("extra-llm-api-options-2.yaml") == 2


@pytest.mark.parametrize("form", ["ray-serve", "llm-d"])
def test_formats_that_hold_one_group_say_so(run: Run, form: str) -> None:
    out = run("eval", *SEVENTY, "--format", form).out
    assert out.splitlines()[0].endswith(" of the requests; this format holds no other group")


@pytest.mark.parametrize("form", ["deepspeed", "ai-hwaccel"])
def test_formats_without_comments_refuse_several_groups(run: Run, form: str) -> None:
    asked = (*MIXED[:2], "--model", "llama-3.1-70b", "--quantization", "bf16", "--concurrency", "64")
    ran = run("eval", *asked, "--format", form)
    assert ran.code == 2
    assert "--format json" in ran.err


def test_a_notebook_lists_groups(run: Run) -> None:
    import engine

    decision = engine.decide(
        inventory=MIXED[1], model="llama-3.1-70b", quantization="fp8", concurrency=64, policy="sharding@3"
    )
    table = decision._repr_html_()
    assert "group 2" in table
    assert "all groups" in table


@pytest.mark.parametrize(
    ("inventory", "visible"), [("1xRTX-5090+1xRTX-3090", "1,0"), ("1xRTX-3090+1xRTX-5090", "0,1")]
)
def test_llama_cpp_splits_unequal_cards_by_the_planned_layers(run: Run, inventory: str, visible: str) -> None:
    """llama.cpp gives layer n to the first device whose cumulated part exceeds n / (layers + 1)."""
    model = ("--model", "llama-3.1-70b", "--quantization", "q4_k_m", "--context", "8192")
    asked = ("--inventory", inventory, *model)
    shards = run("eval", *asked, "--format", "json").json["plan"]["shards"]
    out = run("eval", *asked, "--format", "llama.cpp").out
    assert f"CUDA_DEVICE_ORDER=PCI_BUS_ID CUDA_VISIBLE_DEVICES={visible} " in out
    assert [str(shard["device"]["device_id"]) for shard in shards] == visible.split(",")
    parts = [int(part) for part in out.split("--tensor-split ")[1].split()[0].split(",")]
    assert sum(parts) == 81
    devices = [next(n for n in (0, 1) if sum(parts[: n + 1]) / 81 > layer / 81) for layer in range(80)]
    ranges = [shard["layer_range"] for shard in shards]
    assert devices == [n for n, (first, last) in enumerate(ranges) for _ in range(first, last + 1)]


def test_llama_cpp_splits_layers_or_tensors(run: Run) -> None:
    asked = ("--inventory", "2xRTX-5090+2xRTX-3090", "--model", "llama-3.1-70b", "--quantization", "q8_0")
    plan = json.loads(run("eval", *asked, "--context", "8192", "--format", "json").out)["plan"]
    strategy = plan["strategy"]
    assert 1 in (strategy["tensor_parallel"], strategy["pipeline_parallel"])
