"""Launch commands by server: degrees, nodes, replicas, versions, checkpoints, and plans that it refuses."""

from __future__ import annotations

import json
import shlex
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import yaml

import engine
from engine.base.errors import RenderError
from engine.base.records import replace
from engine.plan import Estimates
from tests.conftest import DATA, TOP
from tests.render.launching import commands, decision, flags, render

DEEPSEEK: dict[str, Any] = {"model": "deepseek-v3", "quantization": "fp8"}
H200 = "8xH200-SXM"
TWO = "2x8xH200-SXM"


def visible(words: list[str]) -> str:
    """Return the devices that a command selects."""
    return words[0].removeprefix("CUDA_VISIBLE_DEVICES=")


# vLLM


def test_vllm_dp_attention_on_one_node_is_one_server() -> None:
    decided = decision(H200, {"dp": 8, "ep": 8, "attention": 8}, **DEEPSEEK)
    (words,) = commands("vllm", decided)
    assert visible(words) == "0,1,2,3,4,5,6,7"
    assert flags(words) == {"--data-parallel-size": "8", "--enable-expert-parallel": None}


def test_vllm_dp_attention_without_expert_parallel_splits_experts() -> None:
    (words,) = commands("vllm", decision(H200, {"tp": 2, "dp": 4, "attention": 4}, **DEEPSEEK))
    assert flags(words) == {"--tensor-parallel-size": "2", "--data-parallel-size": "4"}


def test_vllm_dp_attention_over_nodes_has_a_head_and_headless_nodes() -> None:
    first, second = commands("vllm", decision(TWO, {"dp": 16, "ep": 16, "attention": 16}, **DEEPSEEK))
    shared = {
        "--data-parallel-size": "16",
        "--enable-expert-parallel": None,
        "--data-parallel-size-local": "8",
        "--data-parallel-address": "$HEAD",
        "--data-parallel-rpc-port": "13345",
    }
    assert flags(first) == shared
    assert flags(second) == {**shared, "--data-parallel-start-rank": "8", "--headless": None}


def test_vllm_replicas_of_a_model_with_experts_are_servers_of_their_own() -> None:
    decided = decision(H200, {"tp": 4, "dp": 2, "ep": 4, "attention": 1}, **DEEPSEEK)
    first, second = commands("vllm", decided)
    assert (visible(first), visible(second)) == ("0,1,2,3", "4,5,6,7")
    assert flags(first) == {"--tensor-parallel-size": "4", "--enable-expert-parallel": None}
    assert flags(second) == {**flags(first), "--port": "8001"}


def test_vllm_replicas_of_a_dense_model_are_one_server() -> None:
    (words,) = commands("vllm", decision(H200, {"tp": 2, "dp": 4}))
    assert flags(words)["--data-parallel-size"] == "4"


def test_vllm_replicas_of_a_dense_model_over_nodes_join_one_server() -> None:
    first, second = commands("vllm", decision(TWO, {"tp": 4, "dp": 4}))
    assert flags(first)["--data-parallel-size-local"] == flags(second)["--data-parallel-size-local"] == "2"
    assert flags(second)["--data-parallel-start-rank"] == "2"


def test_vllm_tensor_parallel_over_nodes_uses_its_own_executor() -> None:
    first, second = commands("vllm", decision(TWO, {"tp": 16}))
    assert flags(first)["--nnodes"] == flags(second)["--nnodes"] == "2"
    assert (flags(first)["--node-rank"], flags(second)["--node-rank"]) == ("0", "1")
    assert "--headless" not in flags(first)
    assert "--headless" in flags(second)
    assert flags(second)["--master-addr"] == "$HEAD"


@pytest.mark.parametrize(
    ("inventory", "serving"),
    [(TWO, {"server": "vllm@0.11"}), ("2x8xGaudi3", {})],
)
def test_vllm_tensor_parallel_over_nodes_uses_ray_where_it_must(
    inventory: str, serving: dict[str, object]
) -> None:
    first, second = commands("vllm", decision(inventory, {"tp": 16}, serving=serving))
    assert first[1:5] == ["ray", "start", "--head", "--port=6379"]
    assert first[5] == "&&"
    assert flags(first)["--distributed-executor-backend"] == "ray"
    assert second[1:] == ["ray", "start", "--address=$HEAD:6379", "--block"]


def test_vllm_version_without_data_parallel_over_nodes_is_an_error() -> None:
    decided = decision(TWO, {"dp": 16, "ep": 16, "attention": 16}, serving={"server": "vllm@0.8"}, **DEEPSEEK)
    with pytest.raises(RenderError, match=r"vLLM 0\.8 has no option for the plan's data_local"):
        render("vllm", decided)


def test_vllm_expert_parallel_over_some_ranks_is_an_error() -> None:
    decided = decision(H200, {"dp": 8, "ep": 4, "attention": 8}, **DEEPSEEK)
    with pytest.raises(RenderError, match="over all 8 ranks, but the plan over 4"):
        render("vllm", decided)


def test_vllm_goals_become_options() -> None:
    serving = {
        "context": 4096,
        "concurrency": 6,
        "kv_dtype": "fp8",
        "batched_tokens": 1024,
        "utilization": 0.8,
    }
    estimates = Estimates(1, context=4096, concurrency=3)
    (words,) = commands("vllm", decision(H200, {"tp": 4, "dp": 2}, serving=serving, estimates=estimates))
    found = flags(words)
    assert found["--max-model-len"] == "4096"
    assert found["--max-num-seqs"] == "3"
    assert found["--kv-cache-dtype"] == "fp8"
    assert found["--max-num-batched-tokens"] == "1024"
    assert found["--gpu-memory-utilization"] == "0.8"


@pytest.mark.parametrize(
    ("form", "inventory", "kv_dtype"),
    [("vllm", H200, "q8_0"), ("sglang", H200, "int8"), ("llama.cpp", "2xRTX-4090", "fp8")],
)
def test_kv_type_that_a_server_lacks_is_an_error(form: str, inventory: str, kv_dtype: str) -> None:
    decided = decision(inventory, {"tp": 2}, serving={"kv_dtype": kv_dtype})
    with pytest.raises(RenderError, match=f"cannot store the KV cache as {kv_dtype}"):
        render(form, decided)


# SGLang


def test_sglang_tensor_size_counts_the_ranks_of_dp_attention() -> None:
    decided = decision(H200, {"tp": 2, "dp": 4, "ep": 4, "attention": 4}, **DEEPSEEK)
    (words,) = commands("sglang", decided)
    assert flags(words) == {
        "-m": "sglang.launch_server",
        "--model-path": "deepseek-ai/DeepSeek-V3",
        "--tp-size": "8",
        "--dp-size": "4",
        "--enable-dp-attention": None,
        "--ep-size": "4",
    }


def test_sglang_divides_requests_and_tokens_among_ranks_of_dp_attention() -> None:
    serving = {"concurrency": 64, "batched_tokens": 1024, "kv_dtype": "fp8", "utilization": 0.85}
    estimates = Estimates(1, context=4096, concurrency=8)
    decided = decision(
        H200, {"dp": 8, "ep": 8, "attention": 8}, serving=serving, estimates=estimates, **DEEPSEEK
    )
    found = flags(commands("sglang", decided)[0])
    assert found["--max-running-requests"] == "64"
    assert found["--chunked-prefill-size"] == "8192"
    assert found["--kv-cache-dtype"] == "fp8_e4m3"
    assert found["--mem-fraction-static"] == "0.85"


def test_sglang_replicas_on_several_nodes_are_one_server_a_node() -> None:
    first, second = commands("sglang", decision(TWO, {"tp": 4, "dp": 4, "ep": 4, "attention": 1}, **DEEPSEEK))
    assert flags(first) == flags(second)
    assert (flags(first)["--tp-size"], flags(first)["--dp-size"]) == ("4", "2")
    assert "--enable-dp-attention" not in flags(first)
    assert "--nnodes" not in flags(first)


def test_sglang_over_nodes_is_one_command_a_node() -> None:
    words = commands("sglang", decision("4x4xGB200", {"tp": 16}))
    assert [flags(each)["--node-rank"] for each in words] == ["0", "1", "2", "3"]
    assert {flags(each)["--nnodes"] for each in words} == {"4"}
    assert {flags(each)["--dist-init-addr"] for each in words} == {"$HEAD:5000"}


def test_sglang_orders_devices_by_stage_under_dp_attention() -> None:
    decided = decision(H200, {"tp": 2, "pp": 2, "dp": 2, "attention": 2}, **DEEPSEEK)
    (words,) = commands("sglang", decided)
    assert visible(words) == "0,1,4,5,2,3,6,7"


# TensorRT-LLM


def test_trtllm_dp_attention_is_in_the_file_of_options() -> None:
    serving = {"kv_dtype": "fp8", "utilization": 0.8, "context": 8192}
    decided = decision(H200, {"dp": 8, "ep": 8, "attention": 8}, serving=serving, **DEEPSEEK)
    file, command = render("trtllm-serve", decided).split("EOF\n")[-2:]
    file = file.partition("<<'EOF'\n")[2] or file
    assert yaml.safe_load(file) == {
        "enable_attention_dp": True,
        "kv_cache_config": {"dtype": "fp8", "free_gpu_memory_fraction": 0.8},
    }
    for option in (
        "--tp_size 8",
        "--ep_size 8",
        "--max_seq_len 8192",
        "--extra_llm_api_options extra-llm-api",
    ):
        assert option in command


def test_trtllm_dp_attention_with_tensor_parallel_is_an_error() -> None:
    decided = decision(H200, {"tp": 2, "dp": 4, "attention": 4}, **DEEPSEEK)
    with pytest.raises(RenderError, match="DP attention covers all ranks"):
        render("trtllm-serve", decided)


def test_trtllm_over_nodes_is_started_by_slurm_once() -> None:
    (words,) = commands("trtllm-serve", decision(TWO, {"tp": 16, "ep": 16}, **DEEPSEEK))
    assert words[:4] == ["srun", "--mpi", "pmix", "--nodes"]
    found = flags(words)
    assert (found["--nodes"], found["--ntasks"], found["--ntasks-per-node"]) == ("2", "16", "8")
    assert (found["--tp_size"], found["--gpus_per_node"]) == ("16", "8")
    assert words[words.index("trtllm-llmapi-launch") + 1] == "trtllm-serve"


# llama.cpp, Ollama, MLX


@pytest.mark.parametrize(
    ("version", "kv_dtype", "mode"),
    [
        (None, None, "tensor"),
        ("b8000", None, "row"),
        ("b9000", None, "tensor"),
        ("b9000", "q8_0", "row"),
        (None, "q8_0", "tensor"),
    ],
)
def test_llama_cpp_split_mode_depends_on_version_and_kv_type(
    version: str | None, kv_dtype: str | None, mode: str
) -> None:
    serving: dict[str, object] = {"server": "llama.cpp" + (f"@{version}" if version else "")}
    if kv_dtype is not None:
        serving["kv_dtype"] = kv_dtype
    (words,) = commands("llama.cpp", decision("2xRTX-4090", {"tp": 2}, serving=serving))
    found = flags(words)
    assert found["--split-mode"] == mode
    assert (found.get("-ctk"), found.get("-ctv")) == (kv_dtype, kv_dtype)
    assert found.get("-fa") == ("on" if mode == "tensor" or kv_dtype else None)


@pytest.mark.parametrize(
    ("capacity", "expected"),
    [(100_000, {"-c": "32768", "-np": "4"}), (20_000, {"-c": "20000", "-np": "4", "--kv-unified": None})],
)
def test_llama_cpp_requests_share_the_cache_where_memory_lacks(
    capacity: int, expected: dict[str, str | None]
) -> None:
    estimates = Estimates(1, context=8192, concurrency=4, kv_capacity_tokens=capacity)
    serving = {"context": 8192, "concurrency": 4}
    decided = decision("2xRTX-4090", {"pp": 2}, serving=serving, estimates=estimates)
    found = flags(commands("llama.cpp", decided)[0])
    assert {name: found[name] for name in expected} == expected
    assert ("--kv-unified" in found) == ("--kv-unified" in expected)


@pytest.mark.parametrize("kv_dtype", ["fp16", "bf16"])
@pytest.mark.parametrize(
    ("form", "inventory"),
    [
        ("vllm", H200),
        ("sglang", H200),
        ("trtllm-serve", H200),
        ("llama.cpp", H200),
        ("ollama", "2xRTX-4090"),
        ("mlx_lm.server", str(TOP / "examples" / "mac-studio.yaml")),
    ],
)
def test_kv_cache_without_quantization_is_every_servers(form: str, inventory: str, kv_dtype: str) -> None:
    text = render(form, decision(inventory, {}, serving={"kv_dtype": kv_dtype}))
    assert "-fa" not in text
    assert "FLASH" not in text


def test_llama_cpp_quantized_cache_on_one_device_needs_flash_attention() -> None:
    (words,) = commands("llama.cpp", decision("1xRTX-4090", {}, serving={"kv_dtype": "q8_0"}))
    assert flags(words)["-fa"] == "on"


def test_vllm_fewer_tokens_per_pass_than_requests_is_an_error() -> None:
    serving = {"concurrency": 64, "batched_tokens": 32}
    estimates = Estimates(1, context=4096, concurrency=64)
    with pytest.raises(RenderError, match="a token per pass for each of 64 concurrent requests, but gets 32"):
        render("vllm", decision(H200, {"tp": 8}, serving=serving, estimates=estimates))


def test_ollama_settings_of_the_server_are_comments() -> None:
    estimates = Estimates(1, context=8192, concurrency=2)
    serving = {"context": 8192, "concurrency": 2, "kv_dtype": "q8_0"}
    lines = render(
        "ollama", decision("2xRTX-4090", {"pp": 2}, serving=serving, estimates=estimates)
    ).splitlines()
    assert lines[0] == (
        "# server: CUDA_VISIBLE_DEVICES=0,1 OLLAMA_NUM_PARALLEL=2 "
        "OLLAMA_KV_CACHE_TYPE=q8_0 OLLAMA_FLASH_ATTENTION=1 OLLAMA_SCHED_SPREAD=1 ollama serve"
    )
    assert lines[2:] == ["FROM ./model.gguf", "PARAMETER num_ctx 8192", "PARAMETER num_gpu 999"]


def test_ollama_tensor_parallel_is_an_error() -> None:
    with pytest.raises(RenderError, match="splits whole layers over devices, but the plan has TP 2"):
        render("ollama", decision("2xRTX-4090", {"tp": 2}))


# Kubernetes objects


def test_kserve_dp_attention_over_nodes_has_workers() -> None:
    decided = decision(TWO, {"dp": 16, "ep": 16, "attention": 16}, serving={"context": 8192}, **DEEPSEEK)
    document = yaml.safe_load(render("kserve", decided))
    assert (document["apiVersion"], document["kind"]) == (
        "serving.kserve.io/v1alpha2",
        "LLMInferenceService",
    )
    spec = document["spec"]
    assert spec["model"] == {"uri": "hf://deepseek-ai/DeepSeek-V3", "name": "deepseek-ai/DeepSeek-V3"}
    assert spec["parallelism"] == {"data": 16, "dataLocal": 8, "expert": True}
    assert spec["worker"] == spec["template"]
    (container,) = spec["template"]["containers"]
    assert container["resources"] == {"limits": {"nvidia.com/gpu": "8"}}
    assert container["env"] == [{"name": "VLLM_ADDITIONAL_ARGS", "value": "--max-model-len 8192"}]


def test_kserve_replicas_with_experts_of_their_own_are_replicas_of_the_object() -> None:
    decided = decision(H200, {"tp": 4, "dp": 2, "ep": 4, "attention": 1}, **DEEPSEEK)
    spec = yaml.safe_load(render("kserve", decided))["spec"]
    assert (spec["replicas"], spec["parallelism"]) == (2, {"tensor": 4})
    # KServe's template of a single node knows TP only.
    (container,) = spec["template"]["containers"]
    assert container["env"] == [{"name": "VLLM_ADDITIONAL_ARGS", "value": "--enable-expert-parallel"}]
    assert "worker" not in spec


@pytest.mark.parametrize("form", ["kserve", "llm-d"])
def test_templates_do_not_run_one_engine_over_nodes(form: str) -> None:
    with pytest.raises(RenderError, match="over several nodes"):
        render(form, decision(TWO, {"tp": 16}))


def test_llm_d_values_of_dp_attention_over_nodes() -> None:
    decided = decision(TWO, {"dp": 16, "ep": 16, "attention": 16}, **DEEPSEEK)
    document = yaml.safe_load(render("llm-d", decided))
    assert document["multinode"] is True
    assert document["decode"]["parallelism"] == {"tensor": 1, "data": 16, "dataLocal": 8, "workers": 2}
    (container,) = document["decode"]["containers"]
    assert (container["modelCommand"], container["command"]) == ("custom", ["/bin/sh", "-c"])
    (script,) = container["args"]
    found = flags(shlex.split(script.replace("$$", "$")))
    assert found["--data-parallel-start-rank"] == "$((LWS_WORKER_INDEX * 8))"
    assert found["--data-parallel-address"] == "$LWS_LEADER_ADDRESS"
    assert {"--enable-expert-parallel", "--data-parallel-hybrid-lb"} <= found.keys()
    assert (found["--data-parallel-size"], found["--data-parallel-size-local"]) == ("16", "8")


def test_llm_d_values_on_one_node_leave_degrees_to_the_chart() -> None:
    document = yaml.safe_load(render("llm-d", decision(H200, {"tp": 8, "ep": 8, "attention": 1}, **DEEPSEEK)))
    (container,) = document["decode"]["containers"]
    assert (container["modelCommand"], container["args"]) == ("vllmServe", ["--enable-expert-parallel"])
    assert document["decode"]["parallelism"]["tensor"] == 8


@pytest.mark.parametrize(("server", "module"), [("vllm", "dynamo.vllm"), ("sglang", "dynamo.sglang")])
def test_dynamo_worker_runs_the_named_server_on_all_nodes(server: str, module: str) -> None:
    decided = decision(TWO, {"dp": 16, "ep": 16, "attention": 16}, serving={"server": server}, **DEEPSEEK)
    document = yaml.safe_load(render("dynamo", decided))
    assert document["kind"] == "DynamoGraphDeployment"
    worker = document["spec"]["services"]["Worker"]
    assert worker["multinode"] == {"nodeCount": 2}
    assert worker["resources"] == {"limits": {"gpu": "8"}}
    container = worker["extraPodSpec"]["mainContainer"]
    assert container["command"] == ["python3", "-m", module]
    found = flags(container["args"])
    assert found["--dp-size" if server == "sglang" else "--data-parallel-size"] == "16"
    assert not {"--node-rank", "--data-parallel-address", "--dist-init-addr"} & found.keys()


def test_dynamo_worker_of_trtllm_has_names_of_its_own_for_options() -> None:
    serving = {"server": "trtllm", "kv_dtype": "fp8", "utilization": 0.8, "context": 4096}
    decided = decision(H200, {"dp": 8, "ep": 8, "attention": 8}, serving=serving, **DEEPSEEK)
    worker = yaml.safe_load(render("dynamo", decided))["spec"]["services"]["Worker"]
    container = worker["extraPodSpec"]["mainContainer"]
    assert container["command"] == ["python3", "-m", "dynamo.trtllm"]
    assert flags(container["args"]) == {
        "--model-path": "deepseek-ai/DeepSeek-V3",
        "--tensor-parallel-size": "8",
        "--expert-parallel-size": "8",
        "--max-seq-len": "4096",
        "--enable-attention-dp": None,
        "--free-gpu-memory-fraction": "0.8",
        "--override-engine-args": '{"kv_cache_config": {"dtype": "fp8"}}',
    }


def test_kubernetes_group_of_dp_attention_computes_its_rank() -> None:
    decided = decision(TWO, {"dp": 16, "ep": 16, "attention": 16}, **DEEPSEEK)
    template = yaml.safe_load(render("kubernetes", decided))["spec"]["leaderWorkerTemplate"]
    (leader,) = template["leaderTemplate"]["spec"]["containers"]
    (worker,) = template["workerTemplate"]["spec"]["containers"]
    assert flags(leader["command"])["--data-parallel-address"] == "$(LWS_LEADER_ADDRESS)"
    script = worker["command"][2]
    assert '--data-parallel-start-rank "$$((LWS_WORKER_INDEX * 8))"' in script
    assert "--headless" in script


FIELDS: dict[str, dict[str, str]] = json.loads((DATA / "launch" / "objects.json").read_text())


@pytest.mark.parametrize(("form", "path"), [(form, path) for form, paths in FIELDS.items() for path in paths])
@pytest.mark.parametrize("layout", [{"tp": 4, "dp": 2, "ep": 4, "attention": 1}, {"dp": 16, "attention": 16}])
def test_object_has_fields_that_its_definition_knows(form: str, path: str, layout: dict[str, int]) -> None:
    value = yaml.safe_load(render(form, decision(TWO, layout, **DEEPSEEK)))
    for name in filter(None, path.split(".")):
        value = value.get(name, {})
    assert value.keys() <= set(FIELDS[form][path].split())


def test_ollama_variables_are_known_to_it() -> None:
    estimates = Estimates(1, context=8192, concurrency=2)
    decided = decision("2xRTX-4090", {"pp": 2}, serving={"kv_dtype": "q8_0"}, estimates=estimates)
    variables = {word.partition("=")[0] for word in render("ollama", decided).split() if "OLLAMA_" in word}
    known = json.loads((DATA / "launch" / "options.json").read_text())["ollama"]["0.33.0"]
    assert variables
    assert variables <= set(known.split())


# Checkpoints


@pytest.mark.parametrize(
    ("model", "quantization", "name"),
    [
        ("qwen3-235b-a22b", "fp8", "Qwen/Qwen3-235B-A22B-FP8"),
        ("llama-3.1-405b", "fp8", "meta-llama/Llama-3.1-405B-FP8"),
        ("deepseek-v3", "fp8", "deepseek-ai/DeepSeek-V3"),
        ("deepseek-ai/DeepSeek-R1", "fp8", "deepseek-ai/DeepSeek-R1"),
        ("gpt-oss-120b", "mxfp4", "openai/gpt-oss-120b"),
        ("kimi-k2", "int4", "RedHatAI/Kimi-K2-Instruct-quantized.w4a16"),
    ],
)
def test_published_checkpoint_is_loaded_instead_of_quantizing(
    model: str, quantization: str, name: str
) -> None:
    for form in ("vllm", "sglang"):
        text = render(form, decision(H200, {"tp": 8}, model=model, quantization=quantization))
        assert name in text.split()
        assert "--quantization" not in text
        assert "--dtype" not in text


def test_unknown_checkpoint_is_a_placeholder_with_a_comment() -> None:
    text = render("vllm", decision(H200, {"tp": 8}, model="gemma-2-27b", quantization="int4"))
    assert text.startswith("# MODEL: a checkpoint in int4 of google/gemma-2-27b\n")
    assert 'vllm serve "$MODEL"' in text
    assert (
        yaml.safe_load(
            render("kubernetes", decision(H200, {"tp": 8}, model="gemma-2-27b", quantization="int4"))
        )["spec"]["template"]["spec"]["containers"][0]["command"][2]
        == "$(MODEL)"
    )


@pytest.mark.parametrize(("model", "quantization"), [("deepseek-v3", "bf16"), ("minimax-m2.5", "bf16")])
def test_model_published_in_fp8_is_not_launched_as_bf16(model: str, quantization: str) -> None:
    for form in ("vllm", "sglang", "trtllm-serve"):
        text = render(form, decision(TWO, {"tp": 16}, model=model, quantization=quantization))
        assert text.startswith(f"# MODEL: a checkpoint in {quantization} of ")
        assert '"$MODEL"' in text


def test_checkpoint_that_a_server_does_not_load_is_a_placeholder() -> None:
    decided = decision(H200, {"tp": 8}, quantization="fp8")
    assert "vllm serve RedHatAI/Meta-Llama-3.1-70B-FP8" in render("vllm", decided)
    assert "# MODEL: a checkpoint in fp8 of meta-llama/Meta-Llama-3.1-70B" in render("trtllm-serve", decided)


def test_small_model_without_a_published_checkpoint_is_quantized_by_the_server() -> None:
    (words,) = commands("vllm", decision(H200, {}, model="gemma-2-9b", quantization="fp8"))
    assert flags(words)["--quantization"] == "fp8"


def test_render_of_an_infeasible_decision_says_why() -> None:
    decided = engine.decide(inventory="1xRTX-4090", model="llama-3.1-405b", quantization="bf16")
    with pytest.raises(RenderError, match="the outcome is infeasible: "):
        render("vllm", decided)


# Devices and stages


def unequal(tmp_path: Path) -> str:
    """Write an inventory of two GPUs of different products."""
    file = tmp_path / "unequal.yaml"
    file.write_text(
        "devices:\n"
        "  - {kind: CudaGpu, name: RTX-3060, memory: 12GiB}\n"
        "  - {kind: CudaGpu, name: RTX-3090, memory: 24GiB}\n"
    )
    return str(file)


@pytest.mark.parametrize("form", ["vllm", "sglang", "trtllm-serve", "llama.cpp", "ollama"])
def test_unequal_devices_are_numbered_as_the_driver_does(form: str, tmp_path: Path) -> None:
    text = render(form, decision(unequal(tmp_path), {"pp": 2}))
    assert "CUDA_DEVICE_ORDER=PCI_BUS_ID CUDA_VISIBLE_DEVICES=0,1 " in text


def uneven(inventory: str) -> engine.Decision:
    """Return a decision with stages of 60 and 20 layers."""
    decided = decision(inventory, {"pp": 2})
    assert decided.plan is not None
    first, second = decided.plan.shards
    shards = (replace(first, layer_range=(0, 59)), replace(second, layer_range=(60, 79)))
    return replace(decided, plan=replace(decided.plan, shards=shards))


def test_uneven_stages_are_variables_of_vllm_and_sglang() -> None:
    assert "VLLM_PP_LAYER_PARTITION=60,20 vllm serve" in render("vllm", uneven("2xRTX-4090"))
    assert "SGLANG_PP_LAYER_PARTITION=60,20 python" in render("sglang", uneven("2xRTX-4090"))


def test_uneven_stages_reach_servers_in_containers() -> None:
    expected = {"name": "VLLM_PP_LAYER_PARTITION", "value": "60,20"}
    decided = uneven("2xRTX-4090")
    pod = yaml.safe_load(render("kubernetes", decided))["spec"]["template"]["spec"]
    assert pod["containers"][0]["env"] == [expected]
    container = yaml.safe_load(render("kserve", decided))["spec"]["template"]["containers"][0]
    assert expected in container["env"]
    worker = yaml.safe_load(render("dynamo", decided))["spec"]["services"]["Worker"]
    assert worker["extraPodSpec"]["mainContainer"]["env"] == [expected]
    (application,) = yaml.safe_load(render("ray-serve", decided))["applications"]
    (config,) = application["args"]["llm_configs"]
    assert config["runtime_env"] == {"env_vars": {"VLLM_PP_LAYER_PARTITION": "60,20"}}


def test_uneven_stages_are_an_error_for_trtllm() -> None:
    with pytest.raises(RenderError, match="cannot run stages of 60,20 layers"):
        render("trtllm-serve", uneven("2xRTX-4090"))


@pytest.mark.parametrize(
    "form", ["vllm", "sglang", "trtllm-serve", "kubernetes", "kserve", "llm-d", "dynamo"]
)
def test_decision_without_its_request_is_launched_with_placeholders(form: str) -> None:
    text = render(form, replace(decision("2xRTX-4090", {"tp": 2}), request=None))
    assert "MODEL" in text or "name-of-the-model" in text


def test_command_of_a_server_that_was_not_planned_for_says_so() -> None:
    decided = engine.decide(inventory="8xH100-SXM", model="llama-3.1-70b", quantization="bf16", server="vllm")
    assert decided.plan is not None
    decided = replace(decided, plan=replace(decided.plan, server="vllm"))
    assert render("sglang", decided).startswith("# planned for vllm, which may use memory otherwise: ")
    assert "planned for" not in render("vllm", decided)


# All layouts

LAYOUTS = [
    {"tp": tp, "pp": pp, "dp": dp, "attention": attention, "ep": ep}
    for tp, pp, dp in product((1, 2, 8, 16), (1, 2), (1, 2, 4))
    if tp * pp * dp <= 16
    for attention in range(1, dp + 1)
    if dp % attention == 0
    for ep in {1, tp, tp * attention}
]


@pytest.mark.slow
@pytest.mark.parametrize("form", ["vllm", "sglang", "trtllm-serve"])
def test_each_device_is_used_by_one_server(form: str) -> None:
    refused = 0
    for layout in LAYOUTS:
        decided = decision(TWO, layout, **DEEPSEEK)
        assert decided.plan is not None
        used = len(decided.plan.shards)
        try:
            listed = commands(form, decided)
        except RenderError:
            refused += 1
            continue
        if form == "trtllm-serve":
            listed = [words for words in listed if "trtllm-serve" in words and words[0] != "srun"]
            used = used if listed else 0
        devices = [number for words in listed for number in visible(words).split(",")]
        assert len(devices) == used, layout
        nodes = 2 if used > 8 else 1
        assert max(map(devices.count, devices), default=0) <= nodes, layout
    assert refused < len(LAYOUTS) // 2
