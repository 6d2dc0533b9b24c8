"""Launch targets: exact commands and files for plans, and errors for plans that cannot be launched."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest
import yaml

from engine.catalogs.hardware import load_names
from tests.conftest import DATA, TOP, Run

pytestmark = pytest.mark.usefixtures("first_version")

MODELS = DATA / "models"


def words(run: Run, form: str, inventory: str | Path, model: str | Path, quantization: str) -> list[str]:
    """The command's words; what the shell would set first."""
    asked = ("eval", "--inventory", inventory, "--model", model, "--quantization", quantization)
    ran = run(*asked, "--format", form)
    assert ran.code == 0, ran.err
    return shlex.split(ran.out.replace("\\\n", " "), comments=True)


@pytest.mark.parametrize(
    ("inventory", "model", "quantization", "expected"),
    [
        (
            "8xH100-SXM",
            "llama-3.1-70b",
            "bf16",
            "CUDA_VISIBLE_DEVICES=0,1,2,3,4,5,6,7 vllm serve meta-llama/Meta-Llama-3.1-70B "
            "--tensor-parallel-size 8 --dtype bfloat16",
        ),
        (
            "4xRTX-4090",
            "qwen3-32b",
            "fp16",
            "CUDA_VISIBLE_DEVICES=0,1,2,3 vllm serve Qwen/Qwen3-32B "
            "--pipeline-parallel-size 4 --dtype float16",
        ),
        (
            "h100",
            "llama-3.1-8b",
            "fp32",
            "CUDA_VISIBLE_DEVICES=0 vllm serve meta-llama/Meta-Llama-3.1-8B --dtype float32",
        ),
        (
            "8xMI300X",
            "llama-3.1-8b",
            "bf16",
            "HIP_VISIBLE_DEVICES=7 vllm serve meta-llama/Meta-Llama-3.1-8B --dtype bfloat16",
        ),
        (
            "2x8xH100-SXM",
            "llama-3.1-8b",
            "bf16",
            "CUDA_VISIBLE_DEVICES=7 vllm serve meta-llama/Meta-Llama-3.1-8B --dtype bfloat16",
        ),
        (
            "2x8xH100-SXM",
            "llama-3.1-405b",
            "bf16",
            "CUDA_VISIBLE_DEVICES=0,1,2,3,4,5,6,7 vllm serve meta-llama/Meta-Llama-3.1-405B "
            "--pipeline-parallel-size 16 --dtype bfloat16 --nnodes 2 --node-rank 0 --master-addr $HEAD "
            "CUDA_VISIBLE_DEVICES=0,1,2,3,4,5,6,7 vllm serve meta-llama/Meta-Llama-3.1-405B "
            "--pipeline-parallel-size 16 --dtype bfloat16 --nnodes 2 --node-rank 1 --master-addr $HEAD "
            "--headless",
        ),
    ],
)
def test_vllm(inventory: str, model: str, quantization: str, expected: str, run: Run) -> None:
    assert words(run, "vllm", inventory, model, quantization) == shlex.split(expected)


def test_a_folder_is_served_as_it_stands(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "my model"
    folder.mkdir()
    (folder / "config.json").write_text((MODELS / "Qwen--Qwen3-32B-FP8.json").read_text())
    asked = ("eval", "--policy", "sharding@3", "--inventory", "h100", "--model", folder, "--format", "vllm")
    found = shlex.split(run(*asked).ok().out.replace("\\\n", " "))
    assert found[:4] == ["CUDA_VISIBLE_DEVICES=0", "vllm", "serve", str(folder)]
    assert not {"--dtype", "--quantization"} & {*found}


def test_a_model_without_a_name_is_the_shells(run: Run) -> None:
    ran = run(
        *("eval", "--inventory", "h100", "--params", "7B", "--quantization", "bf16", "--format", "vllm")
    )
    assert ran.out == 'CUDA_VISIBLE_DEVICES=0 vllm serve "$MODEL" \\\n  --dtype bfloat16\n'


def test_sglang(run: Run) -> None:
    found = words(run, "sglang", "8xH100-SXM", "llama-3.1-70b", "bf16")
    assert found == shlex.split(
        "CUDA_VISIBLE_DEVICES=0,1,2,3,4,5,6,7 python -m sglang.launch_server "
        "--model-path meta-llama/Meta-Llama-3.1-70B --tp-size 8 --dtype bfloat16"
    )
    assert words(run, "sglang", "8xH100-SXM", "llama-3.1-70b", "int4")[-2:] == [
        "--quantization",
        "bitsandbytes",
    ]


@pytest.mark.slow
@pytest.mark.parametrize("inventory", ["8xH100-SXM", "2x8xH100-SXM", "4xRTX-4090", "8xMI300X"])
@pytest.mark.parametrize("model", ["llama-3.1-8b", "llama-3.1-70b", "llama-3.1-405b"])
@pytest.mark.parametrize("quantization", ["fp32", "bf16", "int8", "int4"])
@pytest.mark.parametrize("form", ["vllm", "sglang", "llama.cpp"])
def test_the_servers_own_parsers_know_every_flag(
    form: str, inventory: str, model: str, quantization: str, run: Run
) -> None:
    asked = ("--inventory", inventory, "--model", model, "--quantization", quantization)
    ran = run("eval", *asked, "--format", form)
    if ran.code == 2:
        assert "error: " in ran.err
        return
    known = json.loads((DATA / "launch" / f"{form}.json").read_text())["flags"]
    found = shlex.split(ran.out.replace("\\\n", " "), comments=True)
    found = [word for word in found if "VISIBLE_DEVICES" not in word]
    flags = [position for position, word in enumerate(found) if word.startswith("-") and word != "-m"]
    assert flags or "$MODEL" in found
    for position in flags:
        described = known[found[position]]
        given = found[position + 1 : position + 2]
        assert described["value"] is bool(given and not given[0].startswith("-") and given[0] != "vllm")
        assert "choices" not in described or given[0] in described["choices"]
        assert described.get("type") != "int" or given[0].isdigit()


def test_accelerates_map_gives_every_module_one_place(run: Run) -> None:
    known = json.loads((DATA / "launch" / "modules.json").read_text())["architectures"]
    rows = load_names("architectures").rows.values()
    assert sorted(known) == sorted(name for row in rows for name in row["module_classes"])
    assert len({json.dumps(each) for each in known.values()}) == 1
    asked = ("--inventory", "4xRTX-4090", "--quantization", "fp16", "--format", "accelerate")
    for model, architecture in (
        ("qwen3-32b", "Qwen3ForCausalLM"),
        ("gemma-2-27b", "Gemma2ForCausalLM"),
        ("qwen3-30b-a3b", "Qwen3MoeForCausalLM"),
    ):
        ran = run("eval", *asked, "--model", model)
        assert ran.code == 0, ran.err
        places = yaml.safe_load(ran.out)["device_map"]
        containers = {"model", "model.layers"}
        for module in set(known[architecture]["modules"]) - containers:
            assert module in places, module
        assert {name for name in places if not name.startswith("model.layers.")} == {
            name
            for name in known[architecture]["modules"]
            if name not in containers and not name.startswith("model.layers.")
        }


def test_llama_cpp(run: Run, tmp_path: Path) -> None:
    found = words(run, "llama.cpp", "4xRTX-4090", "llama-3.1-70b", "int8")
    expected = '-m "$GGUF" -ngl 999 --split-mode layer --tensor-split 1,1,1,1'
    assert found == ["CUDA_VISIBLE_DEVICES=0,1,2,3", "llama-server", *shlex.split(expected)]
    found = words(run, "llama.cpp", "8xH100-SXM", "llama-3.1-405b", "int4")
    assert found[6:8] == ["--split-mode", "tensor"]
    assert found[-2:] == ["-fa", "on"]
    laptop = tmp_path / "laptop.yaml"
    laptop.write_text("devices: [{kind: Cpu, memory: 64GiB}]\n")
    assert words(run, "llama.cpp", laptop, "llama-3.1-8b", "int8") == [
        "llama-server",
        "-m",
        "$GGUF",
        "-ngl",
        "0",
    ]


def test_kubernetes(run: Run) -> None:
    asked = ("eval", "--inventory", "8xH100-SXM", "--model", "llama-3.1-70b", "--quantization", "bf16")
    ran = run(*asked, "--format", "kubernetes")
    deployment = yaml.safe_load(ran.out)
    assert (deployment["apiVersion"], deployment["kind"]) == ("apps/v1", "Deployment")
    spec = deployment["spec"]
    assert spec["selector"]["matchLabels"] == spec["template"]["metadata"]["labels"]
    (container,) = spec["template"]["spec"]["containers"]
    assert container["resources"] == {"limits": {"nvidia.com/gpu": 8}}
    assert container["command"][:3] == ["vllm", "serve", "meta-llama/Meta-Llama-3.1-70B"]
    assert "&id" not in ran.out
    assert "affinity" not in spec["template"]["spec"]
    unnamed = yaml.safe_load(
        run(*asked[:3], "--params", "70B", "--quantization", "bf16", "--format", "kubernetes").out
    )
    (container,) = unnamed["spec"]["template"]["spec"]["containers"]
    assert container["command"][2] == "$(MODEL)"
    assert container["env"][0]["name"] == "MODEL"


@pytest.mark.parametrize(
    ("form", "inventory", "model", "quantization", "message"),
    [
        ("vllm", "7xH100-SXM", "llama-3.1-70b", "bf16", "64 is not divisible by 7"),
        ("sglang", "7xH100-SXM", "llama-3.1-70b", "bf16", "64 is not divisible by 7"),
        ("vllm", "h100", "llama-3.1-405b", "bf16", "does not fit in device memory"),
        ("accelerate", "8xH100-SXM", "llama-3.1-70b", "bf16", "the plan splits layers: tensor_parallel"),
        ("accelerate", "8xRTX-4090", "opt-66b", "fp16", "the model's architecture is OPTForCausalLM"),
        ("accelerate", "v5p-8", "llama-3.1-8b", "bf16", "Accelerate does not run on Tpu"),
        ("deepspeed", "4xRTX-4090", "qwen3-32b", "fp16", "no stages and no replicas"),
        ("deepspeed", "h100", "llama-3.1-8b", "int4", "does not support int4"),
        ("deepspeed", "7xH100-SXM", "llama-3.1-70b", "bf16", "64 is not divisible by 7"),
        ("llama.cpp", "v5p-8", "llama-3.1-8b", "bf16", "llama.cpp does not run on Tpu"),
        ("sglang", "2xGaudi3", "llama-3.1-8b", "bf16", "SGLang does not run on Gaudi"),
        (
            "vllm",
            "1xGaudi3+1xH100",
            "llama-3.1-70b",
            "bf16",
            "one kind of device, but the plan uses Gaudi, CudaGpu",
        ),
        ("llama.cpp", "2x8xH100-SXM", "llama-3.1-405b", "bf16", "one machine"),
    ],
)
def test_plans_that_cannot_be_launched(
    form: str, inventory: str, model: str, quantization: str, message: str, run: Run
) -> None:
    asked = ("eval", "--inventory", inventory, "--model", model, "--quantization", quantization)
    ran = run(*asked, "--format", form)
    assert (ran.code, ran.out) == (2, "")
    assert message in ran.err


def test_nothing_to_launch(run: Run, tmp_path: Path) -> None:
    empty = tmp_path / "empty.yaml"
    empty.write_text("devices: []\n")
    ran = run(*("eval", "--inventory", empty, "--params", "7B", "--quantization", "bf16", "--format", "vllm"))
    assert ran.code == 2
    assert "nothing to launch: the plan has no shards" in ran.err


def test_a_trace_has_no_place_there(run: Run) -> None:
    ran = run(
        *("eval", "--inventory", "h100", "--params", "7B", "--quantization", "bf16"),
        "--format",
        "vllm",
        "--explain",
    )
    assert ran.code == 2
    assert "--explain cannot be used with --format" in ran.err


def test_a_node_used_in_part_beside_another(run: Run, tmp_path: Path) -> None:
    inventory = tmp_path / "two.yaml"
    inventory.write_text(
        "devices:\n"
        "  - {kind: CudaGpu, memory: 80GiB, node: a}\n"
        "  - {kind: CudaGpu, memory: 80GiB, node: b, device_id: 1}\n"
        "  - {kind: CudaGpu, memory: 80GiB, node: b, device_id: 2, available: false}\n"
    )
    asked = ("eval", "--inventory", inventory, "--params", "60B", "--quantization", "bf16", "--format")
    ran = run(*asked, "kubernetes")
    assert (ran.code, ran.out) == (2, "")
    assert "uses 1 of the 2 devices of node 'b'" in ran.err
    found = shlex.split(run(*asked, "vllm").ok().out.replace("\\\n", " "), comments=True)
    assert found.count("CUDA_VISIBLE_DEVICES=0") == 2
    assert found.count("--nnodes") == 2


def test_kubernetes_over_several_nodes(run: Run) -> None:
    asked = ("eval", "--inventory", "2x8xH100-SXM", "--model", "llama-3.1-405b", "--quantization", "bf16")
    ran = run(*asked, "--format", "kubernetes")
    assert "&id" not in ran.out
    group = yaml.safe_load(ran.out)
    assert (group["apiVersion"], group["kind"]) == ("leaderworkerset.x-k8s.io/v1", "LeaderWorkerSet")
    template = group["spec"]["leaderWorkerTemplate"]
    assert template["size"] == 2
    (leader,) = template["leaderTemplate"]["spec"]["containers"]
    (worker,) = template["workerTemplate"]["spec"]["containers"]
    assert leader["resources"] == worker["resources"] == {"limits": {"nvidia.com/gpu": 8}}
    shared = (
        "vllm serve meta-llama/Meta-Llama-3.1-405B --pipeline-parallel-size 16 --dtype bfloat16 --nnodes 2"
    )
    head = "--master-addr $(LWS_LEADER_ADDRESS)"
    assert leader["command"] == f"{shared} --node-rank 0 {head}".split()
    assert worker["command"] == f"{shared} --node-rank $(LWS_WORKER_INDEX) {head} --headless".split()
    assert "readinessProbe" not in worker


def test_kubernetes_asks_for_nodes_with_the_product_that_was_planned_for(run: Run) -> None:
    inventory = TOP / "examples" / "8x-h100-nvidia-smi.txt"
    asked = ("eval", "--inventory", inventory, "--params", "70B", "--quantization", "bf16")
    pod = yaml.safe_load(run(*asked, "--format", "kubernetes").out)["spec"]["template"]["spec"]
    (term,) = pod["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"][
        "nodeSelectorTerms"
    ]
    (expression,) = term["matchExpressions"]
    assert expression == {
        "key": "nvidia.com/gpu.product",
        "operator": "In",
        "values": ["NVIDIA-H100-80GB-HBM3"],
    }


def test_ray_serve(run: Run) -> None:
    asked = ("eval", "--inventory", "2x8xH100-SXM", "--quantization", "bf16", "--format", "ray-serve")
    (application,) = yaml.safe_load(run(*asked, "--model", "llama-3.1-405b").out)["applications"]
    assert application["import_path"] == "ray.serve.llm:build_openai_app"
    assert application["args"]["llm_configs"] == [
        {
            "model_loading_config": {
                "model_id": "llama-3.1-405b",
                "model_source": "meta-llama/Meta-Llama-3.1-405B",
            },
            "deployment_config": {"num_replicas": 1},
            "engine_kwargs": {"pipeline_parallel_size": 16, "dtype": "bfloat16"},
        }
    ]
    (application,) = yaml.safe_load(run(*asked, "--params", "7B").out)["applications"]
    loading = application["args"]["llm_configs"][0]["model_loading_config"]
    assert set(loading.values()) == {"name-of-the-model"}


def test_ray_serve_with_expert_parallelism_passes_a_flag_without_a_value(run: Run) -> None:
    asked = ("--inventory", "8xH100-SXM", "--model", "qwen3-30b-a3b", "--quantization", "bf16")
    policy = ("--policy", "sharding@2.0.0", "--pin", "tp=2,ep=2")
    ran = run("eval", *asked, *policy, "--format", "ray-serve")
    assert ran.code == 0, ran.err
    (application,) = yaml.safe_load(ran.out)["applications"]
    (config,) = application["args"]["llm_configs"]
    assert config["engine_kwargs"]["enable_expert_parallel"] is True
    assert config["engine_kwargs"]["tensor_parallel_size"] == 2


@pytest.mark.parametrize("devices", [2, 3, 4, 5, 7, 8])
def test_accelerate_gives_each_device_a_run_of_whole_layers(devices: int, run: Run, tmp_path: Path) -> None:
    inventory = tmp_path / "inventory.yaml"
    inventory.write_text(f"devices: [{{kind: CudaGpu, count: {devices}, memory: 96GiB}}]\n")
    asked = ("eval", "--inventory", inventory, "--quantization", "fp16")
    model = MODELS / "meta-llama--Meta-Llama-3.1-70B.json"
    ran = run(*asked, "--model", model, "--format", "accelerate")
    assert ran.code == 0, ran.err
    found = yaml.safe_load(ran.out)
    placed = found["device_map"]
    layers = [placed[f"model.layers.{number}"] for number in range(80)]
    assert layers == sorted(layers)
    assert set(layers) == set(range(devices))
    counts = [layers.count(number) for number in range(devices)]
    assert all(abs(count - 80 / devices) < 2 for count in counts)
    assert (placed["model.embed_tokens"], placed["lm_head"]) == (0, devices - 1)
    assert len(placed) == 80 + 4
    assert set(found["max_memory"]) == set(range(devices))


def test_accelerate_on_one_device(run: Run) -> None:
    asked = ("eval", "--inventory", "2xH100-SXM", "--quantization", "bf16", "--format", "accelerate")
    found = yaml.safe_load(run(*asked, "--model", MODELS / "Qwen--Qwen3-8B.json").out)
    assert len(set(found["device_map"].values())) == 1
    assert set(found["max_memory"]) == set(found["device_map"].values())


def test_deepspeed(run: Run) -> None:
    asked = ("eval", "--inventory", "8xH100-SXM", "--model", "llama-3.1-70b", "--quantization", "bf16")
    found = run(*asked, "--format", "deepspeed").json
    assert found == {"tensor_parallel": {"enabled": True, "tp_size": 8}, "dtype": "bf16"}
